"""One file for each device protocol; being here registers it. None imports another."""
