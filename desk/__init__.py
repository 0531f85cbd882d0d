"""What people touch: the command line, the page, and the composition of all rooms."""
