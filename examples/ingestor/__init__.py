"""A service that writes Home Assistant's events to a time-series store, measured with otel-ha from end to end.

Sources (`mqtt`, `websocket`) put events into a bounded queue (`intake`), and after a reconnect also the states that
they have missed (`last_seen`). `mqtt_messages` finds the events in the messages of a broker, with `topics`, `payloads`,
`discovery` and `source_time`. A worker filters and de-duplicates the events (`filter`, `dedup`), adds the attributes
that other messages have reported (`descriptions`), and turns the events into points (`processing`, `transformer`,
`line_protocol`). A batch sink writes the points, and writes them again while the store is away (`sink`, `outage`,
`http_sink`, `file_sink`). `service` connects the parts as `settings` says. Run it with `python -m examples.ingestor`.
"""
