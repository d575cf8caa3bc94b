"""Instrumented paho-mqtt without a broker: the account of messages, whatever callbacks do."""

import functools
from contextlib import suppress

import paho.mqtt.client as paho
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from otel_ha import TelemetryConfig, setup_telemetry
from otel_ha.instrumentation.mqtt.client import WIRE
from otel_ha.instrumentation.paho_mqtt import PahoMqttInstrumentor
from otel_ha.vocabulary import ingest, messaging
from tests.recorded import in_threads, meanwhile
from tests.unit.instrumentation.mqtt import LIGHT, OTHER, SENSOR, Seen, client, message, seen

ORIGINAL = dict(vars(paho.Client))


@pytest.fixture
def instrumentor():
    return PahoMqttInstrumentor()


@pytest.fixture
def metrics(instrumentor):
    with seen(instrumentor) as metrics:
        yield metrics


def failing(*_):
    raise KeyError("no such entity")


def interrupted(*_):
    raise KeyboardInterrupt


def nothing(*_):
    """Stand in for a callback."""


def handle(client, made=None):
    """Give a client a message as its loop does; an exception of the callback is the program's own."""
    with suppress(KeyError, KeyboardInterrupt):
        client._handle_on_message(made or message())


def test_a_message_is_processed_with_its_domain(metrics):
    own = client()
    own.on_message = nothing
    handle(own, message(LIGHT))
    handle(own, message(OTHER))
    assert metrics.processed() == {("light", "ok", None): 1, (None, "ok", None): 1}


def test_a_message_is_active_while_its_callbacks_run(metrics):
    own, found = client(), []
    own.on_message = lambda *_: found.append(metrics.account())
    handle(own)
    assert found == [{"received": 1, "processed": 0, "discarded": 0, "in_flight": 1}]
    assert metrics.account() == {"received": 1, "processed": 1, "discarded": 0, "in_flight": 0}


def test_a_message_is_one_event_for_all_callbacks_that_match(metrics):
    own, called = client(), []
    own.on_message = called.append
    own.message_callback_add("homeassistant/#", lambda *_: called.append(1))
    own.message_callback_add("+/light/#", lambda *_: called.append(2))
    handle(own)
    assert (called, metrics.account()["received"]) == ([1, 2], 1)


def test_a_message_without_callback_is_unhandled(metrics):
    own = client()
    own.message_callback_add("homeassistant/light/#", nothing)
    handle(own, message(SENSOR))
    handle(own, message(LIGHT))
    assert (metrics.discarded(), metrics.processed()) == ({"unhandled": 1}, {("light", "ok", None): 1})


def test_an_exception_is_an_error_and_passes_through(metrics):
    own = client()
    own.on_message = failing
    with pytest.raises(KeyError, match="no such entity"):
        own._handle_on_message(message())
    assert metrics.processed() == {("light", "error", "KeyError"): 1}


def test_a_swallowed_exception_is_an_error(metrics):
    own = client()
    own.suppress_exceptions = True
    own.on_message = failing
    own._handle_on_message(message())
    own.on_message = nothing
    own._handle_on_message(message())
    assert metrics.processed() == {("light", "error", "KeyError"): 1, ("light", "ok", None): 1}


def test_the_first_of_several_swallowed_exceptions_is_the_error(metrics):
    own, kinds = client(), [KeyError, ValueError]
    own.suppress_exceptions = True

    def fail(*_):
        raise kinds.pop(0)

    own.message_callback_add("homeassistant/#", fail)
    own.message_callback_add("homeassistant/light/#", fail)
    own._handle_on_message(message())
    assert (metrics.processed(), kinds) == ({("light", "error", "KeyError"): 1}, [])


def test_an_interrupt_is_cancelled_work_and_passes_through(metrics):
    own = client()
    own.on_message = interrupted
    with pytest.raises(KeyboardInterrupt):
        own._handle_on_message(message())
    assert metrics.processed() == {("light", "cancelled", None): 1}


