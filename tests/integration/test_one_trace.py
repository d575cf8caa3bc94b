"""One piece of work has the same ids in Jaeger, in VictoriaLogs and in Prometheus, whatever dies meanwhile."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from tests.pages import ROOT
from tests.servers.fixtures import MakeCollector
from tests.servers.jaeger import Jaeger
from tests.servers.otelcol import Collector
from tests.servers.prometheus import Prometheus
from tests.servers.running import eventually
from tests.servers.victoria_logs import VictoriaLogs

# A busy machine may take a while to start a server; that is not a failure.
pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

PAGE = (ROOT / "docs" / "how-to" / "traces-and-logs.md").read_text(encoding="utf-8")
BUCKETS = "homeassistant_event_process_duration_seconds_bucket"
WITHIN = 60.0


@dataclass
class Service:
    """A running tests/integration/traced.py."""

    process: subprocess.Popen[str]
    metrics_url: str

    @property
    def target(self) -> str:
        return self.metrics_url.split("/")[2]

    def handle(self, text: str) -> None:
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "handled\n"

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


class Start(Protocol):
    """Starts a service that pushes all three signals, metrics twice a second; it is ended with the test."""

    def __call__(self, collector: Collector | None = None, **settings: str) -> Service:
        """Without a Collector, the settings say where the signals go."""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """See the protocol."""
    with ExitStack() as ended:

        def start(collector: Collector | None = None, **settings: str) -> Service:
            if collector is not None:
                settings["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.otlp_http_endpoint
            process = ended.enter_context(_running(settings, tmp_path / "service.log"))
            ended.callback(process.kill)
            return Service(process, process.stdout.readline().strip())

        yield start


def _running(more: Mapping[str, str], log: Path) -> subprocess.Popen[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    settings = {
        "OTEL_EXPORTER_OTLP_TIMEOUT": "60000",
        "OTEL_EXPORTER_PROMETHEUS_PORT": "0",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
        "OTEL_METRIC_EXPORT_TIMEOUT": "60000",
        "OTEL_TRACES_EXPORTER": "otlp",
        **more,
    }
    with log.open("ab") as errors:
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.integration.traced"],
            cwd=ROOT,
            env={**inherited, **settings, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )


@dataclass
class Stores:
    """The three places in which the ids of one piece of work must be the same."""

    jaeger: Jaeger
    logs: VictoriaLogs
    prometheus: Prometheus

    def start(self) -> None:
        for server in (self.jaeger, self.logs, self.prometheus):
            server.start()

    def stop(self) -> None:
        for server in (self.jaeger, self.logs, self.prometheus):
            server.stop()

    def ids(self, text: str) -> tuple[str, str]:
        """The trace and span ids of the log record about a text, which Jaeger knows as a span of measured work."""
        [record] = eventually(lambda: self.logs.query(f'_msg:="handling {text}"'), timeout=WITHIN)
        trace_id, span_id = record["trace_id"], record["span_id"]
        [span] = eventually(lambda: self.jaeger.trace(trace_id), timeout=WITHIN)
        assert (span["spanID"], span["operationName"]) == (span_id, "homeassistant.event.process")
        assert record["service.name"] == "traced"
        return trace_id, span_id

    def exemplars(self, via: str) -> set[tuple[str, str]]:
        """The trace and span ids of the exemplars of durations that arrived in one of three ways."""
        found = self.prometheus.exemplars(f'{BUCKETS}{{via="{via}"}}')
        return {(labels["trace_id"], labels["span_id"]) for _, labels in found}

    def has_exemplar(self, ids: tuple[str, str], via: str) -> None:
        eventually(lambda: self.exemplars(via), lambda found: ids in found, timeout=WITHIN)


@pytest.fixture
def stores(jaeger: Jaeger, victoria_logs: VictoriaLogs, prometheus: Prometheus) -> Stores:
    return Stores(jaeger, victoria_logs, prometheus)


@pytest.fixture
def collector(make_otelcol: MakeCollector, stores: Stores) -> Collector:
    """A running Collector that passes each signal to its store."""
    upstreams = {"OTELCOL_TRACES_UPSTREAM": stores.jaeger.otlp, "OTELCOL_LOGS_UPSTREAM": stores.logs.upstream}
    return make_otelcol(upstream=stores.prometheus.otlp_endpoint, variables=upstreams).start()


def test_a_trace_its_log_record_and_its_exemplar_by_otlp_and_by_scrape_have_the_same_ids(start, stores, collector):
    service = start(collector)
    stores.prometheus.scrape("ha-ingestor", service.target)
    service.handle("one")
    ids = stores.ids("one")
    for via in ("", "scrape"):
        stores.has_exemplar(ids, via)
    found = stores.prometheus.exemplars(panel_with_exemplars())
    assert {labels["trace_id"] for _, labels in found} == {ids[0]}


def test_a_scrape_of_the_collector_has_exemplars_whose_traces_are_known(start, stores, collector):
    service = start(collector)
    stores.prometheus.scrape("otelcol-exporter", collector.prometheus_target)

    def look() -> set[tuple[str, str]]:
        # The Collector shows an exemplar until the next push, and so does not show each one to a scrape.
        service.handle("many")
        return stores.exemplars("collector")

    for trace_id, span_id in eventually(look, timeout=WITHIN):
        [span] = eventually(lambda trace_id=trace_id: stores.jaeger.trace(trace_id), timeout=WITHIN)
        assert span["spanID"] == span_id


def test_nothing_is_lost_when_sigterm_ends_the_service_right_after_its_work(start, stores, collector):
    service = start(collector)
    service.handle("the last")
    service.end()
    assert service.process.returncode == -signal.SIGTERM
    stores.has_exemplar(stores.ids("the last"), via="")


def test_nothing_is_lost_when_the_collector_is_killed_before_it_has_passed_anything_on(start, stores, collector):
    stores.stop()
    service = start(collector)
    service.handle("kept")
    service.end()
    collector.kill()
    stores.start()
    collector.start()
    stores.has_exemplar(stores.ids("kept"), via="")


def test_nothing_is_lost_when_the_work_is_done_while_the_collector_is_away(start, stores, collector):
    service = start(collector)
    collector.kill()
    service.handle("meanwhile")
    collector.start()
    stores.has_exemplar(stores.ids("meanwhile"), via="")


def panel_with_exemplars() -> str:
    """The query of the one panel for Grafana that shows exemplars, as it is with all services chosen."""
    text = (ROOT / "collector-config" / "grafana" / "dashboards" / "otel-ha-pipeline.json").read_text(encoding="utf-8")
    panels = [panel for row in json.loads(text)["panels"] for panel in (row, *row.get("panels", []))]
    targets = [target for panel in panels for target in panel.get("targets", [])]
    [query] = [target["expr"] for target in targets if target.get("exemplar")]
    return re.sub(r"\$(job|instance|via)", ".*", query).replace("$__rate_interval", "1m")


def shown(heading: str) -> dict[str, str]:
    """The variables that a section of the page sets."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"\b(OTEL_\w+)=(\S+)", section))


