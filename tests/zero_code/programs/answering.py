"""A WSGI application that counts when it is loaded, and at each request."""

import os

from otel_ha.vocabulary import ingest

ingest.RECEIVED.add(100, source="mqtt")


def application(_, start_response):
    """Count, and answer with the process's number."""
    ingest.RECEIVED.add(1, source="mqtt")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
