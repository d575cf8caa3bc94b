"""The example ingestor's telemetry written by hand: with OpenTelemetry's SDK, and with prometheus_client.

`statements` has the statements of each peer that stand where ours stand in the ingestor's sources. They use the
instruments in `with_opentelemetry` or `with_prometheus_client`, which a service would have as a module of its own.
Importing one of these starts its telemetry.
"""
