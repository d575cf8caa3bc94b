"""Measurements of otel-ha and its peers: `python -m benchmarks` measures, `benchmarks.report` renders the page."""
