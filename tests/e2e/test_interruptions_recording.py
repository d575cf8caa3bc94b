"""Handlers that raise wherever they interrupt recording or a collection, while the service goes on."""

import os
import subprocess
import sys

import pytest

EXEMPLARS = ["trace_based", "always_on"]  # with always_on, everything is recorded through the OpenTelemetry API


@pytest.mark.parametrize("exemplars", EXEMPLARS)
@pytest.mark.parametrize("way", ["counter", "histogram", "expiring", "gauge", "event", "collection"])
def test_a_handler_that_raises_costs_nothing_but_the_call_that_it_interrupts(way, exemplars):
    environment = {
        "PATH": os.environ["PATH"],
        "OTEL_METRICS_EXPORTER": "prometheus",
        "OTEL_EXPORTER_PROMETHEUS_PORT": "0",
        "OTEL_HA_SYSTEM_METRICS": "false",
        "OTEL_METRICS_EXEMPLAR_FILTER": exemplars,
    }
    command = [sys.executable, "-W", "ignore", "-m", "tests.e2e.raising", way]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=50)
    assert done.stdout.strip() == "True False True 1.0 0", done.stderr
