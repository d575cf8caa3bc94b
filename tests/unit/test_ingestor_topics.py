import json
import time

import pytest

from examples.ingestor.event import Event, InvalidEventError
from examples.ingestor.topics import Layout, Meaning, parse

SAME = Layout("homeassistant", "homeassistant")
APART = Layout("states", "homeassistant")


def parsed(payload: bytes | dict) -> Event:
    return parse("sensor.a", payload if isinstance(payload, bytes) else json.dumps(payload).encode())


def test_a_statestream_state_names_its_entity():
    assert APART.meaning("states/light/hall/state") == Meaning("state", "light.hall")


def test_a_statestream_attribute_is_not_a_state():
    assert APART.meaning("states/light/hall/brightness") == Meaning("attribute")


def test_a_discovery_state_without_a_node_is_a_state():
    assert APART.meaning("homeassistant/sensor/kitchen/state") == Meaning("state", "sensor.kitchen")


def test_a_discovery_state_with_a_node_is_named_after_node_and_object():
    assert SAME.meaning("homeassistant/sensor/hub-1/Power/state") == Meaning("state", "sensor.hub_1_power")


@pytest.mark.parametrize("topic", ["homeassistant/sensor/power/config", "homeassistant/sensor/hub/power/config"])
def test_a_discovery_config_is_an_announcement(topic):
    assert SAME.meaning(topic) == Meaning("config")


@pytest.mark.parametrize("topic", ["homeassistant/status", "homeassistantx/light/a/state", "zigbee2mqtt/a", ""])
def test_any_other_topic_is_ignored(topic):
    assert SAME.meaning(topic) == Meaning("other")


def test_a_topic_that_names_no_entity_is_an_invalid_event():
    meaning = SAME.meaning("homeassistant/sensor/Küche/state")
    with pytest.raises(InvalidEventError, match="names no entity"):
        parse(meaning.entity_id, b"1")


def test_a_base_topic_within_the_discovery_prefix_is_recognised():
    layout = Layout("homeassistant/states", "homeassistant")
    assert layout.meaning("homeassistant/states/light/hall/state") == Meaning("state", "light.hall")


def test_nested_prefixes_need_one_subscription():
    assert Layout("homeassistant/states", "homeassistant").subscriptions == ["homeassistant/#"]


def test_separate_prefixes_need_two_subscriptions():
    assert APART.subscriptions == ["homeassistant/#", "states/#"]


def test_plain_text_is_the_state():
    assert parsed(b"21.5").state == "21.5"


def test_a_plain_state_has_the_time_of_its_arrival():
    before = time.time_ns()
    assert before <= parsed(b"on").timestamp <= time.time_ns()


def test_json_contains_the_state_and_its_time():
    event = parsed({"state": 21.5, "last_updated": "2026-01-02T03:04:05.678901+00:00"})
    assert (event.state, event.timestamp) == ("21.5", 1_767_323_045_678_901_000)


def test_last_changed_is_the_time_without_last_updated():
    assert parsed({"value": "on", "last_changed": "1970-01-01T01:00:01+01:00"}).timestamp == 1_000_000_000


def test_a_time_without_a_time_zone_is_ignored():
    assert parsed({"state": "on", "last_updated": "1970-01-01T00:00:01"}).timestamp > 1_000_000_000


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff\xfe",
        b'{"state": 21.',
        b'{"brightness": 3}',
        b'{"state": null}',
        b'{"state": true}',
        b'{"state": {"a": 1}}',
        b'{"state": "on", "attributes": []}',
        b'{"state": ""}',
        b"x" * 256,
        b'{"a":' * 20_000,
    ],
)
def test_a_malformed_payload_is_an_invalid_event(payload):
    with pytest.raises(InvalidEventError):
        parsed(payload)


@pytest.mark.parametrize(
    "payload", [{"state": "\ud800"}, {"state": "1", "attributes": {"unit_of_measurement": "\ud800"}}]
)
def test_half_of_a_surrogate_pair_is_an_invalid_event(payload):
    with pytest.raises(InvalidEventError, match="cannot be encoded in UTF-8"):
        parsed(payload)


def test_a_time_that_no_store_can_hold_becomes_the_time_of_arrival():
    before = time.time_ns()
    assert before <= parsed({"state": "on", "last_updated": "0001-01-01T00:00:00Z"}).timestamp <= time.time_ns()
