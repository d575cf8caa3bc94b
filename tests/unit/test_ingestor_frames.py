import json
import time

import pytest

from examples.ingestor.event import InvalidEventError
from examples.ingestor.frames import RemovedError, messages, parse


def changed(**state: object) -> dict:
    new_state = {"state": "on", "attributes": {"a": 1}, "last_updated": "1970-01-01T00:00:01+00:00"} | state
    return {"type": "event", "event": {"data": {"entity_id": "light.hall", "new_state": new_state}}}


def test_a_frame_with_one_message_is_one_message():
    assert messages('{"type": "auth_ok"}') == [{"type": "auth_ok"}]


def test_a_coalesced_frame_is_many_messages():
    assert messages('[{"id": 1}, {"id": 2}]') == [{"id": 1}, {"id": 2}]


@pytest.mark.parametrize("frame", ["", "{", "1", "[1]", '"text"', "[" * 100_000])
def test_a_frame_without_messages_is_invalid(frame):
    with pytest.raises(InvalidEventError):
        messages(frame)


def test_an_event_has_the_time_of_home_assistant():
    event = parse(changed())
    assert (event.source, event.entity_id, event.state, event.timestamp) == (
        "websocket",
        "light.hall",
        "on",
        1_000_000_000,
    )


def test_a_time_of_home_assistant_is_the_sources_own():
    assert parse(changed()).timed
    assert not parse(changed(last_updated="soon")).timed


def test_a_cleared_state_is_an_event():
    assert parse(changed(state="")).state == ""


def test_an_event_keeps_its_attributes():
    assert parse(changed()).attributes == {"a": 1}


def test_the_removal_of_an_entity_is_not_an_event():
    message = changed()
    message["event"]["data"]["new_state"] = None
    with pytest.raises(RemovedError, match=r"light\.hall"):
        parse(message)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"event": None},
        {"event": {"data": {"entity_id": "light.hall"}}},
        {"event": {"data": {"entity_id": 3, "new_state": {"state": "on"}}}},
        {"event": {"data": {"entity_id": "light.hall", "new_state": "on"}}},
        changed(state=None),
        changed(attributes=[1]),
    ],
    ids=json.dumps,
)
def test_a_malformed_event_is_invalid(message):
    with pytest.raises(InvalidEventError):
        parse(message)


@pytest.mark.parametrize(
    "message",
    [
        changed(state="\ud800"),
        changed(attributes={"unit_of_measurement": "\ud800"}),
        {"event": {"data": {"entity_id": "light.\ud800", "new_state": {"state": "on"}}}},
    ],
    ids=["state", "unit", "entity_id"],
)
def test_half_of_a_surrogate_pair_is_invalid(message):
    with pytest.raises(InvalidEventError, match="cannot be encoded in UTF-8"):
        parse(message)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00"])
def test_a_time_that_no_store_can_hold_becomes_the_time_of_arrival(moment):
    before = time.time_ns()
    assert before <= parse(changed(last_updated=moment)).timestamp <= time.time_ns()
