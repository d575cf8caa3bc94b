"""Instrumented libraries, and sources that code observes, in the test kit."""

import psutil
import pytest

from otel_ha import TelemetryConfig, setup_telemetry
from otel_ha.instrumentation.paho_mqtt import PahoMqttInstrumentor
from otel_ha.instrumentation.watching import Connections, Silence
from otel_ha.telemetry import attach, detach, running_telemetry
from otel_ha.testing import captured_metrics
from otel_ha.vocabulary import ingest, runtime
from tests.unit.conftest import config
from tests.unit.instrumentation.mqtt import client, message

CODE = TelemetryConfig(system_metrics=False, environ={})


class Connection:
    """An object that stands for a library's connection."""


@pytest.fixture
def instrumentor():
    made = PahoMqttInstrumentor()
    yield made
    if made.is_instrumented_by_opentelemetry:
        made.uninstrument()


@pytest.fixture
def connections():
    connections = Connections("mqtt")
    yield connections
    connections.end()


@pytest.fixture
def silence():
    silence = Silence("mqtt")
    yield silence
    silence.end()


def handle(own):
    """Give a client a message as its loop does."""
    own._handle_on_message(message())


def listening():
    own = client()
    own.on_message = lambda *_: None
    return own


def sample(telemetry, name):
    """Return the value of the one sample of that name; None if there is none."""
    found = [line for line in telemetry.prometheus_text().splitlines() if line.startswith((name + "{", name + " "))]
    return float(found[0].rpartition(" ")[2]) if found else None


def test_a_library_that_is_instrumented_before_is_captured_in_each_test(instrumentor):
    instrumentor.instrument()
    own = listening()
    for _ in range(2):
        with captured_metrics() as metrics:
            handle(own)
            metrics.assert_recorded(ingest.EVENT, 1, source="mqtt", outcome="ok")
            metrics.assert_accounts(ingest.EVENT)
    handle(own)


def test_a_library_that_is_instrumented_within_is_captured_there_and_in_the_next_test(instrumentor):
    own = listening()
    with captured_metrics() as metrics:
        instrumentor.instrument()
        handle(own)
        metrics.assert_recorded(ingest.EVENT, 1, source="mqtt")
    with captured_metrics() as metrics:
        handle(own)
        metrics.assert_recorded(ingest.EVENT, 1, source="mqtt")


def test_a_library_that_is_uninstrumented_within_is_not_captured_any_more(instrumentor):
    instrumentor.instrument()
    own = listening()
    with captured_metrics() as metrics:
        instrumentor.uninstrument()
        handle(own)
        metrics.assert_nothing_recorded(ingest.EVENT)
    assert running_telemetry() is None


def test_a_library_on_telemetry_that_the_code_sets_up_is_captured(instrumentor):
    instrumentor.instrument()
    own = listening()
    with captured_metrics() as metrics:
        with setup_telemetry("code", config=CODE):
            handle(own)
        metrics.assert_recorded(ingest.EVENT, 1, source="mqtt")


def test_a_library_that_is_instrumented_before_records_with_the_settings_of_the_kit(instrumentor):
    instrumentor.instrument()
    with captured_metrics(entity_metrics=True) as metrics:
        handle(listening())
        metrics.assert_recorded(ingest.ENTITY_EVENTS, 1, entity="light.lamp")


def test_the_recording_of_libraries_goes_on_after_the_capture(instrumentor):
    instrumentor.instrument()
    attached = running_telemetry()
    with captured_metrics():
        assert running_telemetry() is not attached
    assert running_telemetry() is attached
    assert attached.is_attached


def test_connections_that_were_up_before_are_captured(connections):
    connection = Connection()
    connections.up(connection, "broker")
    for _ in range(2):
        with captured_metrics() as metrics:
            metrics.assert_recorded(ingest.CONNECTIONS, 1, kind="mqtt")


def test_connections_are_those_of_now_when_telemetry_goes_on(connections):
    kept, ended, begun = Connection(), Connection(), Connection()
    with setup_telemetry("outer", config=config()) as telemetry:
        connections.up(kept, "a")
        connections.up(ended, "b")
        with captured_metrics() as metrics:
            connections.down(ended, "b", "closed")
            metrics.assert_recorded(ingest.CONNECTIONS, 1, kind="mqtt")
            with setup_telemetry("code", config=CODE):
                metrics.assert_recorded(ingest.CONNECTIONS, 1, kind="mqtt")
        assert sample(telemetry, "homeassistant_connection_active") == 1
        with captured_metrics():
            connections.up(begun, "c")
        assert sample(telemetry, "homeassistant_connection_active") == 2


def test_connections_of_a_kind_that_is_first_used_within_are_known_afterwards(connections):
    connection = Connection()
    with setup_telemetry("outer", config=config()) as telemetry:
        with captured_metrics():
            connections.up(connection, "a")
        assert sample(telemetry, "homeassistant_connection_active") == 1


