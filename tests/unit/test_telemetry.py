import asyncio
import json
import logging
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics.export import ExponentialHistogram
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View

from otel_ha import (
    Attribute,
    Catalog,
    ConfigError,
    Counter,
    Gauge,
    Histogram,
    ObservableGauge,
    Telemetry,
    TelemetryConfig,
    TelemetryError,
    UpDownCounter,
    setup_telemetry,
)
from otel_ha.config.under_test import DEFAULTS
from otel_ha.export.pipeline import Pipeline
from otel_ha.vocabulary import ingest
from otel_ha.vocabulary.runtime import EVENT_LOOP_DELAY
from tests.servers.running import free_ports
from tests.unit.conftest import config, get

COLOUR = Attribute("test.colour", "A colour.")
JOBS = Counter("test.jobs", unit="{job}", description="Jobs.", attributes=(COLOUR,))
LOAD = UpDownCounter("test.load", unit="{job}", description="Load.")
LEVEL = Gauge("test.level", unit="1", description="A share.")
WAIT = Histogram("test.wait", unit="s", description="Wait.", buckets=(0.1, 1.5))
DEPTH = ObservableGauge("test.depth", unit="m", description="Depth.")
OURS = Catalog(JOBS, LOAD, LEVEL, WAIT, DEPTH)


def line(telemetry: Telemetry, name: str) -> float:
    """Return the value of the one sample of that name."""
    (sample,) = [line for line in telemetry.prometheus_text().splitlines() if line.startswith((name + "{", name + " "))]
    return float(sample.rpartition(" ")[2])


@pytest.fixture
def ours():
    with setup_telemetry("test", config=config(), catalog=OURS) as telemetry:
        yield telemetry


def test_a_counter_is_found_in_a_scrape(ours):
    JOBS.add(2, colour="red")
    assert line(ours, "test_jobs_total") == 2


def test_every_kind_of_instrument_is_found_in_a_scrape(ours):
    LOAD.add(3)
    LOAD.add(-1)
    LEVEL.set(0.5)
    WAIT.record(0.7)
    DEPTH.observe(lambda: 4.5)
    names = ("test_load", "test_level_ratio", "test_wait_seconds_sum", "test_depth_meters")
    assert [line(ours, name) for name in names] == [2, 0.5, 0.7, 4.5]


def test_a_histogram_has_the_buckets_that_it_declares(ours):
    WAIT.record(0.7)
    bounds = [part.partition('"')[0] for part in ours.prometheus_text().split('le="')[1:]]
    assert bounds == ["0.1", "1.5", "+Inf"]


def test_metrics_are_served_at_the_url_that_telemetry_names(ours):
    JOBS.add(1)
    with urllib.request.urlopen(ours.metrics_url) as response:
        assert b"\ntest_jobs_total 1.0\n" in response.read()


def test_target_info_names_the_service_and_its_instance(ours):
    JOBS.add(1)
    (info,) = [line for line in ours.prometheus_text().splitlines() if line.startswith("target_info{")]
    assert 'service_name="test"' in info
    assert 'service_instance_id="' in info
    assert 'telemetry_distro_name="otel-ha"' in info


def test_the_command_line_is_not_exposed(ours):
    JOBS.add(1)
    assert "process_command" not in ours.prometheus_text()


def test_a_group_that_is_off_stays_inert():
    with setup_telemetry(config=config(business_metrics=False), catalog=OURS) as telemetry:
        JOBS.add(1)
        assert "test_jobs" not in telemetry.prometheus_text()


def test_declarations_are_inert_after_shutdown():
    setup_telemetry(config=config(), catalog=OURS).shutdown()
    JOBS.add(1)
    assert JOBS.recorder is None


@pytest.mark.parametrize(("limit", "of_the_push"), [(60.0, 59.75), (5.0, 4.75), (1.0, 0.9), (0.0, 0.0)])
def test_the_last_push_leaves_some_of_the_time_limit_to_the_rest_of_a_shutdown(monkeypatch, limit, of_the_push):
    shutdown, limits = Pipeline.shutdown, []

    def noted(pipeline: Pipeline, timeout: float) -> None:
        limits.append(timeout)
        shutdown(pipeline, timeout)

    monkeypatch.setattr(Pipeline, "shutdown", noted)
    setup_telemetry(config=config()).shutdown(limit)
    assert limits == [of_the_push]


