"""Traces and logs arrive in a real Collector: by both protocols, after it was away, and at SIGTERM."""

from __future__ import annotations

import json
import logging
import signal
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace

from otel_ha import Telemetry, TelemetryConfig, setup_telemetry
from tests.e2e.test_traced import ended, traced
from tests.receivers import Receiver
from tests.servers.fixtures import Keep, NewDirectory, needed
from tests.servers.otelcol import Collector
from tests.servers.running import HOST, eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

# No server: the Collectors of these tests have no metrics to send.
NOWHERE = f"http://{HOST}:9"

WITHIN = 90.0

MakeOn = Callable[..., Collector]


each_config = pytest.mark.parametrize("config", [AGENT, GATEWAY], ids=["agent", "gateway"])


@pytest.fixture
def collector(server_directory: NewDirectory, keep_server: Keep) -> Collector:
    """A Collector that writes all signals into the file `arrived.json` of its directory."""
    directory = Path(server_directory("otelcol"))
    config = directory / "signals.yaml"
    config.write_text(SETTINGS)
    server = Collector(
        needed("otelcol"), directory, variables={"OTELCOL_FILE": str(directory / "arrived.json")}, config=config
    )
    keep_server(server)
    return server


def arrived(collector: Collector, kind: str) -> list[dict[str, Any]]:
    """The spans or the log records that the Collector has written until now."""
    outer, scopes, inner = {
        "spans": ("resourceSpans", "scopeSpans", "spans"),
        "records": ("resourceLogs", "scopeLogs", "logRecords"),
    }[kind]
    file = collector.config.with_name("arrived.json")
    lines = file.read_text().splitlines() if file.exists() else []
    return [
        item
        for line in lines
        if line.endswith("}")
        for group in json.loads(line).get(outer, ())
        for scope in group[scopes]
        for item in scope[inner]
    ]


def names(collector: Collector) -> list[str]:
    return sorted(each["name"] for each in arrived(collector, "spans"))


def started(endpoint: str, **settings: Any) -> Telemetry:
    config = TelemetryConfig(
        environ={},
        metrics_exporters=("otlp",),
        traces_exporters=("otlp",),
        logs_exporters=("otlp",),
        otlp_endpoint=endpoint,
        system_metrics=False,
        **settings,
    )
    return setup_telemetry("traced", config=config)


def ids_of(spans: list[dict[str, Any]]) -> set[int]:
    return {int(span["spanID"], 16) for span in spans}


def span_ids(jaeger: Jaeger) -> set[int]:
    return ids_of(jaeger.trace(TRACE.hex()))


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_span_and_its_record_arrive_with_one_trace_id(collector: Collector, protocol: str) -> None:
    collector.start()
    endpoint = collector.otlp_grpc_endpoint if protocol == "grpc" else collector.otlp_http_endpoint
    with started(endpoint, otlp_protocol=protocol, otlp_compression="gzip") as telemetry:
        work("one")
        assert telemetry.flush(30)
    (span,) = eventually(lambda: arrived(collector, "spans"))
    (record,) = eventually(lambda: arrived(collector, "records"))
    assert (span["name"], record["body"]["stringValue"]) == ("one", "one")
    assert (record["traceId"], record["spanId"]) == (span["traceId"], span["spanId"])


@each_config
class TestByDefault:
    def test_traces_and_logs_are_accepted_and_dropped(self, make: MakeOn) -> None:
        collector = make().start()
        send(collector.otlp_grpc_endpoint, range(1, 101))
        dropped = ("otelcol_processor_filter_spans_filtered_total", "otelcol_processor_filter_logs_filtered_total")
        for name in dropped:
            eventually(lambda name=name: total(collector, name), lambda value: value == 100, timeout=WITHIN)
        assert total(collector, "otelcol_receiver_refused_spans_total") == 0
        assert kept(collector) == []

    def test_the_collector_has_nothing_to_warn_of(self, make: MakeOn) -> None:
        collector = make().start()
        send(collector.otlp_grpc_endpoint, [1])
        eventually(
            lambda: total(collector, "otelcol_processor_filter_logs_filtered_total"),
            lambda value: value == 1,
            timeout=WITHIN,
        )
        lines = collector.log.read_text(encoding="utf-8").splitlines()
        noted = [line for line in lines if re.search(r"\t(warn|error)\t", line)]
        assert [line for line in noted if "filter" in line or "traces" in line or "logs" in line] == []

    def test_one_signal_can_be_on_without_the_other(self, make: MakeOn, victoria_logs: VictoriaLogs) -> None:
        collector = make(logs=victoria_logs.upstream).start()
        send(collector.otlp_grpc_endpoint, range(1, 11))
        eventually(lambda: record_ids(victoria_logs), lambda found: found == set(range(1, 11)), timeout=WITHIN)
        eventually(
            lambda: total(collector, "otelcol_processor_filter_spans_filtered_total"),
            lambda value: value == 10,
            timeout=WITHIN,
        )
        assert total(collector, "otelcol_processor_filter_logs_filtered_total") == 0


