"""Shared by the tests of the earlier API: telemetry, a process without it, and the snippets."""

import runpy

import pytest

from otel_ha.vocabulary import runtime
from tests import earlier
from tests.earlier import SNIPPETS, values

MQTT = frozenset({("homeassistant_source", "mqtt"), ("homeassistant_domain", "light"), ("homeassistant_outcome", "ok")})
SERVER = ("host_name", "server-01")


@pytest.fixture
def telemetry():
    with earlier.telemetry() as running:
        yield running


@pytest.fixture
def alone(monkeypatch):
    """A process without telemetry, in which set-up listens on a free port and pushes nothing."""
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "prometheus")
    monkeypatch.setenv("OTEL_EXPORTER_PROMETHEUS_PORT", "0")
    monkeypatch.setenv("OTEL_HA_SYSTEM_METRICS", "false")
    with earlier.untouched():
        yield monkeypatch


def problem_counts(of):
    return values(of, runtime.RECORDING_PROBLEMS)


def run(snippet: str) -> dict:
    return runpy.run_path(str(SNIPPETS / f"{snippet}.py"))
