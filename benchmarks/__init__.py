"""What hourmeter costs and what it carries, measured on the real line: `python -m benchmarks.line`."""
