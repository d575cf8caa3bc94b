"""A program for an environment into which the package was installed: record, scrape, push, read the summary, end.

It is run outside the repository (`tests/package.py`), with `without-grpcio` if grpcio is not installed. Standard
library and otel_ha only.
"""

import importlib.util
import logging
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path
from threading import Thread

import otel_ha
from otel_ha import ConfigError, TelemetryConfig, measured, setup_telemetry
from otel_ha.vocabulary import ingest

PUSHES: list[str] = []


class Receiver(BaseHTTPRequestHandler):
    """Accepts every push."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        PUSHES.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@measured(ingest.EVENT, source="mqtt", domain="light")
def handle() -> None:
    """Handle an event."""


def main(*, without_grpcio: bool) -> None:
    logging.basicConfig(level=logging.ERROR)
    package = Path(otel_ha.__file__).parent
    assert package.is_relative_to(sys.prefix), package
    assert (package / "py.typed").is_file()
    assert metadata.version("otel-ha") == otel_ha.__version__
    assert (importlib.util.find_spec("grpc") is None) == without_grpcio
    with HTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        Thread(target=receiver.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{receiver.server_port}"
        config = TelemetryConfig(prometheus_port=0, otlp_endpoint=endpoint, environ={})
        with setup_telemetry("smoke", config=config) as telemetry:
            handle()
            assert telemetry.metrics_url
            with urllib.request.urlopen(telemetry.metrics_url, timeout=30) as response:
                text = response.read().decode()
            assert 'homeassistant_event_received_total{homeassistant_source="mqtt"' in text, text
            assert "process_cpu_time_seconds_total" in text, text
            assert telemetry.flush()
            assert telemetry.summary()["service"] == "smoke"
            assert telemetry.health()["status"] == "ok", telemetry.health()
        receiver.shutdown()
    assert PUSHES[0] == "/v1/metrics"
    assert accepts_grpc() != without_grpcio
    print(f"otel-ha {otel_ha.__version__} works on Python {sys.version.split()[0]}")


def accepts_grpc() -> bool:
    config = TelemetryConfig(otlp_protocol="grpc", metrics_exporters=("otlp",), shutdown_timeout=0.5, environ={})
    try:
        setup_telemetry("smoke", config=config).shutdown()
    except ConfigError:
        return False
    return True


if __name__ == "__main__":
    main(without_grpcio="without-grpcio" in sys.argv)
