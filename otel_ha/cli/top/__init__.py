"""`otel-ha top`: a live screen of running services."""
