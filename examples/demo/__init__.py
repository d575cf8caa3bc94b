"""The demo: a synthetic home, an embedded broker, the ingestor, and a table of its metrics. `make demo` runs it."""