def test_telemetry_counts_from_zero_when_it_is_set_up_again():
    with setup_telemetry(config=config(), catalog=OURS):
        JOBS.add(5)
    with setup_telemetry(config=config(), catalog=OURS) as telemetry:
        JOBS.add(1)
        assert line(telemetry, "test_jobs_total") == 1


def test_the_same_call_returns_the_running_telemetry(served, quiet_config):
    assert setup_telemetry("test", config=quiet_config) is served


def test_a_call_with_other_settings_names_the_difference(served):
    with pytest.raises(ConfigError, match=r"export_interval: 30\.0 and 5\.0"):
        setup_telemetry("test", config=config(export_interval=5))


def test_a_call_with_another_catalog_names_the_difference(served, quiet_config):
    with pytest.raises(ConfigError, match=r"catalog: .*test\.jobs"):
        setup_telemetry("test", config=quiet_config, catalog=ingest.CATALOG | OURS)


def test_disabled_telemetry_is_inert_and_says_that_there_is_nothing_to_scrape():
    with setup_telemetry(config=config(enabled=False), catalog=OURS) as telemetry:
        JOBS.add(1)
        assert telemetry.metrics_url is None
        assert telemetry.flush()
        with pytest.raises(TelemetryError, match="cannot scrape"):
            telemetry.prometheus_text()


def test_a_scrape_after_the_shutdown_says_that_telemetry_has_been_shut_down():
    with setup_telemetry(config=config(), catalog=OURS) as telemetry:
        pass
    with pytest.raises(TelemetryError, match="telemetry has been shut down; scrape before"):
        telemetry.prometheus_text()


def test_an_argument_enables_what_the_environment_disables(monkeypatch):
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with setup_telemetry(config=config(enabled=True), catalog=OURS) as telemetry:
        JOBS.add(1)
        assert line(telemetry, "test_jobs_total") == 1


def test_a_taken_port_is_one_error_and_the_service_keeps_running(taken_port, caplog):
    with setup_telemetry(config=config(prometheus_port=taken_port), catalog=OURS) as telemetry:
        JOBS.add(1)
        assert line(telemetry, "test_jobs_total") == 1
        assert telemetry.metrics_url is None
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert str(taken_port) in errors[0]


def test_a_flush_between_two_scrapes_adds_nothing(ours):
    JOBS.add(1)
    before = ours.prometheus_text()
    ours.flush()
    metrics.get_meter_provider().force_flush()
    assert ours.prometheus_text() == before


