"""Starts tests/e2e/service.py as a process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers.running import ServerError

# Long enough that only the last push falls within a test.
NEVER = str(3600 * 1000)


@contextmanager
def service(way: str, endpoint: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A service that has counted and is ready."""
    variables = {
        "PATH": os.environ["PATH"],
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_PROMETHEUS_PORT": "0",
        "OTEL_HA_SYSTEM_METRICS": "false",
        "OTEL_METRIC_EXPORT_INTERVAL": NEVER,
        **environment,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.service", way],
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            line = process.stdout.readline()
            if not line.startswith("ready"):
                process.kill()
                raise ServerError(process.stderr.read())
            process.metrics_url = line.split()[1]
            yield process
        finally:
            process.kill()
