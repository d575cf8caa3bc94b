"""The push: OTLP over HTTP or gRPC, with one log line when an outage starts and one when it ends."""
