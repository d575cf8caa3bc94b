"""A service that writes Home Assistant's events to a time-series store, measured with otel-ha from end to end.

Sources (`mqtt`, `websocket`) put events into a bounded queue (`intake`). A worker filters and de-duplicates the events
and turns them into points (`processing`, `line_protocol`). A batch sink writes the points (`sink`, `http_sink`,
`file_sink`). `service` connects the parts as `settings` says. Run it with `python -m examples.ingestor`.
"""
