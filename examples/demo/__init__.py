"""The demo: a synthetic home, an embedded broker, the ingestor, and a table of what its metrics say. `make demo`."""
