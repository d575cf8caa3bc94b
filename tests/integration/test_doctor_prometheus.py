"""The doctor on a real Prometheus and a real VictoriaMetrics: each fault is a finding that names its cause."""

import time

import pytest
import yaml
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.integration.doctor import SCRAPE_ONLY, SERVICE, doctor, issue, service, target_of, url_of
from tests.integration.shifted import shifted
from tests.servers.prometheus import Scrape
from tests.servers.running import HOST, eventually, free_ports, post

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

TEN_MINUTES = 600.0


def is_scraped(store, job=SERVICE):
    eventually(lambda: store.query(f'homeassistant_event_received_total{{job="{job}"}}'))


def pushing_to(store, **settings):
    """The settings of a service that pushes to a store, each second."""
    url = getattr(store, "otlp_endpoint", f"{store.url}/opentelemetry")
    return {"otlp_endpoint": f"{url}/v1/metrics", "export_interval": 1.0, **settings}


def report_with(causes, *options, **variables):
    """The report, as soon as it has these causes: VictoriaMetrics shows a new series to one query before another."""
    return eventually(lambda: doctor(*options, **variables), lambda report: report.causes == causes, timeout=60)


def ways_in(report):
    """The values of `via` in a report, which has no step about ways before anything arrives."""
    return {way["via"] for step in report.data["steps"] for way in step["facts"].get("ways", ())}


@pytest.fixture(params=["prometheus", "victoria_metrics"])
def store(request):
    """A running store of each kind."""
    return request.getfixturevalue(request.param)


def test_a_service_that_is_scraped_has_no_finding(store):
    with service() as telemetry:
        store.scrape(SERVICE, target_of(telemetry))
        is_scraped(store)
        report = report_with([], "--service-url", url_of(telemetry), "--prometheus", store.url, **SCRAPE_ONLY)
    assert report.code == 0
    flavour = {"prometheus": "Prometheus", "victoria-metrics": "VictoriaMetrics"}[store.name]
    assert report.step("prometheus.connection")["facts"]["flavour"] == flavour
    [way] = report.step("prometheus.ways")["facts"]["ways"]
    assert way["kind"] == "scrape of the service"
    assert report.step("prometheus.target")["facts"]["last_error"] is None


def test_a_target_that_is_down_is_shown_with_the_error_of_its_scrape(store):
    [port] = free_ports(1)
    store.scrape(SERVICE, f"{HOST}:{port}")
    eventually(lambda: store.query(f'up{{job="{SERVICE}"}} == 0'))
    report = report_with(
        ["no_service", "target_refused", "not_arriving"],
        "--prometheus",
        store.url,
        OTEL_EXPORTER_PROMETHEUS_PORT=str(port),
        OTEL_SERVICE_NAME=SERVICE,
        **SCRAPE_ONLY,
    )
    target = report.step("prometheus.target")
    assert "connection refused" in target["found"]
    assert "connection refused" in target["facts"]["last_error"]


def test_a_service_without_a_target_gets_the_lines_to_add(prometheus):
    with service() as telemetry:
        report = doctor("--service-url", url_of(telemetry), "--prometheus", prometheus.url, **SCRAPE_ONLY)
        assert report.causes == ["no_target", "not_arriving"]
        lines = report.step("prometheus.target")["facts"]["scrape_config"]
        [job] = yaml.safe_load(lines)["scrape_configs"]
        assert job["job_name"] == SERVICE
        [static] = job["static_configs"]
        prometheus.scrape(job["job_name"], static["targets"][0])
        is_scraped(prometheus)
        assert doctor("--service-url", url_of(telemetry), "--prometheus", prometheus.url, **SCRAPE_ONLY).code == 0


def test_a_wrong_password_of_the_scrape_is_named(store):
    with service(endpoint_username="prometheus", endpoint_password="correct") as telemetry:
        store.scrape(SERVICE, target_of(telemetry))
        eventually(lambda: store.query(f'up{{job="{SERVICE}"}} == 0'))
        variables = {"OTEL_HA_ENDPOINT_USERNAME": "prometheus", "OTEL_HA_ENDPOINT_PASSWORD": "correct"}
        report = report_with(
            ["target_password", "not_arriving"],
            "--service-url",
            url_of(telemetry),
            "--prometheus",
            store.url,
            **variables,
            **SCRAPE_ONLY,
        )
    assert "401" in report.step("prometheus.target")["found"]


@pytest.mark.parametrize(
    ("path", "cause"), [("/metric", "target_path"), ("/summary", "target_content_type")], ids=["missing", "no metrics"]
)
def test_a_wrong_path_of_the_scrape_is_named(make_prometheus, path, cause):
    with service() as telemetry:
        prometheus = make_prometheus([Scrape(SERVICE, target_of(telemetry), metrics_path=path)]).start()
        eventually(lambda: prometheus.query(f'up{{job="{SERVICE}"}} == 0'))
        report = doctor("--service-url", url_of(telemetry), "--prometheus", prometheus.url, **SCRAPE_ONLY)
    assert report.causes[0] == cause


