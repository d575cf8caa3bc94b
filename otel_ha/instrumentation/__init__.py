"""Instrumentation of libraries: the entry points of `opentelemetry-instrument`."""
