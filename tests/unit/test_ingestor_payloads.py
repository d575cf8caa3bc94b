import json
import time

import pytest

from examples.ingestor.event import Event, InvalidEventError
from examples.ingestor.line_protocol import to_point
from examples.ingestor.payloads import from_json, from_text


def parsed(payload: bytes | dict | list) -> Event:
    return from_json("sensor.a", payload if isinstance(payload, bytes) else json.dumps(payload).encode())


def fields_in(event: Event) -> str:
    return to_point(event).line.split(" ")[1]


@pytest.mark.parametrize("payload", ['{"state":"5"}', '{"temperature":21.5}', '["a"]', '"on"', "{", "on\n"])
def test_a_payload_of_statestream_is_the_state_itself(payload):
    assert from_text("sensor.a", payload.encode()).state == payload


def test_a_bare_number_is_a_number():
    assert fields_in(from_text("input_number.a", b"21.5")) == "value=21.5"


@pytest.mark.parametrize("domain", ["text", "input_text", "select", "input_select"])
def test_a_bare_number_is_text_in_domains_of_text(domain):
    assert fields_in(from_text(f"{domain}.a", b"21.5")) == 'state="21.5"'


def test_a_state_without_a_time_has_the_time_of_its_arrival():
    before = time.time_ns()
    event = from_text("sensor.a", b"on")
    assert before <= event.timestamp <= time.time_ns()
    assert not event.timed


def test_an_empty_payload_is_a_cleared_state():
    assert from_text("input_text.a", b"").state == parsed(b"").state == parsed({"state": ""}).state == ""


def test_json_contains_the_state_and_its_time():
    event = parsed({"state": 21.5, "last_updated": "2026-01-02T03:04:05.678901+00:00"})
    assert (event.state, event.timestamp, event.timed) == ("21.5", 1_767_323_045_678_901_000, True)


def test_last_changed_is_the_time_without_last_updated():
    assert parsed({"value": "on", "last_changed": "1970-01-01T01:00:01+01:00"}).timestamp == 1_000_000_000


def test_a_time_without_a_time_zone_is_ignored():
    event = parsed({"state": "on", "last_updated": "1970-01-01T00:00:01"})
    assert event.timestamp > 1_000_000_000
    assert not event.timed


def test_several_values_are_fields():
    event = parsed({"temperature": 21.5, "humidity": 40})
    assert (event.state, event.fields) == ("", {"temperature": 21.5, "humidity": 40})
    assert fields_in(event) == "temperature=21.5,humidity=40.0"


def test_values_beside_the_state_are_fields():
    event = parsed({"state": "ON", "brightness": 100, "update": {"state": "idle"}})
    assert (event.state, event.fields) == ("ON", {"brightness": 100, "update_state": "idle"})


def test_nested_values_are_named_after_the_path():
    event = parsed({"Time": "2026-01-01T00:00:00", "AM2301": {"Temperature": 21.5, "Humidity": 40}})
    assert event.fields == {"Time": "2026-01-01T00:00:00", "AM2301_Temperature": 21.5, "AM2301_Humidity": 40}


def test_values_that_cannot_be_fields_are_left_out():
    assert parsed({"a": 1, "b": None, "c": [1], "d": "x" * 256, "e" * 256: 1}).fields == {"a": 1}


def test_a_number_that_is_too_large_is_left_out():
    assert parsed(b'{"a": 1, "b": 1e999}').fields == {"a": 1}


@pytest.mark.parametrize(("payload", "state"), [(b"true", "true"), (b'{"state": true}', "true"), (b'"ON"', "ON")])
def test_a_truth_value_or_text_is_a_state(payload, state):
    assert parsed(payload).state == state


def test_text_that_is_not_json_is_the_state_itself():
    assert parsed(b"21.5").state == "21.5"
    assert parsed(b"heat").state == "heat"


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff\xfe",
        b'{"state": 21.',
        b'{"state": NaN}',
        b'{"state": null}',
        b'{"state": {}}',
        b'{"state": [1], "value": null}',
        b'{"attributes": {"a": 1}}',
        b"[1, 2]",
        b"{}",
        b"x" * 256,
        b'{"a":' * 20_000,
        b'{"a":' * 800 + b"1" + b"}" * 800,
        json.dumps({str(number): number for number in range(101)}).encode(),
    ],
)
def test_a_malformed_payload_is_an_invalid_event(payload):
    with pytest.raises(InvalidEventError):
        parsed(payload)


def test_a_topic_that_names_no_entity_is_an_invalid_event():
    with pytest.raises(InvalidEventError, match="names no entity"):
        from_text("", b"1")


@pytest.mark.parametrize("payload", [{"state": "\ud800"}, {"a": "\ud800"}, {"\ud800": 1}])
def test_half_of_a_surrogate_pair_is_an_invalid_event(payload):
    with pytest.raises(InvalidEventError, match="no state and no other value"):
        parsed(payload)


@pytest.mark.parametrize(
    ("payload", "state", "fields"),
    [
        ({"state": {"reported": {"t": 21.5}}}, "", {"state_reported_t": 21.5}),
        ({"value": {"t": 1}, "x": 5}, "", {"value_t": 1, "x": 5}),
        ({"state": None, "value": 5}, "5", {}),
        ({"state": [1], "value": "on"}, "on", {}),
        ({"state": {"a": 1}, "value": True}, "true", {"state_a": 1}),
        ({"attributes": [1], "temperature": 2}, "", {"temperature": 2}),
        ({"state": "x" * 256, "temperature": 2}, "", {"temperature": 2}),
        ({"state": "\ud800", "temperature": 2}, "", {"temperature": 2}),
        ({"a": "\ud800", "b\ud800": 1, "c": {"d\ud800": 1}, "e": 2}, "", {"e": 2}),
        (b'{"temperature":NaN,"humidity":40}', "", {"humidity": 40}),
        (b'{"state":Infinity,"humidity":40}', "", {"humidity": 40}),
    ],
)
def test_a_bad_member_loses_nothing_but_itself(payload, state, fields):
    event = parsed(payload)
    assert (event.state, event.fields) == (state, fields)


def test_a_bad_attribute_loses_nothing_but_itself():
    attributes = {"unit_of_measurement": "\ud800", "device_class": "power"}
    assert parsed({"state": "1", "attributes": attributes}).attributes == {"device_class": "power"}


def test_a_time_that_no_store_can_hold_becomes_the_time_of_arrival():
    before = time.time_ns()
    event = from_json("sensor.a", b'{"state": "on", "last_updated": "0001-01-01T00:00:00Z"}')
    assert not event.timed
    assert before <= event.timestamp <= time.time_ns()


@pytest.mark.parametrize("attributes", [{}, {"battery": 70}])
def test_a_chosen_attribute_replaces_no_field_of_the_message(attributes):
    payload = {"state": "ON", "battery": 50, "attributes": attributes}
    point = to_point(from_json("sensor.a", json.dumps(payload).encode()), ("battery",))
    assert point is not None
    assert f"battery={attributes.get('battery', 50)}.0" in point.line


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity"])
def test_a_state_that_is_not_finite_is_left_out_alone(number):
    assert from_json("sensor.a", f'{{"state": {number}, "battery": 50}}'.encode()).state == ""
    with pytest.raises(InvalidEventError):
        from_json("sensor.a", f'{{"state": {number}}}'.encode())
