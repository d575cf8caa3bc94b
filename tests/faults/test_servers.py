"""Servers that are killed and started again while a service records and pushes."""

from __future__ import annotations

import pytest

from tests.faults.stored import in_text
from tests.servers.running import eventually

pytestmark = pytest.mark.servers


def test_a_collector_killed_and_started_again_has_every_event(otelcol, start, table):
    service = start("--rate=2000", OTEL_EXPORTER_OTLP_ENDPOINT=otelcol.otlp_http_endpoint)
    service.wait_for(lambda: service.check_now(lambda: in_text(otelcol.prometheus_url)).received > 0)
    otelcol.kill()
    service.wait_for_log("otel_ha")
    otelcol.start()
    service.wait_for(lambda: service.check_now(lambda: in_text(otelcol.prometheus_url)).received > 0)
    account = service.stop()
    stored = eventually(lambda: in_text(otelcol.prometheus_url), lambda found: found.received >= account.recorded)
    table.add(
        account.outcome(
            "Collector killed with -9 and started again", "Servers", stored, log_lines=len(service.log_lines())
        )
    )
