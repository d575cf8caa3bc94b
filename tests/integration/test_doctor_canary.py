"""The doctor's canary on real servers: it arrives by each way, and where it does not, the cause is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otel_ha import TelemetryConfig, setup_telemetry
from otel_ha.cli.client import Access
from otel_ha.cli.doctor import canary
from otel_ha.cli.doctor.canary import SERVICE, canary_steps
from otel_ha.cli.doctor.step import Result, Step
from otel_ha.vocabulary import ingest
from tests.doctor import examined, settings, without_proxies
from tests.servers.fixtures import Keep, needed
from tests.servers.otelcol import AGENT, Collector
from tests.servers.prometheus import Prometheus, Scrape
from tests.servers.running import HOST, eventually, free_ports, get

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

PATIENCE = 30.0
IMPATIENT = 1.0


@pytest.fixture(autouse=True)
def _environment_without_proxies(monkeypatch):
    without_proxies(monkeypatch)


def sent(config: TelemetryConfig, patience: float = PATIENCE, **more: Any) -> tuple[Step, Step, Step]:
    """The steps of a canary: push, exporter, Prometheus."""
    given = {"collector_metrics": None, "prometheus": None, "access": Access()} | more
    push, exporter, store = canary_steps(config, patience=patience, **given)
    return push, exporter, store


def results(steps: tuple[Step, ...]) -> list[str]:
    return [step.result.value for step in steps]


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_canary_goes_the_whole_way_in_seconds(otelcol, prometheus, protocol):
    prometheus.scrape("otelcol-exporter", otelcol.prometheus_target)
    url = otelcol.otlp_grpc_endpoint if protocol == "grpc" else otelcol.otlp_http_endpoint
    waited: list[str] = []
    steps = sent(
        settings(url, protocol),
        collector_metrics=otelcol.prometheus_url,
        prometheus=prometheus.url,
        progress=waited.append,
    )
    assert results(steps) == ["ok", "ok", "ok"]
    push, exporter, store = steps
    assert 0 < exporter.seconds < store.seconds
    assert f'job="{SERVICE}"' in exporter.facts["series"][0]
    assert f'job="{SERVICE}"' in store.facts["series"][0]
    assert push.facts["canary"] == exporter.facts["canary"] == store.facts["canary"]
    assert waited[0].startswith("Arrival in Prometheus: not there yet")


def test_each_run_has_one_series_and_an_id_of_its_own(otelcol):
    config = settings(otelcol.otlp_http_endpoint)
    ids = {sent(config, collector_metrics=otelcol.prometheus_url)[1].facts["canary"] for _ in range(2)}
    lines = [line for line in get(otelcol.prometheus_url).splitlines() if f'job="{SERVICE}"' in line]
    # The Collector gives each service a target_info.
    assert sorted(line.partition("{")[0] for line in lines) == ["otel_ha_doctor_canary_total"] * 2 + ["target_info"] * 2
    assert len(ids) == 2


def test_a_canary_goes_by_victoria_metrics_too(otelcol, victoria_metrics):
    victoria_metrics.scrape("otelcol-exporter", otelcol.prometheus_target)
    config = settings(otelcol.otlp_http_endpoint)
    steps = sent(config, collector_metrics=otelcol.prometheus_url, prometheus=victoria_metrics.url)
    assert results(steps) == ["ok", "ok", "ok"]


def test_a_canary_goes_straight_to_a_store_without_naming_it_again(prometheus, victoria_metrics):
    for endpoint in (prometheus.otlp_endpoint, f"{victoria_metrics.url}/opentelemetry"):
        assert results(sent(settings(endpoint))) == ["ok", "skipped", "ok"]


def test_a_canary_that_comes_by_two_ways_arrives(make_otelcol, prometheus):
    collector = make_otelcol(upstream=prometheus.otlp_endpoint).start()
    prometheus.scrape("otelcol-exporter", collector.prometheus_target)
    config = settings(collector.otlp_http_endpoint)
    steps = sent(config, collector_metrics=collector.prometheus_url, prometheus=prometheus.url)
    assert results(steps) == ["ok", "ok", "ok"]


def test_the_series_of_a_service_stay_as_they_are(otelcol):
    config = settings(otelcol.otlp_http_endpoint)
    service = TelemetryConfig(
        otlp_endpoint=otelcol.otlp_http_endpoint, metrics_exporters=("otlp",), export_interval=3600.0, environ={}
    )
    with setup_telemetry("my-service", config=service) as telemetry:
        ingest.RECEIVED.add(3, source="mqtt")
        assert telemetry.flush()
        before = get(otelcol.prometheus_url).splitlines()
        examined(config)
        assert results(sent(config, collector_metrics=otelcol.prometheus_url))[1] == "ok"
        after = get(otelcol.prometheus_url).splitlines()
    own = ("otel_ha_doctor_canary", f'job="{SERVICE}"')
    assert sorted(line for line in after if not any(text in line for text in own)) == sorted(before)


def test_an_exporter_that_prometheus_does_not_scrape(otelcol, prometheus):
    *_, store = sent(
        settings(otelcol.otlp_http_endpoint),
        IMPATIENT,
        collector_metrics=otelcol.prometheus_url,
        prometheus=prometheus.url,
    )
    assert store.cause == "exporter_not_scraped"
    assert otelcol.prometheus_target in store.remedy
    assert "honor_labels: true" in store.remedy


def test_an_exporter_whose_scrape_fails(otelcol, make_prometheus):
    prometheus = make_prometheus([Scrape("otelcol-exporter", otelcol.prometheus_target, metrics_path="/nope")]).start()
    *_, store = sent(
        settings(otelcol.otlp_http_endpoint), 5.0, collector_metrics=otelcol.prometheus_url, prometheus=prometheus.url
    )
    assert store.cause == "exporter_scrape_fails"
    assert "404" in store.found


class Dropping(Prometheus):
    """Prometheus that drops the canary from what it scrapes."""

    def _write_config(self) -> None:
        super()._write_config()
        config = yaml.safe_load(self.config.read_text())
        rule = {"source_labels": ["__name__"], "regex": "otel_ha_doctor_canary.*", "action": "drop"}
        config["scrape_configs"][0]["metric_relabel_configs"] = [rule]
        self.config.write_text(yaml.safe_dump(config))


def test_a_canary_that_prometheus_drops(otelcol, tmp_path, keep_server):
    scrape = Scrape("otelcol-exporter", otelcol.prometheus_target)
    prometheus = Dropping(needed("prometheus"), tmp_path / "prometheus", scrapes=[scrape])
    keep_server(prometheus)
    *_, store = sent(
        settings(otelcol.otlp_http_endpoint),
        5.0,
        collector_metrics=otelcol.prometheus_url,
        prometheus=prometheus.start().url,
    )
    assert store.cause == "not_in_prometheus"
    assert "metric_relabel_configs" in store.remedy


@pytest.fixture
def filtering(tmp_path: Path, keep_server: Keep) -> Callable[[], Collector]:
    """Start a Collector whose pipeline drops the canary."""

    def start() -> Collector:
        config = yaml.safe_load(AGENT.read_text())
        config["processors"]["filter/canary"] = {"metrics": {"metric": ['IsMatch(name, "otel_ha[.]doctor.*")']}}
        config["service"]["pipelines"]["metrics"]["processors"].append("filter/canary")
        (tmp_path / "filtering.yaml").write_text(yaml.safe_dump(config))
        collector = Collector(needed("otelcol"), tmp_path / "otelcol", config=tmp_path / "filtering.yaml")
        keep_server(collector)
        return collector.start()

    return start


def test_a_collector_whose_pipeline_drops_the_canary(filtering, prometheus):
    collector = filtering()
    prometheus.scrape("otelcol-exporter", collector.prometheus_target)
    push, exporter, store = sent(
        settings(collector.otlp_http_endpoint),
        IMPATIENT,
        collector_metrics=collector.prometheus_url,
        prometheus=prometheus.url,
    )
    assert push.result is Result.OK
    assert exporter.cause == "not_in_exporter"
    assert "filter" in exporter.remedy
    assert store.cause == "not_in_prometheus"
    assert "exporter either" in store.found


def test_the_collectors_own_telemetry_is_not_its_exporter(otelcol):
    _, exporter, _ = sent(
        settings(otelcol.otlp_http_endpoint), IMPATIENT, collector_metrics=otelcol.telemetry_url, prometheus=None
    )
    assert exporter.cause == "not_in_exporter"
    assert "another port" in exporter.remedy


def test_an_exporter_that_was_named_and_does_not_answer(otelcol):
    [port] = free_ports(1)
    _, exporter, _ = sent(settings(otelcol.otlp_http_endpoint), collector_metrics=f"http://{HOST}:{port}/metrics")
    assert exporter.cause == "exporter_unreachable"


def test_a_prometheus_that_does_not_answer(otelcol):
    [port] = free_ports(1)
    *_, store = sent(
        settings(otelcol.otlp_http_endpoint),
        collector_metrics=otelcol.prometheus_url,
        prometheus=f"http://{HOST}:{port}",
    )
    assert store.cause == "prometheus_unreachable"


def test_a_url_that_is_not_that_of_a_prometheus(otelcol):
    *_, store = sent(
        settings(otelcol.otlp_http_endpoint),
        collector_metrics=otelcol.prometheus_url,
        prometheus=f"http://{otelcol.prometheus_target}",
    )
    assert store.cause == "not_prometheus"


def test_deltas_that_prometheus_refuses(prometheus):
    steps = sent(settings(prometheus.otlp_endpoint, METRICS_TEMPORALITY_PREFERENCE="delta"))
    assert results(steps) == ["finding", "skipped", "skipped"]
    assert steps[0].cause == "temporality_refused"


def test_deltas_go_through_a_collector(otelcol):
    config = settings(otelcol.otlp_http_endpoint, METRICS_TEMPORALITY_PREFERENCE="delta")
    assert results(sent(config, collector_metrics=otelcol.prometheus_url))[1] == "ok"


def test_a_push_that_fails_is_not_looked_up():
    [port] = free_ports(1)
    steps = sent(settings(f"http://{HOST}:{port}"))
    assert results(steps) == ["finding", "skipped", "skipped"]
    assert steps[0].cause == "push_failed"


@pytest.mark.parametrize("days", [-3, 3])
def test_a_clock_that_is_days_off_is_the_cause_of_refused_samples(prometheus, monkeypatch, days):
    assert results(sent(settings(prometheus.otlp_endpoint)))[0] == "ok"  # an empty Prometheus takes any time
    encoded = canary._encoded

    def shifted(*given: Any) -> bytes:
        request = ExportMetricsServiceRequest.FromString(encoded(*given))
        (point,) = request.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points
        point.start_time_unix_nano += days * 86_400 * 10**9
        point.time_unix_nano += days * 86_400 * 10**9
        return request.SerializeToString()

    monkeypatch.setattr(canary, "_encoded", shifted)
    push, *_ = sent(settings(prometheus.otlp_endpoint))
    assert push.cause == "samples_refused"
    assert "clocks" in push.remedy


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_collector_without_memory_refuses_the_canary(make_otelcol, protocol):
    collector = make_otelcol(variables={"OTELCOL_MEMORY_MIB": "65"}).start()
    url = collector.otlp_grpc_endpoint if protocol == "grpc" else collector.otlp_http_endpoint
    push = eventually(lambda: sent(settings(url, protocol))[0], lambda step: step.result is Result.FINDING)
    assert push.cause == "overloaded"
    assert "memory_limiter" in push.remedy
