"""InfluxDB 1.x."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.servers.running import HOST, Server, free_ports, get_json, post


class InfluxDB(Server):
    """Line protocol in at /write?db=…; a database has to be created first."""

    name = "influxd"

    def __init__(self, program: Path, directory: Path) -> None:
        super().__init__(program, directory)
        http, self._rpc_port = free_ports(2)
        self.address = f"{HOST}:{http}"
        self.url = f"http://{self.address}"

    def create_database(self, name: str) -> str:
        """Create a database and return its write URL."""
        self._post(f'CREATE DATABASE "{name}"')
        return f"{self.url}/write?db={urllib.parse.quote(name)}"

    def query(self, influxql: str, database: str = "") -> list[dict[str, Any]]:
        """Every row as {column or tag: value}, with the measurement's name under "measurement"."""
        answer = get_json(f"{self.url}/query", q=influxql, db=database, epoch="ns")
        return _rows(answer)

    def command(self) -> Sequence[str | Path]:
        """With a generated configuration: data below the test's directory, and no usage reports."""
        config = self.directory / "influxdb.conf"
        config.write_text(
            "reporting-disabled = true\n"
            f'bind-address = "{HOST}:{self._rpc_port}"\n'
            f'[meta]\ndir = "{self.directory}/meta"\n'
            f'[data]\ndir = "{self.directory}/data"\nwal-dir = "{self.directory}/wal"\n'
            f'[http]\nbind-address = "{self.address}"\nlog-enabled = false\n'
            "[monitor]\nstore-enabled = false\n"
            "[continuous_queries]\nenabled = false\n",
            encoding="utf-8",
        )
        return [self.program, "-config", config]

    def ready(self) -> bool:
        """It answers a query (/ping answers before the storage is open)."""
        return "results" in get_json(f"{self.url}/query", q="SHOW DATABASES")

    def _post(self, statement: str) -> None:
        answer = json.loads(post(f"{self.url}/query", urllib.parse.urlencode({"q": statement})))
        _rows(answer)


def _rows(answer: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for result in answer["results"]:
        if "error" in result:
            raise ValueError(result["error"])
        for series in result.get("series", []):
            named = {"measurement": series["name"], **series.get("tags", {})} if "name" in series else {}
            rows += [
                {**named, **dict(zip(series["columns"], values, strict=True))} for values in series.get("values", [])
            ]
    return rows
