"""Unmodified programs with paho-mqtt and aiomqtt: what they report equals what was sent."""

import pytest

from otel_ha.telemetry import running_telemetry
from tests.servers.running import eventually
from tests.unit.instrumentation.mqtt import LIGHT, SENSOR
from tests.unit.instrumentation.mqtt import client as paho_client

ACTIVE = "homeassistant_connection_active"
CLOSED = "homeassistant_connection_closed_total"
RECONNECTS = "homeassistant_connection_reconnects_total"
SENT = "messaging_client_sent_messages_total"
ACKNOWLEDGED = "messaging_client_operation_duration_seconds_count"


@pytest.fixture
def send(mosquitto):
    """A function that publishes messages, and waits until the broker has them."""
    assert running_telemetry() is None

    def send(topic, payload, number=1):
        own = paho_client()
        own.connect(mosquitto.host, mosquitto.port)
        own.loop_start()
        for each in range(number):
            own.publish(topic, payload, qos=each % 3).wait_for_publish(30)
        own.disconnect()
        own.loop_stop()

    return send


@pytest.fixture
def broker(mosquitto):
    return mosquitto.host, str(mosquitto.port)


def ready(program, times):
    """Wait until a program has subscribed so often."""
    eventually(lambda: program.output.count("ready"), lambda found: found >= times, timeout=60)


def follow_paho(program, mosquitto, send):
    ready(program, 1)
    send(LIGHT, b"on", 9)
    send(LIGHT, b"bad", 3)
    send(SENSOR, b"21.5", 3)
    program.wait_for(lambda seen: seen.account("mqtt").get("received") == 15 and seen.total(ACKNOWLEDGED) == 9)
    mosquitto.kill()
    program.wait_for(lambda seen: seen.total(ACTIVE, connection_kind="mqtt") == 0 and seen.total(CLOSED) == 1)
    mosquitto.start()
    ready(program, 2)
    send(LIGHT, b"off", 6)
    seen = program.wait_for(lambda seen: seen.total(ACKNOWLEDGED) == 15)
    assert seen.account("mqtt") == {
        "received": 21,
        "processed ok": 15,
        "processed error": 3,
        "discarded unhandled": 3,
    }
    assert seen.total("homeassistant_event_process_duration_seconds_count", domain="light") == 18
    assert seen.total("homeassistant_event_process_duration_seconds_count", error_type="ValueError") == 3
    assert seen.total("homeassistant_data_received_bytes_total") == 9 * 2 + 3 * 3 + 3 * 4 + 6 * 3
    assert (seen.total(SENT), seen.total(ACTIVE)) == (15, 1)
    assert seen.total(RECONNECTS) >= 1
    program.stop()


def follow_aiomqtt(program, mosquitto, send):
    ready(program, 1)
    send(LIGHT, b"on", 9)
    program.wait_for(lambda seen: seen.account("mqtt") == {"received": 9, "processed ok": 9})
    mosquitto.kill()
    program.wait_for(lambda seen: seen.total(CLOSED) == 1 and seen.total(ACTIVE) == 0)
    mosquitto.start()
    ready(program, 2)
    send(LIGHT, b"slow", 2)
    program.wait_for(lambda seen: seen.account("mqtt").get("in flight") == 2)
    send(LIGHT, b"bad")
    ready(program, 3)
    send(LIGHT, b"slow", 3)
    program.wait_for(lambda seen: seen.total("homeassistant_event_in_flight", event_state="active") == 3)
    send(SENSOR, b"21.5", 9)
    seen = program.wait_for(lambda seen: seen.account("mqtt").get("received") == 24)
    assert seen.account("mqtt") == {
        "received": 24,
        "processed ok": 9,
        "processed error": 1,
        "processed cancelled": 2,
        "discarded overflow": 4,
        "in flight": 8,
    }
    assert seen.total("homeassistant_event_process_duration_seconds_count", error_type="ValueError") == 1
    assert seen.total("homeassistant_queue_size", queue="aiomqtt") == 5
    assert seen.total("homeassistant_queue_capacity", queue="aiomqtt") == 5
    assert (seen.total(ACTIVE), seen.total(CLOSED)) == (1, 2)
    assert seen.total(RECONNECTS) >= 1
    program.stop()


def test_a_program_with_paho_mqtt(environment, command, mosquitto, broker, send):
    follow_paho(environment.start(command, "paho_subscriber.py", *broker), mosquitto, send)


def test_a_program_with_aiomqtt(environment, command, mosquitto, broker, send):
    follow_aiomqtt(environment.start(command, "aiomqtt_workers.py", *broker), mosquitto, send)


def test_a_program_with_the_oldest_paho_mqtt(make_environment, mosquitto, broker, send):
    program = make_environment("paho-mqtt==2.0.0").start("otel-ha run", "paho_subscriber.py", *broker)
    follow_paho(program, mosquitto, send)


def test_a_program_with_the_oldest_aiomqtt(oldest, mosquitto, broker, send):
    follow_aiomqtt(oldest.start("otel-ha run", "aiomqtt_workers.py", *broker), mosquitto, send)