def test_a_callback_without_a_name_fails_as_it_does_bare(metrics):
    own = client()
    own.suppress_exceptions = True
    own.message_callback_add("#", functools.partial(failing))
    with pytest.raises(AttributeError, match="__name__"):  # a fault of paho-mqtt's own message
        own._handle_on_message(message())
    assert metrics.processed() == {("light", "error", "AttributeError"): 1}


def test_a_topic_that_is_not_utf_8_has_no_domain(metrics):
    own = client()
    own.on_message = nothing
    handle(own, message(b"\xff\xfe"))
    own.suppress_exceptions = True
    handle(own, message(b"\xff\xfe"))
    own.on_message = None
    handle(own, message(b"\xff\xfe"))
    assert (metrics.processed(), metrics.discarded()) == ({(None, "ok", None): 2}, {"unhandled": 1})


def test_bytes_are_those_of_the_payloads(metrics):
    own = client()
    own.on_message = nothing
    handle(own, message(payload=b"12345"))
    handle(own, message(payload=b""))
    assert metrics.series(ingest.DATA_RECEIVED) == {("mqtt", "message"): 5}


def test_a_callback_of_a_subclass_is_measured(metrics):
    class Own(paho.Client):
        def on_message(self, client, userdata, message):
            failing()

    own = Own(paho.CallbackAPIVersion.VERSION2)
    handle(own)
    assert metrics.processed() == {("light", "error", "KeyError"): 1}


def test_a_subclass_that_handles_messages_itself_calls_ours(metrics):
    class Own(paho.Client):
        def _handle_on_message(self, message):
            super()._handle_on_message(message)

    own = Own(paho.CallbackAPIVersion.VERSION2)
    own.on_message = nothing
    handle(own)
    assert metrics.account()["processed"] == 1


def test_a_client_that_is_older_than_the_instrumentation_is_measured(instrumentor):
    own = client()
    own.on_message = nothing
    with seen(instrumentor) as metrics:
        handle(own)
        assert metrics.account()["processed"] == 1


def test_uninstrumented_nothing_is_left(metrics, instrumentor):
    instrumentor.uninstrument()
    assert dict(vars(paho.Client)) == ORIGINAL


def test_uninstrumented_nothing_is_counted(metrics, instrumentor):
    own = client()
    own.on_message = nothing
    stored = own._handle_on_message
    instrumentor.uninstrument()
    stored(message())
    assert metrics.account()["received"] == 0


@pytest.mark.parametrize("suppresses", [False, True])
def test_a_message_whose_callback_runs_when_the_recording_ends_is_discarded(metrics, instrumentor, suppresses):
    own = client()
    own.suppress_exceptions = suppresses
    own.on_message = lambda *_: instrumentor.uninstrument()
    handle(own)
    assert metrics.account() == {"received": 1, "processed": 0, "discarded": 1, "in_flight": 0}
    assert metrics.discarded() == {"shutdown": 1}


def test_instrumented_again_each_message_counts_once(metrics, instrumentor):
    own = client()
    own.on_message = nothing
    for _ in range(3):
        instrumentor.uninstrument()
        metrics.instrument(instrumentor)
    handle(own)
    assert metrics.account()["received"] == 1


def test_errors_of_other_callbacks_are_counted(metrics):
    own = client()
    own.suppress_exceptions = True
    own.on_disconnect = failing
    own._do_on_disconnect(packet_from_broker=False, v1_rc=paho.MQTT_ERR_SUCCESS)
    assert metrics.series(ingest.ERRORS) == {("mqtt", "KeyError", "error"): 1}


def test_a_message_without_acknowledgement_is_lost_by_a_client_that_is_not_connected(metrics):
    client().publish("a/b", b"lost", qos=0)
    assert metrics.series(messaging.SENT) == {("mqtt", "publish", "MQTT_ERR_NO_CONN"): 1}


def test_a_message_that_a_disconnected_client_keeps_is_not_sent(metrics):
    own = client()
    own.publish("a/b", b"kept", qos=1)
    own.publish("a/b", b"kept", qos=2)
    assert metrics.series(messaging.SENT) == {}


