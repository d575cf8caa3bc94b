"""Instruments that other code makes by OpenTelemetry's own API, while telemetry begins, ends and begins again."""

import json
import logging
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import metrics
from opentelemetry.metrics import Observation
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import DropAggregation, View

from otel_ha import setup_telemetry
from otel_ha.export.otlp.encoding import MetricsEncoder
from tests.unit.conftest import config

KINDS = {
    "counter": (metrics.Counter, "add"),
    "up_down_counter": (metrics.UpDownCounter, "add"),
    "histogram": (metrics.Histogram, "record"),
    "gauge": (metrics._Gauge, "set"),
}
OBSERVED = {
    "observable_counter": metrics.ObservableCounter,
    "observable_up_down_counter": metrics.ObservableUpDownCounter,
    "observable_gauge": metrics.ObservableGauge,
}


@pytest.fixture(autouse=True)
def _global():
    """Make ours the global provider, and forget the instruments of a test at its end."""
    with setup_telemetry(config=config()):
        pass
    forget = metrics.get_meter_provider().remember()
    yield
    forget()


@pytest.fixture
def meter():
    return metrics.get_meter("other", "1.0")


def samples(telemetry, name):
    """Return {labels and all: value} of the samples whose name begins like this."""
    lines = [line for line in telemetry.prometheus_text().splitlines() if line.startswith(name)]
    return [float(line.rpartition(" ")[2]) for line in lines]


@pytest.mark.parametrize("kind", KINDS)
def test_an_instrument_that_is_made_before_telemetry_records(meter, kind):
    expected, verb = KINDS[kind]
    made = getattr(meter, f"create_{kind}")("other.x")
    assert isinstance(made, expected)
    getattr(made, verb)(9)
    with setup_telemetry(config=config()) as telemetry:
        getattr(made, verb)(2, {"a": "b"})
        assert samples(telemetry, "other_x_sum" if kind == "histogram" else "other_x")[-1] == 2


@pytest.mark.parametrize("kind", KINDS)
def test_an_instrument_records_on_the_telemetry_that_runs(meter, kind):
    verb = KINDS[kind][1]
    name = "other_x_sum" if kind == "histogram" else "other_x"
    for amount in (1, 2):
        with setup_telemetry(config=config()) as telemetry:
            made = getattr(meter, f"create_{kind}")("other.x")
            getattr(made, verb)(amount)
            assert samples(telemetry, name)[-1] == amount
    getattr(made, verb)(3)
    with setup_telemetry(config=config()) as telemetry:
        assert samples(telemetry, name) == []


@pytest.mark.parametrize("kind", OBSERVED)
@pytest.mark.parametrize("early", [True, False])
def test_an_observable_is_read_by_each_telemetry(meter, kind, early):
    def make():
        made = getattr(meter, f"create_{kind}")(
            "other.x", [lambda _: [Observation(4)], lambda _: [Observation(5, {"a": "b"})]]
        )
        assert isinstance(made, OBSERVED[kind])

    if early:
        make()
    with setup_telemetry(config=config()) as telemetry:
        if not early:
            make()
        assert sorted(samples(telemetry, "other_x")) == [4, 5]
    with setup_telemetry(config=config()) as telemetry:
        assert sorted(samples(telemetry, "other_x")) == [4, 5]


def test_the_first_callbacks_of_an_observable_count_as_in_the_sdk(meter):
    meter.create_observable_gauge("other.x", [lambda _: [Observation(1)]])
    with setup_telemetry(config=config()) as telemetry:
        meter.create_observable_gauge("other.x", [lambda _: [Observation(2)]])
        assert samples(telemetry, "other_x") == [1]


def test_code_that_begins_again_has_its_new_callbacks_read(meter):
    for value in (1, 2):
        with setup_telemetry(config=config()) as telemetry:
            meter.create_observable_gauge("other.x", [lambda _, value=value: [Observation(value)]])
            assert samples(telemetry, "other_x") == [value]


def test_a_generator_is_a_callback_of_each_telemetry(meter):
    def numbers():
        yield
        for number in range(1, 10):
            yield [Observation(number)]

    meter.create_observable_gauge("other.x", [numbers()])
    read = []
    for _ in range(2):
        with setup_telemetry(config=config()) as telemetry:
            read += samples(telemetry, "other_x")
    assert read[0] == 1 < read[1]  # the history reads it at the end


