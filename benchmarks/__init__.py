"""Measurements side by side with peers: `python -m benchmarks` runs them, `benchmarks.report` renders what they found."""