def test_concurrent_scrapes_are_each_whole(ours):
    JOBS.add(1)
    expected = sorted(ours.prometheus_text().splitlines())
    scrapes: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: scrapes.extend(sorted(ours.prometheus_text().splitlines()) for _ in range(10)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert scrapes == [expected] * 40


def test_other_instrumentation_reaches_the_pipeline_through_the_global_provider(ours):
    metrics.get_meter("other").create_counter("other.calls").add(7)
    assert line(ours, "other_calls_total") == 7


@pytest.mark.parametrize(
    ("given", "environ", "expected"),
    [
        ({}, {}, ()),
        ({}, {"OTEL_METRICS_EXPORTER": "prometheus"}, ("prometheus",)),
        ({"metrics_exporters": ("prometheus",)}, {}, ("prometheus",)),
    ],
)
def test_in_a_run_of_tests_metrics_are_exported_only_if_somebody_asks(monkeypatch, given, environ, expected):
    monkeypatch.setattr(DEFAULTS, "exports_metrics", False)
    settings = TelemetryConfig(system_metrics=False, prometheus_port=0, environ=environ, **given)
    with setup_telemetry(config=settings) as telemetry:
        assert telemetry.config.metrics_exporters == expected
        assert (telemetry.metrics_url is not None) == bool(expected)
        assert setup_telemetry(config=settings) is telemetry


def test_the_global_provider_follows_the_telemetry_that_runs():
    for value in (1, 2):
        with setup_telemetry(config=config(), catalog=OURS) as telemetry:
            metrics.get_meter("other").create_counter("other.calls").add(value)
            assert line(telemetry, "other_calls_total") == value


def test_a_wrong_measurement_is_counted_and_warned_of_once(ours, caplog):
    for _ in range(3):
        JOBS.add(1, size="large")
    warnings = [record.getMessage() for record in caplog.records if "size" in record.getMessage()]
    assert len(warnings) == 1
    assert line(ours, "test_jobs_total") == 3
    assert '="size"' in ours.prometheus_text()


def test_unknown_variables_are_warned_of(monkeypatch, caplog):
    environ = {"OTEL_HA_SYSTEM_METRIC": "false"}
    with setup_telemetry(config=config(environ=environ), catalog=OURS):
        assert any("OTEL_HA_SYSTEM_METRIC" in record.getMessage() for record in caplog.records)


async def test_async_with_shuts_down_at_its_end():
    async with setup_telemetry(config=config(), catalog=OURS):
        JOBS.add(1)
        await asyncio.sleep(0)
    assert JOBS.recorder is None


async def test_the_delay_of_the_event_loop_is_measured():
    async with setup_telemetry(config=config(), catalog=OURS) as telemetry:
        await asyncio.sleep(0.1)
        time.sleep(0.1)  # noqa: ASYNC251 - the block must be seen
        await asyncio.sleep(0.1)
        assert EVENT_LOOP_DELAY.prometheus_name in telemetry.prometheus_text()


def test_an_expiring_counter_keeps_entities_apart():
    settings = config(entity_metrics=True)
    with setup_telemetry(config=settings) as telemetry:
        ingest.ENTITY_EVENTS.add(1, entity="light.a", domain="light")
        ingest.ENTITY_EVENTS.add(2, entity="light.b", domain="light")
        assert telemetry.prometheus_text().count("homeassistant_entity_events_total{") == 2


def test_a_silent_entity_gives_its_place_to_another():
    few = Counter("test.few", unit="{job}", description="Few.", attributes=(COLOUR,), series=2, expires=True)
    with setup_telemetry(config=config(entity_expiry=1), catalog=Catalog(few)) as telemetry:
        for generation in range(3):
            for number in range(2):
                few.add(1, colour=f"{generation}-{number}")
            assert 'otel_metric_overflow="true"' not in telemetry.prometheus_text()
            time.sleep(1.1)
            assert "test_few_total{" not in telemetry.prometheus_text()


def test_a_value_beyond_the_budget_is_beyond_it_on_every_instrument():
    tight = Attribute("test.tight", "A few values.", budget=1)
    ins = Counter("test.in", unit="{job}", description="In.", attributes=(tight,))
    out = Counter("test.out", unit="{job}", description="Out.", attributes=(tight,))
    with setup_telemetry(config=config(), catalog=Catalog(ins, out)) as telemetry:
        ins.add(1, tight="a")
        ins.add(1, tight="b")
        out.add(1, tight="b")
        (sample,) = [part for part in telemetry.prometheus_text().splitlines() if part.startswith("test_out_total{")]
        assert 'test_tight="_OTHER"' in sample


def test_attributes_beyond_the_limit_are_folded_into_one_series():
    few = Counter("test.few", unit="{job}", description="Few.", attributes=(COLOUR,), series=2)
    with setup_telemetry(config=config(), catalog=Catalog(few)) as telemetry:
        for number in range(10):
            few.add(1, colour=f"colour {number}")
        series = [line for line in telemetry.prometheus_text().splitlines() if line.startswith("test_few_total{")]
        assert len(series) == 3
        assert sum(float(line.rpartition(" ")[2]) for line in series) == 10


def test_disabled_telemetry_can_be_mounted_and_has_nothing_to_show():
    with setup_telemetry(config=config(enabled=False), catalog=OURS) as telemetry:
        assert callable(telemetry.asgi_app)
        assert callable(telemetry.wsgi_app)


def test_no_port_is_opened_if_the_endpoint_is_mounted_elsewhere():
    with setup_telemetry(config=config(endpoint_server=False), catalog=OURS) as telemetry:
        JOBS.add(1)
        assert telemetry.metrics_url is None
        assert line(telemetry, "test_jobs_total") == 1


def health(telemetry: Telemetry) -> dict:
    with urllib.request.urlopen(telemetry.metrics_url.replace("/metrics", "/healthz")) as response:
        return json.load(response)


def test_healthz_is_ok_if_nothing_fails(ours):
    assert health(ours)["status"] == "ok"


def test_healthz_says_that_a_push_fails():
    [port] = free_ports(1)
    settings = config(
        metrics_exporters=("otlp", "prometheus"), otlp_endpoint=f"http://127.0.0.1:{port}", otlp_timeout=1.5
    )
    with setup_telemetry(config=settings, catalog=OURS) as telemetry:
        JOBS.add(1)
        assert not telemetry.flush()
        assert health(telemetry)["status"] == "degraded"
        assert health(telemetry)["readers"][1]["last_error"] == "[Errno 111] Connection refused"


def test_a_taken_port_is_a_state_in_healthz(taken_port):
    with setup_telemetry(config=config(prometheus_port=taken_port), catalog=OURS) as telemetry:
        assert telemetry.health()["status"] == "degraded"
        assert str(taken_port) in telemetry.health()["endpoint"]["problem"]


def test_an_exponential_push_leaves_the_scrape_explicit():
    settings = config(
        metrics_exporters=("otlp", "prometheus"),
        otlp_histogram_aggregation="base2_exponential_bucket_histogram",
        otlp_endpoint="http://127.0.0.1:9",
        otlp_timeout=0.1,
        shutdown_timeout=0.1,
    )
    with setup_telemetry(config=settings, catalog=OURS) as telemetry:
        WAIT.record(0.7)
        (push,) = telemetry.pipeline.pushes
        (metric,) = push._collect(push).resource_metrics[0].scope_metrics[0].metrics
        assert isinstance(metric.data, ExponentialHistogram)
        assert 'test_wait_seconds_bucket{le="1.5"' in telemetry.prometheus_text()


# An existing provider. It stays for the whole process, so each test runs in its own process.

FOREIGN = """
import logging, sys
from opentelemetry import metrics
from opentelemetry.sdk.metrics.export import ExponentialHistogram
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from otel_ha import setup_telemetry, TelemetryConfig
from otel_ha.vocabulary import ingest
from tests.unit.conftest import config, get
logging.basicConfig(stream=sys.stdout, format="log: %(message)s")
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
def seen():
    data = reader.get_metrics_data()
    return {} if data is None else {
        metric.name: metric.data.data_points[0].value
        for of_scope in data.resource_metrics[0].scope_metrics for metric in of_scope.metrics
        if metric.name.startswith("homeassistant")
    }
def run():
    with setup_telemetry(config=config()) as telemetry:
        ingest.RECEIVED.add(1, source="mqtt")
        ingest.QUEUE_SIZE.observe(lambda: 5, queue="ingest")
        print(sorted(seen().items()), telemetry.metrics_url)
"""


def in_a_process(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", FOREIGN + code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_an_existing_provider_is_used_and_reported():
    warning, seen = in_a_process("run()")
    assert warning.startswith("log: this process already has a MeterProvider (MeterProvider)")
    assert seen == "[('homeassistant.event.received', 1), ('homeassistant.queue.size', 5)] None"


def test_an_existing_provider_is_observed_again_after_a_second_set_up():
    assert (
        in_a_process("run(); run()")[3] == "[('homeassistant.event.received', 2), ('homeassistant.queue.size', 5)] None"
    )


def test_an_existing_provider_sees_no_observed_values_after_shutdown():
    assert in_a_process("run(); print(seen())")[2] == "{'homeassistant.event.received': 1}"


def test_an_existing_provider_is_read_into_the_history_until_shutdown():
    code = """
with setup_telemetry(config=config()) as telemetry:
    ingest.RECEIVED.add(3, source="mqtt")
    telemetry.history.collect()
    print(telemetry.history.totals(ingest.RECEIVED), len(metrics.get_meter_provider()._all_metric_readers))
print(len(metrics.get_meter_provider()._all_metric_readers))
"""
    assert in_a_process(code)[1:] == ["{'': 3.0} 2", "1"]


def test_a_provider_that_takes_no_reader_leaves_no_history():
    code = """
class Other(metrics.NoOpMeterProvider):
    pass
metrics._internal._METER_PROVIDER = Other()
with setup_telemetry(config=config()) as telemetry:
    print(telemetry.history, telemetry.summary()["current"], [r["reader"] for r in telemetry.health()["readers"]])
"""
    assert in_a_process(code)[1] == "None None []"


# The user's Views


def test_a_users_view_takes_the_place_of_the_one_of_the_declaration():
    views = [
        View(instrument_name="test.wait", name="test.waiting", aggregation=ExplicitBucketHistogramAggregation([0.5]))
    ]
    with setup_telemetry(config=config(), catalog=OURS, views=views) as telemetry:
        WAIT.record(0.7)
        JOBS.add(1)
        assert 'test_waiting_seconds_bucket{le="0.5"' in telemetry.prometheus_text()
        assert "test_wait_seconds" not in telemetry.prometheus_text()
        assert line(telemetry, "test_jobs_total") == 1


def test_a_users_view_can_drop_attributes():
    views = [View(instrument_name="test.jobs", attribute_keys=set())]
    with setup_telemetry(config=config(), catalog=OURS, views=views) as telemetry:
        JOBS.add(1, colour="red")
        JOBS.add(1, colour="blue")
        assert line(telemetry, "test_jobs_total") == 2


def test_views_apply_even_if_the_environment_switches_other_providers_off(monkeypatch):
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    views = [View(instrument_name="test.jobs", attribute_keys=set())]
    with setup_telemetry(config=config(enabled=True), catalog=OURS, views=views) as telemetry:
        JOBS.add(1, colour="red")
        assert "test_colour" not in telemetry.prometheus_text()


def test_other_views_in_a_second_call_are_an_error():
    with (
        setup_telemetry(config=config(), catalog=OURS),
        pytest.raises(ConfigError, match="views"),
    ):
        setup_telemetry(config=config(), catalog=OURS, views=[View(instrument_name="test.jobs")])


# Handles


def test_a_handle_records_with_its_attributes(ours):
    red, level, wait = JOBS.bind(colour="red"), LEVEL.bind(), WAIT.bind()
    red.add(2)
    level.set(0.25)
    wait.record(0.7)
    assert line(ours, "test_jobs_total") == 2
    assert line(ours, "test_level_ratio") == 0.25
    assert line(ours, "test_wait_seconds_sum") == 0.7


def test_a_handle_bound_before_telemetry_records_once_it_is_set_up():
    red = JOBS.bind(colour="red")
    red.add(1)
    for value in (1, 2):
        with setup_telemetry(config=config(), catalog=OURS) as telemetry:
            red.add(value)
            assert line(telemetry, "test_jobs_total") == value
    red.add(1)


def test_a_wrong_amount_to_a_handle_is_counted(ours, caplog):
    JOBS.bind(colour="red").add(-1)
    assert "invalid_amount" in ours.prometheus_text()


@pytest.mark.parametrize(
    ("verb", "name"),
    [(JOBS.bind().add, "BoundCounter.add"), (LEVEL.bind().set, "BoundGauge.set"),
     (WAIT.bind().record, "BoundHistogram.record")],
)  # fmt: skip
def test_a_verb_of_a_handle_says_its_name_in_errors_and_help(verb, name):
    assert verb.__doc__
    with pytest.raises(TypeError, match=re.escape(f"{name}() got an unexpected keyword argument 'colour'")):
        verb(1, colour="red")


def test_a_handle_shows_its_attributes():
    assert repr(JOBS.bind(colour="red")) == f"Counter({JOBS.name}).bind(colour='red')"


def test_wrong_attributes_of_a_handle_are_counted_each_time(ours):
    red = JOBS.bind(size="large")
    red.add(1)
    red.add(1)
    assert line(ours, "otel_ha_recording_problems_total") == 2


# Series that expire


def test_a_forgotten_entity_is_gone_and_starts_again():
    with setup_telemetry(config=config(entity_metrics=True)) as telemetry:
        ingest.ENTITY_EVENTS.add(5, entity="light.a", domain="light")
        ingest.ENTITY_EVENTS.add(1, entity="light.b", domain="light")
        assert telemetry.prometheus_text().count("homeassistant_entity_events_total{") == 2
        ingest.ENTITY_EVENTS.forget(entity="light.a")
        assert telemetry.prometheus_text().count("homeassistant_entity_events_total{") == 1
        ingest.ENTITY_EVENTS.add(1, entity="light.a", domain="light")
        assert 'homeassistant_entity_id="light.a"' in telemetry.prometheus_text()


def test_an_expiring_counter_can_have_its_own_time():
    brief = Counter("test.brief", unit="{job}", description="Brief.", attributes=(COLOUR,), expires=1.0)
    with setup_telemetry(config=config(), catalog=Catalog(brief)) as telemetry:
        brief.add(1, colour="red")
        assert "test_brief_total{" in telemetry.prometheus_text()
        time.sleep(1.1)
        assert "test_brief_total{" not in telemetry.prometheus_text()


def test_under_churn_the_sdk_keeps_only_series_in_use():
    churning = Counter("test.churn", unit="{job}", description="Churn.", attributes=(COLOUR,), expires=True, series=50)
    with setup_telemetry(config=config(), catalog=Catalog(churning)) as telemetry:
        for generation in range(20):
            for number in range(50):
                churning.add(1, colour=f"{generation}-{number}")
            assert telemetry.prometheus_text().count("test_churn_total{") == 50
            for number in range(50):
                churning.forget(colour=f"{generation}-{number}")
            telemetry.prometheus_text()
        assert kept_by_the_sdk(telemetry, "test.churn") == 0


def test_series_that_are_used_again_before_a_collection_stay_within_the_limit():
    churning = Counter("test.churn", unit="{job}", description="Churn.", attributes=(COLOUR,), expires=True, series=4)
    with setup_telemetry(config=config(), catalog=Catalog(churning)) as telemetry:
        for number in range(50):
            churning.add(1, colour=str(number))
            churning.forget(colour=str(number))
            churning.add(1, colour=str(number))
            telemetry.prometheus_text()
        # The four declared ones, and one that is folded.
        assert telemetry.prometheus_text().count("test_churn_total{") == 5


def kept_by_the_sdk(telemetry: Telemetry, name: str) -> int:
    storages = telemetry.pipeline.provider._measurement_consumer._reader_storages.values()
    matches = [
        m for s in storages for i, ms in s._instrument_view_instrument_matches.items() if i.name == name for m in ms
    ]
    return sum(len(match._attributes_aggregation) for match in matches)


# Outside influences


@pytest.mark.parametrize("value", ["\ud800", 2**70])
def test_a_value_that_no_exporter_can_encode_does_not_break_a_scrape(ours, value):
    JOBS.add(1, colour=value)
    assert 'test_colour="_OTHER"' in ours.prometheus_text()


def test_a_flush_keeps_its_time_limit_and_reports_that_nothing_arrived():
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        endpoint = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        settings = config(metrics_exporters=("otlp",), otlp_endpoint=endpoint, shutdown_timeout=0.1)
        with setup_telemetry(config=settings, catalog=OURS) as telemetry:
            JOBS.add(1)
            assert not telemetry.flush(timeout=0.2)


def test_a_token_in_the_endpoints_query_is_not_shown():
    settings = config(
        metrics_exporters=("otlp",), otlp_endpoint="http://127.0.0.1:9/v1/metrics?key=hunter2", shutdown_timeout=0.1
    )
    with setup_telemetry(config=settings, catalog=OURS) as telemetry:
        assert "hunter2" not in str(telemetry.health())


def test_a_wrong_address_is_a_problem_of_the_endpoint_only(caplog):
    with setup_telemetry(config=config(prometheus_host="a" * 70 + ".example"), catalog=OURS) as telemetry:
        JOBS.add(1)
        assert line(telemetry, "test_jobs_total") == 1
        assert telemetry.health()["status"] == "degraded"


def test_disabled_telemetry_does_not_end_a_service():
    with setup_telemetry(config=config(enabled=False), catalog=OURS) as telemetry:
        assert get(telemetry.wsgi_app, "/healthz")[0] == 200


def test_sources_are_given_up_even_if_the_end_of_a_pipeline_raises(monkeypatch):
    with setup_telemetry(config=config()) as telemetry:
        pipeline, cleared = telemetry.pipeline, []

        def fail() -> None:
            raise RuntimeError("theirs")

        monkeypatch.setattr(pipeline.gate, "catch_up", fail)
        monkeypatch.setattr(pipeline.recorders, "clear", lambda: cleared.append(True))
        with pytest.raises(RuntimeError, match="theirs"):
            telemetry.shutdown()
        assert cleared
        monkeypatch.undo()