def test_the_home_stacks_variables_push_straight_to_jaeger_and_victoria_logs(start, stores):
    variables = shown("In the home stack")
    assert len(variables) == 5
    real = {"http://127.0.0.1:14318": stores.jaeger.otlp, "http://127.0.0.1:9428": stores.logs.url}
    for usual, url in real.items():
        variables = {name: value.replace(usual, url) for name, value in variables.items()}
    service = start(**variables)
    service.handle("at home")
    stores.ids("at home")


def test_the_samplers_variables_trace_a_share_of_the_work_and_count_all_of_it(start, stores, collector):
    variables = shown("How much")
    assert variables.pop("OTEL_TRACES_SAMPLER_ARG") == "0.1"
    service = start(collector, **variables, OTEL_TRACES_SAMPLER_ARG="0")
    for _ in range(5):
        service.handle("untraced")
    service.end()
    records = eventually(
        lambda: stores.logs.query('_msg:="handling untraced"'), lambda found: len(found) == 5, timeout=WITHIN
    )
    # Everything that there is to send has been sent.
    assert [stores.jaeger.trace(record["trace_id"]) for record in records] == [[]] * 5
    count = "homeassistant_event_process_duration_seconds_count"
    latest = f"last_over_time({count}[5m])"
    eventually(lambda: stores.prometheus.query(latest), lambda rows: [n for _, n in rows] == [5], timeout=WITHIN)
    assert stores.exemplars("") == set()
