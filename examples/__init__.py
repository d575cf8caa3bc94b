"""Examples of otel-ha: each one runs, and a test runs it."""
