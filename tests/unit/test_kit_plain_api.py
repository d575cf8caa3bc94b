"""Metrics of OpenTelemetry's own API in the test kit."""

import subprocess
import sys

import pytest
from opentelemetry import metrics as api
from opentelemetry.metrics import Observation

from otel_ha import TelemetryConfig, setup_telemetry
from otel_ha.export.global_provider import CURRENT
from otel_ha.testing import captured_metrics
from tests.unit.conftest import config

METER = api.get_meter("app")
REQUESTS = METER.create_counter("app.requests")
DURATION = METER.create_histogram("app.duration", explicit_bucket_boundaries_advisory=[0.5, 1.5])
LEVEL = METER.create_up_down_counter("app.level")


@pytest.fixture(scope="module", autouse=True)
def _workers():
    """Make an observable as a module does, but for the tests of this module only."""
    with captured_metrics():
        pass  # makes the global provider ours
    forget = CURRENT.remember()
    METER.create_observable_gauge("app.workers", [lambda _: [Observation(4, {"kind": "io"})]])
    yield
    forget()


@pytest.mark.parametrize("_", [1, 2])
def test_instruments_that_a_module_makes_are_captured_by_each_test(_):
    with captured_metrics() as metrics:
        REQUESTS.add(2, {"method": "GET"})
        REQUESTS.add(1, {"method": "PUT"})
        DURATION.record(0.7)
        LEVEL.add(3)
        LEVEL.add(-1)
        metrics.assert_recorded("app.requests", 3)
        metrics.assert_recorded("app.requests", 2, method="GET")
        assert (metrics["app.duration"].count(), metrics["app.duration"].total()) == (1, 0.7)
        assert metrics["app.level"].total() == 2
        assert metrics["app.workers"].total(kind="io") == 4


def test_code_that_sets_telemetry_up_is_captured_before_and_after_that():
    with captured_metrics() as metrics:
        REQUESTS.add(1)
        with setup_telemetry("code", config=TelemetryConfig(system_metrics=False, environ={})):
            REQUESTS.add(2)
        REQUESTS.add(4)  # telemetry has ended
        metrics.assert_recorded("app.requests", 3)


def test_an_observable_of_one_test_is_unknown_to_the_next():
    def of_a_test(_):
        return [Observation(1)]

    with captured_metrics() as metrics:
        METER.create_observable_gauge("app.of_a_test", [of_a_test])
        assert metrics["app.of_a_test"].total() == 1
    with captured_metrics() as metrics, pytest.raises(AssertionError):
        metrics["app.of_a_test"].total()


@pytest.mark.parametrize("value", [1, 2])
def test_each_test_reads_its_own_callbacks(value):
    with captured_metrics() as metrics:
        METER.create_observable_gauge("app.of_tests", [lambda _: [Observation(value)]])
        assert metrics["app.of_tests"].total() == value


def test_callbacks_that_a_test_replaces_are_back_after_it():
    for _ in range(2):
        with captured_metrics() as metrics:
            assert metrics["app.workers"].total() == 4
            with setup_telemetry("code", config=TelemetryConfig(system_metrics=False, environ={})):
                METER.create_observable_gauge("app.workers", [lambda _: [Observation(9)]])
                assert metrics["app.workers"].total(kind=None) == 9


LATE = """
from opentelemetry import metrics
from opentelemetry.metrics import Observation
METER = metrics.get_meter("late")
def make():
    METER.create_observable_gauge("late.level", [lambda _: [Observation(7)]])
make()
CALLS = METER.create_counter("late.calls")
"""
IMPORTING = """
import warnings
warnings.simplefilter("error")
from otel_ha.testing import captured_metrics

for _ in range(2):
    with captured_metrics() as metrics:
        import imported_late
        imported_late.CALLS.add(1)
        print(metrics["late.level"].total(), metrics["late.calls"].total())
"""


