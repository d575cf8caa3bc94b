"""A receiver of OTLP over HTTP in this process, as slow as a test needs it."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest


class Receiver(ThreadingHTTPServer):
    """Stores the last value of each sum, by service instance; answers after `delay` seconds."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, delay: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.delay = delay
        self.pushes = 0
        """The pushes that have begun to arrive."""
        self._values: dict[tuple[str, str], float] = {}

    @property
    def endpoint(self) -> str:
        """The endpoint to push to."""
        return f"http://127.0.0.1:{self.server_port}"

    def total(self, name: str) -> float:
        """Return a sum over all instances."""
        return sum(value for (of, _), value in self._values.items() if of == name)

    def store(self, request: ExportMetricsServiceRequest) -> None:
        """Store the sums of a request."""
        for resource_metrics in request.resource_metrics:
            attributes = {each.key: each.value.string_value for each in resource_metrics.resource.attributes}
            for scope_metrics in resource_metrics.scope_metrics:
                for metric in scope_metrics.metrics:
                    points = metric.sum.data_points
                    of = metric.name, attributes["service.instance.id"]
                    self._values[of] = sum(point.as_int or point.as_double for point in points)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        self.server.pushes += 1
        body = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(self.server.delay)
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.store(ExportMetricsServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in BaseHTTPRequestHandler
        """Log nothing."""


@contextmanager
def receiver(delay: float = 0.0) -> Iterator[Receiver]:
    """Run a receiver for a block."""
    with Receiver(delay) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
