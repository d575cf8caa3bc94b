import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from otel_ha import Telemetry, TelemetryConfig, setup_telemetry
from otel_ha import telemetry as running


@pytest.fixture(autouse=True)
def _no_telemetry_left() -> Iterator[None]:
    """Fail a test that leaves telemetry running, and stop it for the next one."""
    yield
    left = running._running
    if left is not None:
        left.shutdown(timeout=1)
        pytest.fail(f"the test left {left} running")


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
def telemetry(quiet_config: TelemetryConfig) -> Iterator[Telemetry]:
    with setup_telemetry("test", config=quiet_config) as running_telemetry:
        yield running_telemetry


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]
    with suppress(OSError):
        server.close()