def test_a_generator_that_has_ended_observes_nothing(meter):
    def iter_ended():
        yield from ()

    meter.create_observable_gauge("other.x", [iter_ended()])
    with setup_telemetry(config=config()) as telemetry:
        assert samples(telemetry, "other_x") == []


def test_a_callback_that_fails_costs_only_its_own_observations(meter, caplog):
    def failing(_):
        yield Observation(1, {"a": "before"})
        yield Observation("many", {"a": "wrong"})

    meter.create_observable_gauge("other.x", [failing, lambda _: [Observation(2)]])
    with setup_telemetry(config=config()) as telemetry:
        assert sorted(samples(telemetry, "other_x")) == [1, 2]
    warnings = {record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING}
    assert warnings == {"a callback of the metric 'other.x' of 'other' failed"}


def test_an_instrument_is_made_once_for_each_name_as_in_the_sdk(meter):
    made = [metrics.get_meter("other", "1.0").create_counter(name, "1", "A count.") for name in ("other.x", "Other.X ")]
    assert made[0] is made[1]
    assert metrics.get_meter("another", "1.0").create_counter("other.x", "1", "A count.") is not made[0]


def test_equal_instruments_add_up(meter):
    with setup_telemetry(config=config()) as telemetry:
        for _ in range(3):
            metrics.get_meter("other", "1.0").create_counter("other.x").add(1)
        assert samples(telemetry, "other_x_total") == [3]


def test_an_invalid_name_raises_as_in_the_sdk_while_telemetry_runs(meter):
    with setup_telemetry(config=config()), pytest.raises(Exception, match="Expected ASCII string"):
        meter.create_counter("1 x")


@pytest.mark.parametrize("name", ["1 x", "", None, 5])
def test_an_invalid_instrument_that_is_made_before_telemetry_is_warned_of_once(meter, name, caplog):
    counter = meter.create_counter(name)
    observed = meter.create_observable_gauge(name, [lambda _: [Observation(1)]])
    counter.add(1)
    with setup_telemetry(config=config()):
        counter.add(1)
        counter.add(1)
    warnings = [record.getMessage() for record in caplog.records if "not exported" in record.getMessage()]
    assert len(warnings) == 2
    assert all(warning.startswith(f"metric {name!r} of 'other' is not exported: ") for warning in warnings)
    assert observed is not None


def test_the_bounds_that_a_histogram_advises_are_kept(meter):
    histogram = meter.create_histogram("other.x", explicit_bucket_boundaries_advisory=[0.5, 2.5])
    for _ in range(2):
        with setup_telemetry(config=config()) as telemetry:
            histogram.record(1)
            assert samples(telemetry, "other_x_bucket") == [0, 1, 1]


def test_other_advice_for_the_same_histogram_is_warned_of_by_the_sdk(meter, caplog):
    with setup_telemetry(config=config()):
        for bounds in ([0.5], [1.5]):
            meter.create_histogram("other.x", explicit_bucket_boundaries_advisory=bounds)
    assert "different advisory value" in caplog.text


def test_a_view_applies_to_an_instrument_that_was_made_before(meter):
    counters = [meter.create_counter(name) for name in ("other.kept", "other.dropped")]
    views = [View(instrument_name="other.dropped", aggregation=DropAggregation())]
    with setup_telemetry(config=config(), views=views) as telemetry:
        for counter in counters:
            counter.add(1)
        assert samples(telemetry, "other_kept_total") == [1]
        assert samples(telemetry, "other_dropped") == []


def test_attributes_of_a_scope_tell_meters_apart():
    provider = metrics.get_meter_provider()
    with setup_telemetry(config=config()):
        reader = InMemoryMetricReader()
        provider.provider.add_metric_reader(reader)
        for side in (["left"], ["right"]):
            provider.get_meter("other", attributes={"side": side}).create_counter("other.x").add(1)
        [resource] = reader.get_metrics_data().resource_metrics
        sides = {scope.scope.attributes["side"] for scope in resource.scope_metrics if scope.scope.name == "other"}
    assert sides == {("left",), ("right",)}


def test_what_is_recorded_until_the_end_counts(meter):
    counter = meter.create_counter("other.x")
    read: list[float] = []

    def at_the_end(_):
        counter.add(1)
        return [Observation(0)]

    meter.create_observable_gauge("other.y", [at_the_end])
    with setup_telemetry(config=config()) as telemetry:
        read += samples(telemetry, "other_x_total")
        read += samples(telemetry, "other_x_total")
    assert read == [1, 2]


