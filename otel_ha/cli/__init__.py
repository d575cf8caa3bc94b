"""The command `otel-ha`; it needs the extra cli."""
