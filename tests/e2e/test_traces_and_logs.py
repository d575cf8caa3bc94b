"""The page on traces and logs, followed to the letter: an exemplar leads to its trace and its log record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pages import ROOT
from tests.reader import Reader, reading
from tests.servers.running import HOST, free_ports

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

PAGE = ROOT / "docs" / "how-to" / "traces-and-logs.md"
# The ports of the page, and the variable by which each program takes another, if it has one.
ON_THE_PAGE = {
    "9464": "OTEL_EXPORTER_PROMETHEUS_PORT",
    "14318": "JAEGER_OTLP_HTTP_PORT",
    "16686": "JAEGER_HTTP_PORT",
    "9428": None,
    "9090": None,
}
BESIDES = (
    "JAEGER_GRPC_PORT",
    "OTELCOL_OTLP_GRPC_PORT",
    "OTELCOL_OTLP_HTTP_PORT",
    "OTELCOL_PROMETHEUS_PORT",
    "OTELCOL_TELEMETRY_PORT",
    "OTELCOL_HEALTH_PORT",
)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with reading(tmp_path, ["jaeger", "victoria-logs", "otelcol", "prometheus"]) as reader:
        yield reader


def test_following_the_page_leads_from_an_exemplar_to_its_trace_and_its_log_record(reader):
    ports = [str(port) for port in free_ports(len(ON_THE_PAGE) + len(BESIDES))]
    page = PAGE.read_text(encoding="utf-8")
    for (usual, variable), port in zip(ON_THE_PAGE.items(), ports, strict=False):
        page = page.replace(usual, port)
        reader.environment |= {variable: port} if variable else {}
    reader.environment |= dict(zip(BESIDES, ports[len(ON_THE_PAGE) :], strict=True))
    reader.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://{HOST}:{reader.environment['OTELCOL_OTLP_HTTP_PORT']}"
    kinds = reader.follow(page)
    assert [kinds.count(kind) for kind in ("python", "yaml", "sh", "text")] == [1, 1, 7, 2]
    assert reader.terminals == {}
