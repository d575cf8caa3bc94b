"""The HTTP side: what is answered (Endpoint), and a server of our own for it (Server). Neither knows the other."""

from otel_ha.endpoint.application import Endpoint
from otel_ha.endpoint.interfaces import Response
from otel_ha.endpoint.server import Server

__all__ = ["Endpoint", "Response", "Server"]