def test_a_silent_source_is_read_once_by_each_telemetry(silence):
    with setup_telemetry("outer", config=config()) as telemetry:
        silence.begin()
        for _ in range(2):
            with captured_metrics() as metrics:
                assert len(metrics[ingest.MESSAGE_AGE].series()) == 1
                with setup_telemetry("code", config=CODE):
                    assert len(metrics[ingest.MESSAGE_AGE].series()) == 1
            assert sample(telemetry, "homeassistant_message_age_seconds") >= 0


def test_a_source_that_ends_within_is_not_read_afterwards(silence):
    with setup_telemetry("outer", config=config()) as telemetry:
        silence.begin()
        with captured_metrics() as metrics:
            silence.end()
            assert metrics[ingest.MESSAGE_AGE].series() == []
        assert sample(telemetry, "homeassistant_message_age_seconds") is None


def test_a_source_that_was_observed_before_is_captured():
    with setup_telemetry("outer", config=config()) as telemetry, ingest.QUEUE_SIZE.observe(lambda: 3, queue="in"):
        for _ in range(2):
            with captured_metrics() as metrics:
                metrics.assert_recorded(ingest.QUEUE_SIZE, 3, queue="in")
        assert sample(telemetry, "homeassistant_queue_size") == 3


def test_a_source_that_stops_within_is_gone_for_good():
    with setup_telemetry("outer", config=config()) as telemetry:
        observing = ingest.QUEUE_SIZE.observe(lambda: 3, queue="in")
        with captured_metrics() as metrics:
            observing.stop()
            metrics.assert_nothing_recorded(ingest.QUEUE_SIZE)
        assert sample(telemetry, "homeassistant_queue_size") is None


def test_a_source_of_a_test_is_unknown_to_the_next_and_to_telemetry_outside():
    with setup_telemetry("outer", config=config()) as telemetry:
        with captured_metrics() as metrics:
            ingest.QUEUE_SIZE.observe(lambda: 3, queue="in")
            metrics.assert_recorded(ingest.QUEUE_SIZE, 3)
        with captured_metrics() as metrics:
            metrics.assert_nothing_recorded(ingest.QUEUE_SIZE)
        assert sample(telemetry, "homeassistant_queue_size") is None


def test_a_source_on_a_provider_of_other_code_is_captured():
    assert attach()
    try:
        ingest.QUEUE_SIZE.observe(lambda: 3, queue="in")
        with captured_metrics() as metrics:
            metrics.assert_recorded(ingest.QUEUE_SIZE, 3, queue="in")
    finally:
        detach()


def test_the_process_is_read_once_if_telemetry_outside_reads_it_too():
    with setup_telemetry("outer", config=config(system_metrics=True)), captured_metrics() as metrics:
        [series] = metrics[runtime.PROCESS_THREADS].series()
        assert series.value < 1.5 * psutil.Process().num_threads()


def test_a_capture_within_another_has_its_own_settings_and_counts():
    with captured_metrics() as outer:
        ingest.RECEIVED.add(1, source="mqtt")
        with captured_metrics(entity_metrics=True) as inner:
            ingest.RECEIVED.add(2, source="mqtt")
            ingest.ENTITY_EVENTS.add(1, entity="light.a", domain="light")
            inner.assert_recorded(ingest.RECEIVED, 2)
            inner.assert_recorded(ingest.ENTITY_EVENTS, 1)
        outer.assert_recorded(ingest.RECEIVED, 1)


def test_the_process_is_read_if_the_kit_is_asked_to():
    with captured_metrics(system_metrics=True) as metrics:
        assert metrics[runtime.PROCESS_THREADS].total() > 0
        assert metrics[runtime.PROCESS_CPU_TIME].total() < 1e6


def test_telemetry_outside_counts_nothing_of_the_block_and_goes_on():
    with setup_telemetry("outer", config=config()) as telemetry:
        ingest.RECEIVED.add(1, source="mqtt")
        with captured_metrics() as metrics:
            ingest.RECEIVED.add(2, source="mqtt")
            metrics.assert_recorded(ingest.RECEIVED, 2)
        ingest.RECEIVED.add(4, source="mqtt")
        assert sample(telemetry, "homeassistant_event_received_total") == 5


def test_a_failing_start_leaves_everything_as_it_was(monkeypatch):
    def fail(_):
        raise OSError("no memory")

    with setup_telemetry("outer", config=config()) as telemetry:
        ingest.RECEIVED.add(1, source="mqtt")
        with monkeypatch.context() as patched:
            patched.setattr("otel_ha.export.pipeline.Pipeline.connect", fail)
            with pytest.raises(OSError, match="no memory"), captured_metrics():
                pass
        ingest.RECEIVED.add(1, source="mqtt")
        assert sample(telemetry, "homeassistant_event_received_total") == 2
