"""vmalert: evaluates rules on a VictoriaMetrics, and hands alerts to an Alertmanager."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.servers.running import HOST, Server, free_ports, get, get_json


class VMAlert(Server):
    """Evaluates every rule each second, and writes the results back to the store.

    Without a notifier it drops alerts, but still writes ALERTS series.
    """

    name = "vmalert"

    def __init__(
        self, program: Path, directory: Path, *, store: str, rules: Sequence[Path], notifier: str | None = None
    ) -> None:
        super().__init__(program, directory)
        [port] = free_ports(1)
        self.target = f"{HOST}:{port}"
        self.url = f"http://{self.target}"
        self.store = store
        self.rules = list(rules)
        self.notifier = notifier

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that are pending or fire now."""
        found: list[dict[str, Any]] = get_json(f"{self.url}/api/v1/alerts")["data"]["alerts"]
        return found

    def groups(self) -> list[dict[str, Any]]:
        """Every group with its rules; a rule has its health and its last error."""
        found: list[dict[str, Any]] = get_json(f"{self.url}/api/v1/rules")["data"]["groups"]
        return found

    def command(self) -> Sequence[str | Path]:
        """State survives a restart: it is read from the store. By default evaluation waits for data 30 s old."""
        return [
            self.program,
            f"-httpListenAddr={self.target}",
            *(f"-rule={path}" for path in self.rules),
            f"-datasource.url={self.store}",
            f"-remoteWrite.url={self.store}",
            f"-remoteRead.url={self.store}",
            "-remoteWrite.flushInterval=500ms",
            f"-notifier.url={self.notifier}" if self.notifier else "-notifier.blackhole",
            "-evaluationInterval=1s",
            "-rule.evalDelay=0s",
        ]

    def ready(self) -> bool:
        """/health says OK once the rules are loaded."""
        return get(f"{self.url}/health") == "OK"
