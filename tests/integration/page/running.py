"""The service of these tests as a process, and a fixed summary behind an endpoint in this process."""

from __future__ import annotations

import copy
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from otel_ha.serve.application import Endpoint
from otel_ha.serve.server import Server as EndpointServer
from tests.servers.locate import ROOT
from tests.servers.running import HOST, Server, eventually, free_ports, get, get_json

Summary = dict[str, Any]

# As many as fill each range of the page with another number of points: 75 minutes.
COLLECTIONS = 150
APART = 30.0
# Nothing listens there, so that telemetry is degraded, with a reason.
NOWHERE = "http://127.0.0.1:1"


class Service(Server):
    """The service on a port of its own, which it keeps when it starts again."""

    name = "service"

    def __init__(self, directory: Path, names: Mapping[str, str] | None = None, **variables: str) -> None:
        super().__init__(Path(sys.executable), directory)
        [self.port] = free_ports(1)
        self.url = f"http://{HOST}:{self.port}/"
        self._names = json.dumps(dict(names or {}))
        self._variables = variables

    def command(self) -> Sequence[str | Path]:
        return [self.program, "-m", "tests.integration.page.service", self._names]

    def environment(self) -> Mapping[str, str]:
        return {
            **super().environment(),
            "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", ""))),
            "OTEL_EXPORTER_OTLP_ENDPOINT": NOWHERE,
            "OTEL_EXPORTER_PROMETHEUS_PORT": str(self.port),
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
            "OTEL_HA_HISTORY_INTERVAL": "0.2",
            **self._variables,
        }

    def ready(self) -> bool:
        return bool(get(f"{self.url}metrics"))

    def summary(self) -> Summary:
        """Return a summary of more than a few collections, with a failed push."""

        def taken() -> Summary:
            return get_json(f"{self.url}summary")

        return eventually(taken, lambda found: len(found["history"]["performance"]) > 10 and _has_failed(found))


def _has_failed(summary: Summary) -> bool:
    return any(reader["last_error"] for reader in summary["health"]["readers"])


def stretched(summary: Summary) -> Summary:
    """Return a summary whose collections are repeated, half a minute apart, as in a service that has long run."""
    made = copy.deepcopy(summary)
    history = made["history"]
    for part in ("system", "performance", "business"):
        taken = history[part]
        history[part] = [dict(taken[index % len(taken)]) for index in range(COLLECTIONS)]
        for index, figures in enumerate(reversed(history[part])):
            figures["timestamp"] = made["timestamp"] - index * APART
    made["started"] = made["timestamp"] - COLLECTIONS * APART
    history.update(length=COLLECTIONS, interval=APART)
    return made


def endpoint(summary: Summary, username: str | None = None, password: str | None = None) -> Endpoint:
    """Return an endpoint that answers with one summary."""
    return Endpoint(
        CollectorRegistry(), lambda: summary["health"], lambda: summary, username=username, password=password
    )


@contextmanager
def serving(summary: Summary, username: str | None = None, password: str | None = None, **more: Any) -> Iterator[str]:
    """Serve a page of one summary, and yield its URL."""
    server = EndpointServer(endpoint(summary, username, password), HOST, 0, **more)
    server.start()
    try:
        yield f"{server.url}/"
    finally:
        server.stop()
