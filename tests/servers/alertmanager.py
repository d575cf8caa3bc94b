"""Alertmanager, run on the configuration that a test gives it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.servers.running import HOST, Server, free_ports, get, get_json, post

NOBODY = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


class Alertmanager(Server):
    """Groups alerts and notifies receivers. The one that `make servers` builds has no pages.

    `config` is the text of an alertmanager.yml; without it, nobody is notified. Relative paths in it start at the
    server's directory.
    """

    name = "alertmanager"

    def __init__(self, program: Path, directory: Path, *, config: str = NOBODY) -> None:
        super().__init__(program, directory)
        [port] = free_ports(1)
        self.target = f"{HOST}:{port}"
        self.url = f"http://{self.target}"
        self.config = directory / "alertmanager.yml"
        self.config.write_text(config, encoding="utf-8")

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that fire now."""
        found: list[dict[str, Any]] = get_json(f"{self.url}/api/v2/alerts")
        return found

    def send(self, *alerts: dict[str, Any]) -> None:
        """Post alerts as Prometheus does: each has labels, and may have annotations, startsAt and endsAt."""
        post(f"{self.url}/api/v2/alerts", json.dumps(alerts), "application/json")

    def reload(self) -> None:
        """Read the configuration again. Raises RefusedError if it is wrong."""
        post(f"{self.url}/-/reload")

    def command(self) -> Sequence[str | Path]:
        """Without a cluster: one instance."""
        return [
            self.program,
            f"--config.file={self.config}",
            f"--storage.path={self.directory / 'data'}",
            f"--web.listen-address={self.target}",
            "--cluster.listen-address=",
        ]

    def ready(self) -> bool:
        """/-/ready answers 200 once alerts are accepted."""
        return bool(get(f"{self.url}/-/ready"))
