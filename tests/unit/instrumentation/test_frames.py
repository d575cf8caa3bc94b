"""Frames of Home Assistant's WebSocket API: which of them have events."""

import pytest

from otel_ha.instrumentation.home_assistant.frames import events_in

LONG = "x" * 500


@pytest.mark.parametrize(
    ("frame", "events"),
    [
        ('{"id":1,"type":"event","event":{}}', [{}]),
        ('{"id": 1, "type" : "event", "event": {"a": 1}}', [{"a": 1}]),
        (f'{{"event":{{"data":"{LONG}"}},"id":1,"type":"event"}}', [{"data": LONG}]),
        (f'{{"id":1,"event": {{"data":"{LONG}"}},"type":"event"}}'.encode(), [{"data": LONG}]),
        ('[{"type":"event","event":1},{"type":"result"},{"type":"event","event":2}]', [1, 2]),
        ('{"id":1,"type":"result","result":{"type":"event","event":{}}}', []),
        ('{"id":1,"type":"pong"}', []),
        ('{"id":1,"type":"event","event":', []),
        ("[" * 100_000, []),
        (b"\xff\xfe", []),
        ("", []),
    ],
)
def test_a_frame_has_the_events_that_it_names_in_any_order_of_its_keys(frame, events):
    assert events_in(frame) == events
