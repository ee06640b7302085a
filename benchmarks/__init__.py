"""Measurements, one command each: `python -m benchmarks.objectives`. Ratios within one run."""
