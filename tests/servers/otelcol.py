"""The Collector, run on the repository's agent.yaml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.servers.locate import ROOT
from tests.servers.running import HOST, Server, free_ports, get

AGENT = ROOT / "collector-config" / "otelcol" / "agent.yaml"


class Collector(Server):
    """A Collector on free ports.

    Without an upstream it serves its Prometheus exporter only: agent.yaml's default upstream is a Prometheus on this
    machine, which may be the user's, and must not get test data.
    """

    name = "otelcol"

    def __init__(
        self,
        program: Path,
        directory: Path,
        *,
        upstream: str | None = None,
        variables: Mapping[str, str] | None = None,
        config: Path = AGENT,
    ) -> None:
        super().__init__(program, directory)
        grpc, http, exporter, telemetry, health = free_ports(5)
        self.config = config
        self.otlp_grpc_endpoint = f"http://{HOST}:{grpc}"
        self.otlp_http_endpoint = f"http://{HOST}:{http}"
        self.prometheus_target = f"{HOST}:{exporter}"
        self.telemetry_target = f"{HOST}:{telemetry}"
        self.health_url = f"http://{HOST}:{health}/"
        ways_out = {"OTELCOL_UPSTREAM": upstream} if upstream else {"OTELCOL_EXPORTERS": "[prometheus]"}
        self.variables = {
            "OTELCOL_OTLP_GRPC_PORT": str(grpc),
            "OTELCOL_OTLP_HTTP_PORT": str(http),
            "OTELCOL_PROMETHEUS_PORT": str(exporter),
            "OTELCOL_TELEMETRY_PORT": str(telemetry),
            "OTELCOL_HEALTH_PORT": str(health),
            "OTELCOL_STORAGE": str(directory / "storage"),
            **ways_out,
            **(variables or {}),
        }

    @property
    def prometheus_url(self) -> str:
        """The pushed metrics of services, for Prometheus."""
        return f"http://{self.prometheus_target}/metrics"

    @property
    def telemetry_url(self) -> str:
        """The Collector's metrics about itself."""
        return f"http://{self.telemetry_target}/metrics"

    def command(self) -> Sequence[str | Path]:
        """The agent."""
        return [self.program, "--config", self.config]

    def environment(self) -> Mapping[str, str]:
        """agent.yaml's variables."""
        return {**super().environment(), **self.variables}

    def ready(self) -> bool:
        """health_check answers 200 once the pipelines run."""
        return bool(get(self.health_url))
