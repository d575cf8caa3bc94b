"""Recording on the MeterProvider that the process has, for instrumented libraries without set-up."""

import gc
import subprocess
import sys

import pytest
from opentelemetry.sdk.metrics import MeterProvider

from otel_ha import TelemetryConfig, setup_telemetry
from otel_ha.instrumentation.watching import Connections, Silence
from otel_ha.telemetry import attach, detach, running_telemetry
from otel_ha.vocabulary import ingest
from tests.recorded import MemoryReader
from tests.unit.conftest import config

SILENT = TelemetryConfig(metrics_exporters=(), system_metrics=False, endpoint_server=False, environ={})
MQTT = frozenset({("homeassistant.connection.kind", "mqtt")})


class Connection:
    """An object that stands for a library's connection."""


@pytest.fixture
def reader():
    """A reader of a MeterProvider on which telemetry records."""
    reader = MemoryReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    assert attach(provider)
    if (running := running_telemetry()) is not None:
        reader.gate = running.pipeline.gate
    yield reader
    if (running := running_telemetry()) is not None:
        running.shutdown()
    provider.shutdown()


@pytest.fixture
def connections():
    connections = Connections("mqtt")
    yield connections
    connections.end()


def of(reader, instrument):
    return reader.collected().get(instrument.name, {})


def test_measurements_go_to_the_provider_given(reader):
    ingest.RECEIVED.add(3, source="mqtt")
    assert list(of(reader, ingest.RECEIVED).values()) == [3]


def test_detaching_ends_the_recording(reader):
    detach()
    assert running_telemetry() is None


def test_set_up_takes_over(reader):
    with setup_telemetry("own", config=SILENT) as telemetry:
        detach()
        assert running_telemetry() is telemetry


def test_telemetry_that_runs_is_not_replaced():
    with setup_telemetry("own", config=SILENT) as telemetry:
        assert not attach()
        assert running_telemetry() is telemetry


def test_after_telemetry_has_ended_there_is_nothing_to_attach_to():
    with setup_telemetry("own", config=SILENT):
        pass
    assert attach()
    ingest.RECEIVED.add(1, source="mqtt")
    detach()
    assert running_telemetry() is None


def test_a_second_library_records_on_the_same_provider():
    provider, another = (MeterProvider(shutdown_on_exit=False) for _ in range(2))
    assert attach(provider)
    assert attach(provider)
    assert attach()
    assert not attach(another)
    detach()


def test_a_global_provider_may_be_set_later():
    code = """
import warnings; warnings.simplefilter("error")
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from otel_ha.telemetry import attach, running_telemetry
from otel_ha.vocabulary import ingest
from tests.recorded import MemoryReader
attach()
reader = MemoryReader()
reader.gate = running_telemetry().pipeline.gate
metrics.set_meter_provider(MeterProvider([reader]))
ingest.RECEIVED.add(2, source="mqtt")
ingest.QUEUE_SIZE.observe(lambda: 7, queue="in")
found = reader.collected()
print(*found[ingest.RECEIVED.name].values(), *found[ingest.QUEUE_SIZE.name].values())
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=50)
    assert (done.stdout.split(), done.stderr) == (["2", "7"], "")


def test_set_up_after_attaching_to_no_provider_logs_nothing():
    code = """
import warnings; warnings.simplefilter("error")
from otel_ha import TelemetryConfig, setup_telemetry
from otel_ha.telemetry import attach
from otel_ha.vocabulary import ingest
attach()
ingest.RECEIVED.add(2, source="mqtt")
with setup_telemetry("own", config=TelemetryConfig(metrics_exporters=("prometheus",), prometheus_port=0)) as telemetry:
    ingest.RECEIVED.add(1, source="mqtt")
    text = telemetry.prometheus_text()
print(next(line for line in text.splitlines() if line.startswith("homeassistant_event_received_total")).split()[-1])
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=50)
    assert (done.stdout.split(), done.stderr) == (["1.0"], "")


