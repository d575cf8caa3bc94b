"""The Collector's pipelines for traces and logs: off by default, and once they are on, nothing accepted is lost."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.signals import NAME, SERVICE, TRACE, send
from tests.servers.fixtures import MakeCollector
from tests.servers.fleet import AGENT_FLEET, GATEWAY
from tests.servers.jaeger import Jaeger
from tests.servers.otelcol import AGENT, Collector
from tests.servers.running import HOST, eventually, get
from tests.servers.victoria_logs import VictoriaLogs

# A busy machine may take a while to start a server; that is not a failure.
pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

# No server: the Collectors of these tests have no metrics to send.
NOWHERE = f"http://{HOST}:9"

WITHIN = 90.0

MakeOn = Callable[..., Collector]


each_config = pytest.mark.parametrize("config", [AGENT, GATEWAY], ids=["agent", "gateway"])


@pytest.fixture
def config() -> Path:
    """The configuration of the Collector."""
    return GATEWAY


@pytest.fixture
def make(make_otelcol: MakeCollector, config: Path) -> Iterator[MakeOn]:
    """Makes a Collector with the upstreams that are given; the variables of a gateway hold whole addresses."""
    made: list[Collector] = []

    def make(traces: str | None = None, logs: str | None = None) -> Collector:
        paths = {"traces": "/v1/traces", "logs": "/v1/logs"} if config == GATEWAY else {"traces": "", "logs": ""}
        upstreams = {"traces": traces, "logs": logs}
        named = {f"OTELCOL_{name.upper()}_UPSTREAM": f"{url}{paths[name]}" for name, url in upstreams.items() if url}
        made.append(make_otelcol(upstream=NOWHERE, variables=named, config=config))
        return made[-1]

    yield make
    # A gateway that is asked to end waits ten seconds for its last push to itself.
    for collector in made:
        collector.kill()


def total(collector: Collector, name: str) -> float:
    """The sum of all series of one of the Collector's own metrics."""
    values = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", get(collector.telemetry_url), re.MULTILINE)
    return sum(map(float, values))


def kept(collector: Collector) -> list[str]:
    """The files on the Collector's disk that hold a span or a log record of the tests."""
    files = [path for path in (collector.directory / "storage").rglob("*") if path.is_file()]
    assert files
    return [path.name for path in files if NAME.encode() in path.read_bytes()]


def ids_of(spans: list[dict[str, Any]]) -> set[int]:
    return {int(span["spanID"], 16) for span in spans}


def span_ids(jaeger: Jaeger) -> set[int]:
    return ids_of(jaeger.trace(TRACE.hex()))


def record_ids(logs: VictoriaLogs) -> set[int]:
    return {int(record["span_id"], 16) for record in logs.query(f'service.name:="{SERVICE}"')}


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
