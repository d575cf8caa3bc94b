"""A fleet on this machine: agents, gateways and Thanos, each as collector-config/ has it, but on free ports."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.servers.locate import ROOT
from tests.servers.otelcol import Collector
from tests.servers.running import HOST, Server, free_ports, get, instant_query

FOLDER = ROOT / "collector-config"
COMPOSE = FOLDER / "compose-fleet.yaml"
AGENT_FLEET = FOLDER / "otelcol" / "agent-fleet.yaml"
GATEWAY = FOLDER / "otelcol" / "gateway.yaml"


class Thanos(Server):
    """One part of Thanos with the command of its service in compose-fleet.yaml.

    `places` has the real address or path for each one in the compose file. All parts of a fleet share it, and each adds
    its own. `flags` replace those of the file, for a test that cannot wait.
    """

    def __init__(self, program: Path, directory: Path, service: str, places: dict[str, str]) -> None:
        self.flags: dict[str, str] = {}
        self.name = f"thanos-{service}"
        super().__init__(program, directory)
        grpc, http, remote_write, capnproto = free_ports(4)
        self.service = service
        self.target = f"{HOST}:{http}"
        self.url = f"http://{self.target}"
        self.otlp_metrics_endpoint = f"http://{HOST}:{remote_write}/api/v1/otlp"
        self._places = places
        self._addresses = {"--grpc-address": f"{HOST}:{grpc}", "--http-address": self.target}
        if service.startswith("receive"):
            self._addresses |= {
                "--remote-write.address": f"{HOST}:{remote_write}",
                # It listens there even though the replication uses gRPC.
                "--receive.capnproto-address": f"{HOST}:{capnproto}",
            }
        if service == "compact":
            del self._addresses["--grpc-address"]
        places |= {f"{service}:10901": f"{HOST}:{grpc}", f"{service}:10902": self.target}

    def query(self, promql: str) -> list[tuple[dict[str, str], float]]:
        """Every (labels, value) now, each copy once. Fails instead of answering in part."""
        return instant_query(self.url, promql, partial_response="false")

    def command(self) -> Sequence[str | Path]:
        """The service's own command, its paths and addresses replaced."""
        command = [self._placed(each) for each in service_of(self.service)["command"]]
        flags = {**self._addresses, **self.flags}
        kept = [each for each in command if each.split("=")[0] not in flags]
        return [self.program, *kept, *(f"{flag}={value}" for flag, value in flags.items())]

    def ready(self) -> bool:
        """/-/ready answers 200 once it does its work."""
        return bool(get(f"{self.url}/-/ready"))

    def _placed(self, text: str) -> str:
        own = {"/data": str(self.directory / "data"), "/etc/thanos": str(self._configuration())}
        return _replaced(text, {**self._places, **own})

    def _configuration(self) -> Path:
        folder = self.directory / "etc"
        folder.mkdir(exist_ok=True)
        for path in (FOLDER / "thanos").iterdir():
            (folder / path.name).write_text(_replaced(path.read_text(encoding="utf-8"), self._places), encoding="utf-8")
        return folder


class Fleet:
    """Everything of a fleet, not started: `start()` starts what the test names."""

    def __init__(self, otelcol: Path, thanos: Path, directory: Path) -> None:
        self.bucket = directory / "bucket"
        self.bucket.mkdir(parents=True)
        self._places = {
            "directory: /bucket": f"directory: {self.bucket}",
            "alertmanager:9093": f"{HOST}:9",
            "/etc/prometheus": str(FOLDER / "prometheus"),
        }
        self._thanos = {
            name: Thanos(thanos, directory / name, name, self._places)
            for name, service in load()["services"].items()
            if "thanos" in service["image"]
        }
        self.receivers = [part for name, part in self._thanos.items() if name.startswith("receive")]
        # Each gateway pushes to a receiver of its own; with containers, a name stands for all receivers.
        self.gateways = [
            Collector(
                otelcol, directory / f"gateway-{n}", upstream=self.receivers[n].otlp_metrics_endpoint, config=GATEWAY
            )
            for n in range(2)
        ]
        addresses = ", ".join(gateway.otlp_grpc_endpoint.removeprefix("http://") for gateway in self.gateways)
        variables = {"OTELCOL_GATEWAYS": f"[{addresses}]"}
        self.agents = [
            Collector(otelcol, directory / f"agent-{n}", config=AGENT_FLEET, variables=variables) for n in range(2)
        ]

    @property
    def servers(self) -> list[Server]:
        """All, in the order in which they may stop."""
        return [*self.agents, *self.gateways, *self._thanos.values()]

    def part(self, service: str) -> Thanos:
        """The part of Thanos that has this name in compose-fleet.yaml."""
        return self._thanos[service]


def load() -> dict[str, Any]:
    """The compose file."""
    compose: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return compose


def service_of(name: str) -> dict[str, Any]:
    """A service of the compose file."""
    service: dict[str, Any] = load()["services"][name]
    return service


def _replaced(text: str, places: Mapping[str, str]) -> str:
    # At once, so that nothing is replaced within what has just been put in.
    return re.sub("|".join(map(re.escape, places)), lambda found: places[found[0]], text)
