"""Measurements side by side with peers: `python -m benchmarks` takes them, `benchmarks.report` renders them."""