def test_a_message_that_the_clients_queue_refuses_is_an_error(metrics):
    own = client()
    own.max_queued_messages_set(1)
    own.publish("a/b", b"kept", qos=1)
    own.publish("a/b", b"refused", qos=1)
    assert metrics.series(messaging.SENT) == {("mqtt", "publish", "MQTT_ERR_QUEUE_SIZE"): 1}


@pytest.mark.parametrize(("code", "error"), [(0x10, None), (0x87, "not_authorized")])
def test_a_refusal_of_the_broker_is_an_error_of_the_operation(metrics, code, error):
    own = client(protocol=paho.MQTTv5)
    own.publish("a/b", b"kept", qos=1)
    [mid] = own._out_messages
    WIRE.sending._handed_over(own, mid, 0.0, is_repeated=False)
    own._do_on_publish(mid, ReasonCode(PacketTypes.PUBACK, identifier=code), None)
    assert metrics.series(messaging.OPERATION_DURATION) == {("mqtt", "publish", error): 1}
    assert metrics.series(messaging.SENT) == {("mqtt", "publish", None): 1}


def test_a_wrong_call_fails_as_it_does_bare(metrics):
    with pytest.raises(ValueError, match="cannot contain wildcards"):
        client().publish("a/#", b"")
    with pytest.raises(ValueError, match="Invalid host"):
        client().reconnect()
    assert metrics.series(messaging.SENT) == {}


def test_a_failure_of_ours_does_not_reach_the_program(metrics, monkeypatch):
    own, called = client(), []
    own.on_message = lambda *_: called.append(1)
    monkeypatch.setattr(type(WIRE.receiving), "_way", failing)
    own.suppress_exceptions = True
    handle(own)
    assert called == [1]


def test_telemetry_of_the_program_takes_over(instrumentor):
    own = client()
    own.on_message = nothing
    instrumentor.instrument()
    try:
        handle(own)
        config = TelemetryConfig(metrics_exporters=("prometheus",), prometheus_port=0, system_metrics=False, environ={})
        with setup_telemetry("own", config=config) as telemetry:
            handle(own)
            assert 'homeassistant_event_received_total{homeassistant_source="mqtt"} 1.0' in telemetry.prometheus_text()
    finally:
        instrumentor.uninstrument()


def test_at_each_collection_the_account_of_several_threads_adds_up(metrics):
    def work(number):
        own = client()
        own.suppress_exceptions = number == 0
        own.on_message = failing if number == 1 else None if number == 2 else nothing
        for _ in range(200):
            handle(own, message(SENSOR if number % 2 else LIGHT))

    with meanwhile(metrics.account):
        in_threads(4, work)
    assert metrics.account() == {"received": 800, "processed": 600, "discarded": 200, "in_flight": 0}


STEPS = st.lists(
    st.tuples(
        st.sampled_from([LIGHT, SENSOR, OTHER, b"\xff"]),
        st.sampled_from([None, nothing, failing, interrupted]),
        st.sampled_from([None, nothing, failing]),
        st.booleans(),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_whatever_callbacks_do_the_account_adds_up(steps):
    with seen(PahoMqttInstrumentor()) as metrics:
        during: list[dict[str, int]] = []
        for received, (topic, on_message, filtered, swallows) in enumerate(steps, 1):
            own = client()
            own.suppress_exceptions = swallows
            own.on_message = on_message
            own.message_callback_add("homeassistant/light/#", looking_in(metrics, during, filtered or nothing))
            handle(own, message(topic))
            assert metrics.account()["received"] == received
            assert metrics.account()["in_flight"] == 0
        assert all(account["in_flight"] == 1 for account in during)
        assert sum(metrics.processed().values()) + metrics.discarded().get("unhandled", 0) == len(steps)
        assert metrics.discarded().get("unhandled", 0) == sum(
            topic != LIGHT and on_message is None for topic, on_message, _, _ in steps
        )


def looking_in(metrics: Seen, during, callback):
    def look(*arguments):
        during.append(metrics.account())
        callback(*arguments)

    return look