def test_threads_that_record_while_telemetry_changes_do_not_fail(meter):
    counter, ended = meter.create_counter("other.x"), threading.Event()

    def work(number):
        while not ended.is_set():
            counter.add(1)
            meter.create_counter(f"other.y{number}").add(1)
            meter.create_observable_gauge("other.z", [lambda _: [Observation(1)]])

    with ThreadPoolExecutor(3) as pool:
        working = [pool.submit(work, number) for number in range(3)]
        try:
            for _ in range(10):
                with setup_telemetry(config=config()) as telemetry:
                    meter.create_observable_gauge("other.z", [lambda _: [Observation(1)]])
                    assert samples(telemetry, "other_z") == [1]
        finally:
            ended.set()
        for each in working:
            each.result()


FORKING = """
import json, os, sys, warnings
warnings.simplefilter("error")
from opentelemetry import metrics
from opentelemetry.metrics import Observation
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from otel_ha import TelemetryConfig, setup_telemetry

meter = metrics.get_meter("other")
early = meter.create_counter("other.early")
meter.create_observable_gauge("other.pid", [lambda _: [Observation(os.getpid())]])
settings = {"metrics_exporters": ("prometheus",), "endpoint_server": False, "system_metrics": False, "environ": {}}
telemetry = setup_telemetry("test", config=TelemetryConfig(**settings))
late = meter.create_counter("other.late")
early.add(1), late.add(1)
reading, writing = os.pipe()
if (child := os.fork()) == 0:
    early.add(10), late.add(20)
    os.write(writing, json.dumps([os.getpid(), telemetry.prometheus_text()]).encode())
    os._exit(0)
os.close(writing)
with open(reading) as pipe:
    of_child = json.load(pipe)
os.waitpid(child, 0)
print(json.dumps([of_child, [os.getpid(), telemetry.prometheus_text()]]))
"""


def test_instruments_count_from_zero_in_a_forked_child():
    done = subprocess.run([sys.executable, "-c", FORKING], check=False, capture_output=True, text=True, timeout=50)
    assert done.stderr == ""
    for (pid, text), expected in zip(json.loads(done.stdout), ((10, 20), (1, 1)), strict=True):
        found = [line.rpartition(" ") for line in text.splitlines() if line.startswith("other_")]
        values = {name.partition("{")[0].strip(): float(value) for name, _, value in found}
        assert values == {
            "other_early_total": expected[0],
            "other_late_total": expected[1],
            "other_pid": pid,
        }


INVALID = """
import warnings
warnings.simplefilter("error")
from opentelemetry import metrics
from otel_ha import TelemetryConfig, setup_telemetry

meter = metrics.get_meter("other")
wrong, right = meter.create_counter("1 x"), meter.create_counter("other.x")
settings = {"metrics_exporters": ("prometheus",), "endpoint_server": False, "system_metrics": False, "environ": {}}
with setup_telemetry("test", config=TelemetryConfig(**settings)) as telemetry:
    wrong.add(1), right.add(1)
    print("other_x_total{" in telemetry.prometheus_text())
"""


def test_an_invalid_instrument_of_another_library_does_not_end_the_set_up():
    done = subprocess.run([sys.executable, "-c", INVALID], check=False, capture_output=True, text=True, timeout=50)
    assert done.stdout == "True\n", done.stderr
    assert done.stderr.startswith("metric '1 x' of 'other' is not exported: Expected ASCII string")


@pytest.mark.parametrize(
    ("said", "shown"), [(1.5, "1.5"), (2, "2"), (2**70, "<int>"), (b"1", "<bytes>"), (object(), "<object>")]
)
def test_a_name_and_version_of_another_type_than_text_cost_neither_the_scrape_nor_the_push(said, shown):
    with setup_telemetry(config=config()) as telemetry:
        reader = InMemoryMetricReader()
        telemetry.pipeline.provider.add_metric_reader(reader)
        metrics.get_meter(said, said).create_counter("other.x").add(1)
        assert f'otel_scope_name="{shown}"' in telemetry.prometheus_text()
        request = ExportMetricsServiceRequest.FromString(MetricsEncoder()(reader.get_metrics_data()))
    scopes = [each.scope for each in request.resource_metrics[0].scope_metrics]
    assert (shown, shown) in {(each.name, each.version) for each in scopes}
