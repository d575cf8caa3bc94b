"""`otel-ha doctor`: explains why no data arrives."""
