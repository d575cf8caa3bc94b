"""gunicorn: the counts of the arbiter and of every worker arrive at a real Collector exactly once, by push."""

from __future__ import annotations

import re
from urllib.request import urlopen

import pytest

from tests.servers.otelcol import Collector
from tests.servers.running import HOST, eventually, free_ports, get
from tests.zero_code.environment import PROGRAMS

WORKERS, REQUESTS = 3, 40
LOADED = 100
"""The count of an application when it is loaded."""
NEVER = str(3600 * 1000)


def received(collector: Collector) -> dict[str, float]:
    """The counts that arrived, by instance."""
    lines = re.findall(
        r"^homeassistant_event_received_total\{(.*)\} (\S+)", get(collector.prometheus_url), re.MULTILINE
    )
    return {re.search(r'instance="([^"]+)"', labels)[1]: float(count) for labels, count in lines}


def answer(port: int) -> str:
    """Send a request, and return the worker that answered."""
    with urlopen(f"http://{HOST}:{port}/", timeout=20) as response:
        return response.read().decode()


@pytest.mark.parametrize(
    ("options", "loads"),
    [((), WORKERS), (("--preload",), 1), (("--preload", "--threads", "2"), 1)],
    ids=["workers", "preload", "preload and threads"],
)
def test_counts_of_every_process_arrive_exactly_once(make_environment, otelcol, command, options, loads):
    [port] = free_ports(1)
    settings = {
        "OTEL_METRICS_EXPORTER": "otlp,prometheus",
        "OTEL_EXPORTER_OTLP_ENDPOINT": otelcol.otlp_http_endpoint,
        "OTEL_METRIC_EXPORT_INTERVAL": NEVER,
    }
    # opentelemetry-instrument takes an option --config for an abbreviation of its own.
    place = ("--bind", f"{HOST}:{port}", "--chdir", str(PROGRAMS), "-c", str(PROGRAMS / "gunicorn_settings.py"))
    arguments = ("--workers", str(WORKERS), *place, *options)
    program = make_environment("gunicorn").start(command, "gunicorn", *arguments, "answering:application", **settings)
    eventually(lambda: program.output.count("worker is ready"), lambda ready: ready == WORKERS, timeout=60)
    workers = {answer(port) for _ in range(REQUESTS)}
    assert program.stop() == 0, program.output
    counts = received(otelcol)
    assert sum(counts.values()) == loads * LOADED + REQUESTS, program.output
    assert len(counts) >= len(workers)
    assert "no metrics endpoint" not in program.output
    assert "Traceback" not in program.output