@each_config
class TestWithUpstreams:
    def test_nothing_is_lost_when_the_upstreams_and_then_the_collector_are_killed(
        self, make: MakeOn, jaeger: Jaeger, victoria_logs: VictoriaLogs
    ) -> None:
        collector = make(jaeger.otlp, victoria_logs.upstream).start()
        send(collector.otlp_grpc_endpoint, range(1, 51))
        eventually(
            lambda: (span_ids(jaeger), record_ids(victoria_logs)),
            lambda two: all(len(ids) == 50 for ids in two),
            timeout=WITHIN,
        )
        jaeger.kill()
        # A kill would lose the last seconds that VictoriaLogs has confirmed, which is not the Collector's fault.
        victoria_logs.stop()
        send(collector.otlp_grpc_endpoint, range(51, 101))
        collector.kill()
        assert len(kept(collector)) == 2
        collector.start()
        send(collector.otlp_grpc_endpoint, range(101, 151))
        jaeger.start()
        victoria_logs.start()
        everything = set(range(1, 151))
        eventually(lambda: span_ids(jaeger), lambda found: found == everything, timeout=WITHIN)
        eventually(lambda: record_ids(victoria_logs), lambda found: found == everything, timeout=WITHIN)

    def test_logs_arrive_while_traces_wait_for_an_upstream_that_is_away(
        self, make: MakeOn, jaeger: Jaeger, victoria_logs: VictoriaLogs
    ) -> None:
        collector = make(jaeger.otlp, victoria_logs.upstream).start()
        jaeger.stop()
        send(collector.otlp_grpc_endpoint, range(1, 11))
        eventually(lambda: record_ids(victoria_logs), lambda found: found == set(range(1, 11)), timeout=WITHIN)
        jaeger.start()
        eventually(lambda: span_ids(jaeger), lambda found: found == set(range(1, 11)), timeout=WITHIN)


def test_a_fleets_agent_that_is_killed_while_no_gateway_answers_loses_nothing_and_keeps_each_trace_whole(
    make: MakeOn, make_otelcol: MakeCollector, jaeger: Jaeger, victoria_logs: VictoriaLogs
) -> None:
    gateways = [make(jaeger.otlp, victoria_logs.upstream) for _ in range(2)]
    addresses = ", ".join(gateway.otlp_grpc_endpoint.removeprefix("http://") for gateway in gateways)
    agent = make_otelcol(config=AGENT_FLEET, variables={"OTELCOL_GATEWAYS": f"[{addresses}]"}).start()
    for number in range(20):
        send(agent.otlp_grpc_endpoint, [2 * number + 1, 2 * number + 2], trace=bytes([number + 1] * 16))
    agent.kill()
    for collector in (*gateways, agent):
        collector.start()
    everything = set(range(1, 41))
    eventually(lambda: ids_of(jaeger.spans(SERVICE)), lambda ids: ids == everything, timeout=WITHIN)
    eventually(lambda: record_ids(victoria_logs), lambda ids: ids == everything, timeout=WITHIN)
    shares = [total(gateway, "otelcol_receiver_accepted_spans_total") for gateway in gateways]
    assert min(shares) > 0
    assert [share % 2 for share in shares] == [0, 0]
    # Asked to end, it would wait ten seconds for its last push to itself, as gateways do.
    agent.kill()
