import socket
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from wsgiref.util import setup_testing_defaults

import pytest

from otel_ha import Telemetry, TelemetryConfig, setup_telemetry
from otel_ha import telemetry as running
from otel_ha.testing import captured_metrics


@pytest.fixture(autouse=True)
def _no_telemetry_left() -> Iterator[None]:
    """Fail a test that leaves telemetry running, and stop it for the next one."""
    yield
    left = running.running_telemetry()
    if left is not None:
        left.shutdown(timeout=1)
        pytest.fail(f"the test left {left} running")


@pytest.fixture(autouse=True)
def _no_early_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a history collect after its interval, not after a second: a test on a busy machine may take that long.

    What is recorded during one collection waits for its end, and a scrape meanwhile does not see it.
    """
    monkeypatch.setattr("otel_ha.history.reader._FIRST", 3600.0)


@pytest.fixture
def quiet_config() -> TelemetryConfig:
    """Settings for a test: scraped on a free port, not pushed, nothing read from the environment."""
    return config()


def config(**settings: object) -> TelemetryConfig:
    """Return settings for a test; the environment is not read."""
    return TelemetryConfig(
        **{"metrics_exporters": ("prometheus",), "prometheus_port": 0, "system_metrics": False, "environ": {}}
        | settings
    )


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    """Telemetry of the test kit: without a port and threads."""
    with captured_metrics() as metrics:
        assert metrics.telemetry is not None
        yield metrics.telemetry


@pytest.fixture
def served(quiet_config: TelemetryConfig) -> Iterator[Telemetry]:
    """Telemetry with its endpoint on a free port."""
    with setup_telemetry("test", config=quiet_config) as telemetry:
        yield telemetry


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]
    with suppress(OSError):
        server.close()


@pytest.fixture
def receiver() -> Iterator[ThreadingHTTPServer]:
    """An HTTP server that accepts every push; `asked` has the paths, and `headers` the headers, of its requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.server.asked.append(self.path)
            self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.headers = [], []
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(app: object, path: str) -> tuple[int, bytes]:
    """Return the status and the body of a WSGI application's answer."""
    environ: dict[str, object] = {"PATH_INFO": path}
    setup_testing_defaults(environ)
    statuses: list[str] = []
    body = b"".join(app(environ, lambda status, _: statuses.append(status)))
    return int(statuses[0].split()[0]), body
