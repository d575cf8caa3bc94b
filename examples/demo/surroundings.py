"""The surroundings of the demo: whether a Collector answers and whether a port is free."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from otel_ha import TelemetryConfig

ANSWER_TIMEOUT = 0.5
EXPORT_INTERVAL = 5.0


@dataclass(frozen=True)
class Surroundings:
    """The configuration of telemetry, the URL that OTLP is pushed to, if any, and what the user should know of both."""

    config: TelemetryConfig
    otlp: str | None
    notes: tuple[str, ...]


def surroundings(port: int | None) -> Surroundings:
    """Look whether a Collector answers and whether the port is free.

    Environment variables apply, but the Prometheus exporter is always on: the demo reads its own scrape.
    """
    notes = []
    config = TelemetryConfig()
    wanted = "otlp" in config.metrics_exporters
    target = config.otlp("metrics").url
    url = target if wanted and answers(target) else None
    if wanted and url is None:
        notes.append(f"No Collector answers at {target}: nothing is pushed.")
    chosen = config.prometheus_port if port is None else port
    if port is None and is_taken(config.prometheus_host, chosen):
        notes.append(f"Port {chosen} is in use: the page and the metrics are on a free port.")
        chosen = 0
    interval = config.export_interval if "OTEL_METRIC_EXPORT_INTERVAL" in os.environ else EXPORT_INTERVAL
    exporters = ("otlp", "prometheus") if url else ("prometheus",)
    config = replace(
        config, metrics_exporters=exporters, prometheus_port=chosen, export_interval=interval, enabled=True
    )
    return Surroundings(config, url, tuple(notes))


def answers(url: str) -> bool:
    """Return whether a server accepts connections at a URL."""
    parts = urlsplit(url if "://" in url else f"//{url}")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((parts.hostname or "", port), ANSWER_TIMEOUT):
            return True
    except OSError:
        return False


def is_taken(host: str, port: int) -> bool:
    """Return whether a port is in use."""
    try:
        with socket.create_server((host, port)):
            return False
    except OSError:
        return True