def test_set_up_after_attaching_to_no_provider_reads_observables():
    code = """
import warnings; warnings.simplefilter("error")
from otel_ha import TelemetryConfig, setup_telemetry
from otel_ha.telemetry import attach
from otel_ha.vocabulary import ingest
attach()
with setup_telemetry("own", config=TelemetryConfig(metrics_exporters=("prometheus",), prometheus_port=0)) as telemetry:
    ingest.QUEUE_SIZE.observe(lambda: 7, queue="in")
    text = telemetry.prometheus_text()
print([line.split()[-1] for line in text.splitlines() if line.startswith("homeassistant_queue_size{")])
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=50)
    assert (done.stdout.strip(), done.stderr) == ("['7.0']", "")


def test_connections_are_zero_from_the_first_attempt_on(reader, connections):
    connections.attempt("broker")
    assert of(reader, ingest.CONNECTIONS) == {MQTT: 0}


def test_a_connection_that_was_lost_is_tried_again_as_a_reconnect(reader, connections):
    connection = Connection()
    connections.attempt("broker")
    connections.up(connection, "broker")
    connections.down(connection, "broker", "refused")
    connections.attempt("broker")
    connections.attempt("another")
    assert (of(reader, ingest.RECONNECTS), of(reader, ingest.CONNECTIONS)) == ({MQTT: 1}, {MQTT: 0})


def test_an_end_is_counted_once(reader, connections):
    connection = Connection()
    connections.up(connection, "broker")
    connections.up(connection, "broker")
    assert connections.down(connection, "broker", "bye")
    assert not connections.down(connection, "broker", "bye")
    assert list(of(reader, ingest.CONNECTIONS_CLOSED).values()) == [1]


def test_a_connection_that_is_garbage_is_not_up(reader, connections):
    connection = Connection()
    connections.up(connection, "broker")
    del connection
    gc.collect()
    assert of(reader, ingest.CONNECTIONS) == {MQTT: 0}


def test_clients_that_lose_one_broker_each_reconnect(reader, connections):
    first, second, another = Connection(), Connection(), Connection()
    for each in (first, second):
        connections.attempt("broker", each)
        connections.up(each, "broker")
    for each in (first, second):
        connections.down(each, "broker", "lost")
    for each in (first, second, another):
        connections.attempt("broker", each)
        connections.up(each, "broker")
    assert (of(reader, ingest.RECONNECTS), of(reader, ingest.CONNECTIONS)) == ({MQTT: 2}, {MQTT: 3})


def test_an_object_that_replaces_a_lost_one_reconnects(reader, connections):
    connections.attempt("broker", Connection())
    connections.failed("broker", Connection())
    connections.attempt("broker", Connection())
    assert of(reader, ingest.RECONNECTS) == {MQTT: 1}


def test_connections_that_are_up_are_told_to_the_next_telemetry(reader, connections):
    connection = Connection()
    connections.up(connection, "broker")
    with setup_telemetry("own", config=config()) as telemetry:
        assert (
            'homeassistant_connection_active{homeassistant_connection_kind="mqtt"} 1.0' in telemetry.prometheus_text()
        )


def test_a_source_is_silent_since_its_first_use(reader):
    silence = Silence("mqtt")
    assert of(reader, ingest.MESSAGE_AGE) == {}
    silence.begin()
    (age,) = of(reader, ingest.MESSAGE_AGE).values()
    silence.end()
    assert (0 <= age < 50, of(reader, ingest.MESSAGE_AGE)) == (True, {})


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_TRACES_EXPORTER"])
def test_a_setting_of_other_exporters_is_no_matter_of_an_instrumentor(monkeypatch, caplog, variable):
    monkeypatch.setenv(variable, "0.01")  # seconds for the SDK's own exporters
    assert attach(MeterProvider(shutdown_on_exit=False))
    detach()
    assert caplog.text == ""


def test_a_wrong_setting_of_ours_is_a_warning_of_an_instrumentor(monkeypatch, caplog):
    monkeypatch.setenv("OTEL_HA_ENTITY_METRICS", "perhaps")
    assert attach(MeterProvider(shutdown_on_exit=False))
    detach()
    (record,) = caplog.records
    assert record.message.startswith("OTEL_HA_ENTITY_METRICS is 'perhaps'")
