"""Whatever arrives over MQTT, nothing raises and the accounts add up."""

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.ingestor.accounting import accounting
from examples.ingestor.intake import Intake
from examples.ingestor.mqtt_messages import Messages
from examples.ingestor.topics import Layout
from otel_ha import TelemetryConfig, setup_telemetry

CONFIG = TelemetryConfig(metrics_exporters=("prometheus",), prometheus_port=0, system_metrics=False, environ={})
TOPICS = (
    "ha/sensor/a/state",
    "ha/sensor/a/last_updated",
    "ha/sensor/a/unit_of_measurement",
    "ha/sensor/a/config",
    "ha/device/b/config",
    "ha/light/n/c/config",
    "z/lamp",
    "t",
    "$SYS/broker/publish/messages/dropped",
)
KEYS = (
    "state",
    "value",
    "stat_t",
    "avty",
    "avty_t",
    "t",
    "~",
    "val_tpl",
    "cmps",
    "p",
    "dev",
    "name",
    "obj_id",
    "schema",
)
VALUES = ("t", "~", "~/t", "ON", "None", "sensor", "json", "{{ value_json.state }}", "{{ value | int }}", "{{ x }}", "")
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(VALUES)
objects = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner), max_leaves=12
)
payloads = (
    st.binary(max_size=20)
    | objects.map(lambda content: json.dumps(content).encode())
    | st.sampled_from((b"", b"on", b"5", b"2026-01-01T00:00:00+00:00", b"[" * 5000, b'{"a":' * 500 + b"1" + b"}" * 500))
)


@pytest.fixture(scope="module")
def telemetry():
    with setup_telemetry("test", config=CONFIG) as running:
        yield running


@given(st.lists(st.tuples(st.sampled_from(TOPICS), payloads, st.booleans(), st.booleans()), max_size=20))
@settings(max_examples=100)
def test_every_message_is_accounted_for(telemetry, messages):
    async def take() -> None:
        intake = Intake(1000)
        source = Messages(Layout("ha", "ha", ("z",)), intake)
        for topic, payload, retained, reconnect in messages:
            source.take(topic, payload, retained=retained)
            if reconnect:
                source.subscribed()
                source.disconnected()
        source.disconnected()
        intake.abandon()

    asyncio.run(take())
    found = accounting(telemetry.prometheus_text())
    assert found.adds_up
    assert found.in_flight == 0