def test_a_target_of_another_scheme_is_named(make_prometheus, tmp_path):
    pem = issue(tmp_path)
    with service(endpoint_certificate=pem.certificate, endpoint_key=pem.key) as telemetry:
        prometheus = make_prometheus([Scrape(SERVICE, target_of(telemetry))]).start()
        eventually(lambda: prometheus.query(f'up{{job="{SERVICE}"}} == 0'))
        options = ("--service-url", url_of(telemetry), "--ca", str(pem.authority), "--prometheus", prometheus.url)
        report = doctor(*options, **SCRAPE_ONLY)
    assert report.causes == ["target_tls", "not_arriving"]


def test_a_prometheus_without_otlp_receiver_is_named(make_prometheus):
    prometheus = make_prometheus()
    with_receiver = prometheus.command
    prometheus.command = lambda: [each for each in with_receiver() if each != "--web.enable-otlp-receiver"]
    prometheus.start()
    variables = {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": prometheus.otlp_endpoint}
    report = doctor("--prometheus", prometheus.url, OTEL_SERVICE_NAME=SERVICE, **variables)
    push = report.step("collector.push")
    assert push["cause"] == "no_otlp_receiver"
    assert "--web.enable-otlp-receiver" in push["remedy"]
    assert push["facts"]["code"] == "404"


def test_a_wrong_path_of_pushes_is_named(store):
    variables = {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": store.url}
    report = doctor("--prometheus", store.url, OTEL_SERVICE_NAME=SERVICE, **variables)
    assert report.step("collector.push")["cause"] == "otlp_path"


def test_a_push_that_arrives_has_no_finding(store):
    with service(metrics_exporters=("otlp",), **pushing_to(store)) as telemetry:
        assert telemetry.flush()
        eventually(lambda: store.query(f'homeassistant_event_received_total{{job="{SERVICE}"}}'))
        endpoint = telemetry.config.otlp("metrics").url.removesuffix("/v1/metrics")
        variables = {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        report = report_with([], "--prometheus", store.url, OTEL_SERVICE_NAME=SERVICE, **variables)
    [way] = report.step("prometheus.ways")["facts"]["ways"]
    assert way["kind"] == "push by OTLP"


@pytest.mark.parametrize(("name", "job"), [(SERVICE, "another-name"), ("kitchen", "kitchen")], ids=["job", "no via"])
def test_a_service_that_arrives_by_two_ways_at_once_is_found(store, name, job):
    with service(name, metrics_exporters=("otlp", "prometheus"), **pushing_to(store)) as telemetry:
        store.scrape(job, target_of(telemetry))  # only the repository's job ha-ingestor has the label via
        is_scraped(store, job)
        eventually(lambda: store.query(f'homeassistant_event_received_total{{job="{name}", instance!~"127.*"}}'))
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": telemetry.config.otlp("metrics").url.removesuffix("/v1/metrics")}
        report = report_with(["two_ways"], "--service-url", url_of(telemetry), "--prometheus", store.url, **variables)
    kinds = {way["kind"].partition(" ")[0] for way in report.step("prometheus.ways")["facts"]["ways"]}
    assert kinds == {"scrape", "push"}


def test_two_ways_that_via_tells_apart_are_no_finding_but_are_said(store):
    with service(metrics_exporters=("otlp", "prometheus"), **pushing_to(store)) as telemetry:
        store.scrape(SERVICE, target_of(telemetry))
        is_scraped(store)
        eventually(lambda: store.query(f'homeassistant_event_received_total{{job="{SERVICE}", via=""}}'))
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": telemetry.config.otlp("metrics").url.removesuffix("/v1/metrics")}
        options = ("--service-url", url_of(telemetry), "--prometheus", store.url)
        # VictoriaMetrics shows a new series to one query before another.
        report = eventually(
            lambda: doctor(*options, **variables),
            lambda report: ways_in(report) == {"scrape", ""},
            timeout=60,
        )
    assert report.causes == []
    ways = report.step("prometheus.ways")
    assert "tell them apart by `via`" in ways["found"]


def test_two_processes_of_one_service_are_not_two_ways(prometheus):
    with service(metrics_exporters=("otlp",), **pushing_to(prometheus)) as telemetry:
        assert telemetry.flush()
    with service() as telemetry:
        prometheus.scrape(SERVICE, target_of(telemetry))
        eventually(lambda: len(prometheus.query(f'homeassistant_event_received_total{{job="{SERVICE}"}}')) == 2)
        report = doctor("--service-url", url_of(telemetry), "--prometheus", prometheus.url, **SCRAPE_ONLY)
    assert report.causes == []


def test_a_scrape_of_the_collector_that_renames_job_is_named(prometheus, otelcol):
    push = {"otlp_endpoint": f"{otelcol.otlp_http_endpoint}/v1/metrics", "export_interval": 1.0}
    with service(metrics_exporters=("otlp",), **push) as telemetry:
        assert telemetry.flush()
        prometheus.scrape("the-collector", otelcol.prometheus_target, honor_labels=False)
        eventually(lambda: prometheus.query(f'homeassistant_event_received_total{{exported_job="{SERVICE}"}}'))
        variables = {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": otelcol.otlp_http_endpoint}
        report = doctor("--prometheus", prometheus.url, OTEL_SERVICE_NAME=SERVICE, **variables)
    assert report.causes == ["honor_labels_missing"]


@pytest.mark.parametrize("seconds", [TEN_MINUTES, -TEN_MINUTES], ids=["ahead", "behind"])
def test_a_clock_ten_minutes_off_is_found(store, seconds):
    with service() as telemetry, shifted(store.url, seconds) as url:
        report = doctor("--service-url", url_of(telemetry), "--prometheus", url, **SCRAPE_ONLY)
    assert "clock_differs" in report.causes
    clock = report.step("prometheus.clock")
    assert clock["cause"] == "clock_differs"
    assert abs(clock["facts"]["ahead"] - seconds) < 30
    assert report.step("endpoint.clock")["result"] == "ok"


def pushed_at(moment: float) -> bytes:
    """A push of one gauge that was measured at a time."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="test.late")
    metric.gauge.data_points.add(as_double=1.0, time_unix_nano=int(moment * 1e9))
    return request.SerializeToString()


def let_refuse_a_sample(prometheus):
    now = time.time()
    post(prometheus.otlp_metrics_endpoint, pushed_at(now), "application/x-protobuf")
    with pytest.raises(OSError, match="400"):
        post(prometheus.otlp_metrics_endpoint, pushed_at(now - 5 * 86_400), "application/x-protobuf")


def test_samples_that_prometheus_has_refused_are_found(prometheus):
    let_refuse_a_sample(prometheus)
    report = doctor("--prometheus", prometheus.url, OTEL_SERVICE_NAME=SERVICE, **SCRAPE_ONLY)
    refused = report.step("prometheus.refused")
    assert refused["cause"] == "samples_refused"
    assert refused["facts"]["refused"] == {"prometheus_tsdb_too_old_samples_total": 1}


def test_samples_that_were_refused_long_ago_are_no_finding(prometheus):
    let_refuse_a_sample(prometheus)
    # The counter as Prometheus records it, if it scrapes itself for an hour.
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="prometheus_tsdb_too_old_samples")
    metric.sum.is_monotonic, metric.sum.aggregation_temporality = True, 2
    for moment in (now := time.time(), now - 3610):
        metric.sum.data_points.add(as_int=1, time_unix_nano=int(moment * 1e9))
    post(prometheus.otlp_metrics_endpoint, request.SerializeToString(), "application/x-protobuf")
    refused = doctor("--prometheus", prometheus.url, **SCRAPE_ONLY).step("prometheus.refused")
    assert refused["result"] == "ok", refused
    assert "none was refused within the last hour; 1 before" in refused["found"]


def test_samples_that_victoria_metrics_has_ignored_are_found(victoria_metrics):
    post(f"{victoria_metrics.url}/api/v1/import/prometheus", "test_late 1 1000", "text/plain")
    report = doctor("--prometheus", victoria_metrics.url, OTEL_SERVICE_NAME=SERVICE, **SCRAPE_ONLY)
    refused = report.step("prometheus.refused")
    assert refused["cause"] == "samples_refused"
    assert refused["facts"]["refused"] == {"vm_rows_ignored_total": 1}


def test_a_url_that_is_no_prometheus_is_named(prometheus):
    with service() as telemetry:
        report = doctor("--service-url", url_of(telemetry), "--prometheus", url_of(telemetry), **SCRAPE_ONLY)
    assert report.causes == ["not_prometheus"]


def test_a_prometheus_that_does_not_run_is_named():
    [port] = free_ports(1)
    with service() as telemetry:
        options = ("--service-url", url_of(telemetry), "--prometheus", f"http://{HOST}:{port}")
        report = doctor(*options, **SCRAPE_ONLY)
    assert report.causes == ["connection_refused"]


def test_the_doctor_leaves_the_service_s_series_alone(make_prometheus):
    prometheus = make_prometheus(rules=()).start()
    with service() as telemetry:
        prometheus.scrape(SERVICE, target_of(telemetry))
        is_scraped(prometheus)
        events = "homeassistant_event_received_total"
        before = prometheus.query(events)
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": prometheus.otlp_endpoint, "OTEL_SERVICE_NAME": SERVICE}
        doctor("--service-url", url_of(telemetry), "--prometheus", prometheus.url, **variables)
        assert prometheus.query(events) == before
        [(labels, _)] = prometheus.query('count by (job) (last_over_time({job=~".+"}[1h]))')
        assert labels["job"] == SERVICE
