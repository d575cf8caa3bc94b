"""Jaeger 2, run on the repository's jaeger.yaml: OTLP traces in, its HTTP API out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.servers.locate import ROOT
from tests.servers.running import HOST, RefusedError, Server, free_ports, get_json, post

CONFIG = ROOT / "collector-config" / "jaeger" / "jaeger.yaml"


class Jaeger(Server):
    """Takes OTLP traces over HTTP, and keeps them on disk. The one that `make servers` builds has no pages."""

    name = "jaeger"

    def __init__(self, program: Path, directory: Path) -> None:
        super().__init__(program, directory)
        otlp, http, grpc = free_ports(3)
        self.otlp = f"http://{HOST}:{otlp}"  # for OTEL_EXPORTER_OTLP_ENDPOINT and the Collector: both add /v1/traces
        self.url = f"http://{HOST}:{http}"
        self.variables = {
            "JAEGER_OTLP_HTTP_PORT": str(otlp),
            "JAEGER_HTTP_PORT": str(http),
            "JAEGER_GRPC_PORT": str(grpc),
            "JAEGER_STORAGE": str(directory / "storage"),
        }

    @property
    def otlp_traces_endpoint(self) -> str:
        """For OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, which is used as given."""
        return f"{self.otlp}/v1/traces"

    def trace(self, trace_id: str) -> list[dict[str, Any]]:
        """The spans of a trace, each with operationName, spanID, references and tags; none if it is not known."""
        try:
            answer = get_json(f"{self.url}/api/traces/{trace_id}")
        except RefusedError as error:
            if error.status == 404:
                return []
            raise
        return [span for trace in answer["data"] for span in trace["spans"]]

    def spans(self, service: str) -> list[dict[str, Any]]:
        """Every span of a service from the last hour."""
        answer = get_json(f"{self.url}/api/traces", service=service, limit="1000", lookback="1h")
        return [span for trace in answer["data"] for span in trace["spans"]]

    def command(self) -> Sequence[str | Path]:
        """The repository's file."""
        return [self.program, "--config", CONFIG]

    def environment(self) -> Mapping[str, str]:
        """jaeger.yaml's variables."""
        return {**super().environment(), **self.variables}

    def ready(self) -> bool:
        """Whether it takes traces, which it does last."""
        return bool(post(self.otlp_traces_endpoint, "{}", "application/json"))
