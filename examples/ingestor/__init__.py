"""A service that takes Home Assistant's events to a time-series store, measured with otel-ha from end to end.

Sources (`mqtt`, `websocket`) put events into a bounded queue (`intake`); a worker filters and de-duplicates them and
makes points of them (`processing`, `line_protocol`); a batch sink writes the points (`sink`, `http_sink`, `file_sink`).
`service` puts the parts together, `settings` says how. Run it by `python -m examples.ingestor`.
"""
