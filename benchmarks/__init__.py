"""What things cost: `discovery bench`, and `python -m benchmarks.NAME` for the others."""
