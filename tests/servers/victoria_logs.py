"""VictoriaLogs, single node: OTLP logs in, LogsQL out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests.servers.running import HOST, Server, free_ports, get


class VictoriaLogs(Server):
    """Takes OTLP logs, and keeps them on disk; attributes and the resource's attributes become fields."""

    name = "victoria-logs"

    def __init__(self, program: Path, directory: Path) -> None:
        super().__init__(program, directory)
        [port] = free_ports(1)
        self.address = f"{HOST}:{port}"
        self.url = f"http://{self.address}"

    @property
    def otlp(self) -> str:
        """For OTEL_EXPORTER_OTLP_LOGS_ENDPOINT, which is used as given."""
        return f"{self.upstream}/v1/logs"

    @property
    def upstream(self) -> str:
        """For the Collector's otlp_http, which adds /v1/logs."""
        return f"{self.url}/insert/opentelemetry"

    def query(self, logsql: str) -> list[dict[str, str]]:
        """Every log record that matches, as its fields, including the latest: _msg, _time, trace_id, service.name …"""
        get(f"{self.url}/internal/force_flush")
        lines = get(f"{self.url}/select/logsql/query", query=logsql).splitlines()
        return [json.loads(line) for line in lines]

    def command(self) -> Sequence[str | Path]:
        """Keeps everything (the default is a week), and uses little memory, which other tests need as well."""
        return [
            self.program,
            f"-httpListenAddr={self.address}",
            f"-storageDataPath={self.directory / 'data'}",
            "-retentionPeriod=100y",
            "-memory.allowedBytes=256MB",
        ]

    def ready(self) -> bool:
        """/health says OK once the storage is open."""
        return get(f"{self.url}/health") == "OK"
