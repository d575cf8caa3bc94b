"""Traces and logs: their providers, the queues in which spans and records wait, and the hook in logging."""