def test_a_module_that_a_test_imports_is_captured_by_the_next_one(tmp_path):
    (tmp_path / "imported_late.py").write_text(LATE)
    (tmp_path / "importing.py").write_text(IMPORTING)
    program = [sys.executable, tmp_path / "importing.py"]
    done = subprocess.run(program, check=False, capture_output=True, text=True, timeout=50)
    assert (done.stdout, done.stderr) == ("7 1\n7 1\n", "")


EARLY = """
import warnings
warnings.simplefilter("error")
from opentelemetry import metrics as api
from opentelemetry.metrics import Observation
from otel_ha.testing import captured_metrics

api.get_meter("early").create_observable_gauge("early.level", [lambda _: [Observation(7)]])
for _ in range(2):
    with captured_metrics() as metrics:
        print(metrics["early.level"].total())
"""


def test_an_observable_that_is_made_before_the_first_capture_is_in_each():
    done = subprocess.run([sys.executable, "-c", EARLY], check=False, capture_output=True, text=True, timeout=50)
    assert (done.stdout, done.stderr) == ("7\n7\n", "")


def test_telemetry_that_runs_before_sees_nothing_of_the_block():
    with setup_telemetry("outer", config=config()) as telemetry:
        REQUESTS.add(1)
        with captured_metrics() as metrics:
            REQUESTS.add(2)
            metrics.assert_recorded("app.requests", 2)
        REQUESTS.add(4)
        text = telemetry.prometheus_text()
        [value] = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith("app_requests_total{")]
        assert value == "5.0"
        assert 'app_workers{kind="io"' in text


OWN = """
import warnings
warnings.simplefilter("error")
from opentelemetry import metrics as api
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import View
from otel_ha.telemetry import attach, detach, running_telemetry
from otel_ha.testing import captured_metrics
from otel_ha.vocabulary import ingest

own = InMemoryMetricReader()
renamed = View(instrument_name="app.long", name="app.short")
api.set_meter_provider(MeterProvider([own], views=[renamed]))
meter = api.get_meter("app")
requests, long = meter.create_counter("app.requests"), meter.create_counter("app.long")
meter.create_observable_counter("app.reads", [lambda _: [Observation(7)]])
attach()
ingest.QUEUE_SIZE.observe(lambda: 5, queue="in")
requests.add(100)
for _ in range(2):
    with captured_metrics() as metrics:
        requests.add(2)
        long.add(1)
        ingest.RECEIVED.add(3, source="mqtt")
        metrics.assert_recorded("app.requests", 2)
        metrics.assert_recorded("app.short", 1)
        metrics.assert_recorded("app.reads", 7)
        metrics.assert_recorded(ingest.RECEIVED, 3)
        metrics.assert_recorded(ingest.QUEUE_SIZE, 5)
    metrics.assert_recorded("app.requests", 2)
assert running_telemetry().is_attached
detach()
found = {
    each.name: sum(point.value for point in each.data.data_points)
    for of_scope in own.get_metrics_data().resource_metrics[0].scope_metrics
    for each in of_scope.metrics
}
print(found["app.requests"], found["app.short"], "homeassistant.event.received" in found)
"""


def test_a_provider_of_the_program_is_read_and_left_alone():
    done = subprocess.run([sys.executable, "-c", OWN], check=False, capture_output=True, text=True, timeout=50)
    assert done.stderr == "" or "already has a MeterProvider" in done.stderr, done.stderr
    assert done.stdout.split() == ["104", "2", "False"], done.stderr


NO_SDK = """
import warnings
warnings.simplefilter("error")
from opentelemetry import metrics as api
from otel_ha.testing import captured_metrics
from otel_ha.vocabulary import ingest

api.set_meter_provider(api.NoOpMeterProvider())
with captured_metrics() as metrics:
    ingest.RECEIVED.add(3, source="mqtt")
    metrics.assert_recorded(ingest.RECEIVED, 3)
"""


def test_a_provider_that_does_nothing_takes_nothing_from_the_kit():
    done = subprocess.run([sys.executable, "-c", NO_SDK], check=False, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, "")
