"""MQTT and the WebSocket API of one home: each entity is one series, and each state is written once."""

from dataclasses import replace

import pytest

from examples.ingestor import dedup
from examples.ingestor.dedup import Deduplicator
from examples.ingestor.descriptions import Descriptions
from examples.ingestor.discovery import Discovery
from examples.ingestor.event import Event
from examples.ingestor.line_protocol import to_point
from examples.ingestor.payloads import from_json


def report(source: str, state: str = "on", time: int | None = None, **attributes: object) -> Event:
    """A state that a source reports, with Home Assistant's own time or without."""
    return Event(source, "light.hall", state, time or 0, attributes, timed=time is not None)


def duplicates(*reports: Event, every: float = 0.01, window: float = 1.0) -> list[bool]:
    """Whether each of the reports, which arrive at this interval, is a duplicate."""
    seen = Deduplicator(window)
    return [seen.is_duplicate(each, number * every) for number, each in enumerate(reports)]


@pytest.mark.parametrize("times", [(1, 1), (1, None), (None, 1), (None, None)], ids=str)
@pytest.mark.parametrize("sources", [("mqtt", "websocket"), ("websocket", "mqtt")], ids=str)
def test_two_sources_of_one_home_give_each_state_once(sources, times):
    reports = [report(source, time=time) for source, time in zip(sources, times, strict=True)]
    assert duplicates(*reports) == [False, True]


def test_attributes_do_not_make_the_state_of_another_source_new():
    assert duplicates(report("websocket", brightness=3), report("mqtt")) == [False, True]


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [("mqtt", "websocket", [False, False]), ("websocket", "mqtt", [False, True]), ("mqtt", "other", [False, True])],
)
def test_a_report_without_the_attributes_that_are_written_hides_none_with_them(first, second, found):
    attributes = {"websocket": {"brightness": 3}, "other": {"color": "red"}}
    seen = Deduplicator(1.0, lambda _: ["brightness"])
    reports = [report(source, **attributes.get(source, {})) for source in (first, second)]
    assert [seen.is_duplicate(each, 0.0) for each in reports] == found


def test_a_source_that_is_three_states_behind_gives_no_second_state():
    ahead = [report("websocket", state, number) for number, state in enumerate(["on", "off", "on"])]
    behind = [report("mqtt", state) for state in ["on", "off", "on"]]
    assert duplicates(*ahead, *behind) == [False] * 3 + [True] * 3


def test_a_source_with_times_may_be_any_number_of_states_behind():
    states = [("websocket", str(number), number) for number in range(200)]
    late = [("mqtt", state, time) for _, state, time in states]
    assert duplicates(*(report(*each) for each in states + late), every=1.0) == [False] * 200 + [True] * 200


def test_the_states_in_memory_are_limited(monkeypatch):
    monkeypatch.setattr(dedup, "MOST_DATED", 10)
    states = [report("websocket", str(number), number) for number in range(100)]
    late = [report("mqtt", str(number), number) for number in (99, 89)]
    assert duplicates(*states, *late, every=2.0)[100:] == [True, False]


def test_interleaved_reports_of_two_sources_give_each_state_once():
    states = ["on", "off", "on", "on"]
    pairs = [(report("mqtt", s), report("websocket", s, n, n=n)) for n, s in enumerate(states)]
    assert duplicates(*(each for pair in pairs for each in pair)).count(False) == 4


def test_the_same_state_with_another_time_of_its_own_is_new():
    assert duplicates(report("websocket", time=1), report("mqtt", time=2)) == [False, False]


def test_the_same_time_of_its_own_is_a_duplicate_after_any_time():
    assert duplicates(report("mqtt", time=1), report("websocket", time=1), every=3600.0) == [False, True]


@pytest.mark.parametrize(("seconds", "found"), [(14.0, [False, False, True]), (16.0, [False, False, False])])
def test_earlier_states_without_times_are_compared_for_30_seconds(seconds, found):
    reports = [report("websocket", "?", 1), report("mqtt"), report("mqtt", "off"), report("websocket", time=2)]
    assert duplicates(*reports, every=seconds)[1:] == found


@pytest.mark.parametrize("times", [(None, 1), (1, None), (None, None)], ids=str)
@pytest.mark.parametrize("sources", [("mqtt", "websocket"), ("websocket", "mqtt")], ids=str)
def test_a_source_that_was_away_does_not_repeat_the_last_state_however_late(sources, times):
    there, back = sources
    before = [report(there, "off"), report(back, "off")]
    during = [report(there, "on", times[0])]
    after = [report(back, "on", times[1]), report(back, "off"), report(there, "off"), report(back, "on")]
    assert duplicates(*before, *during, *after, every=60.0) == [False, True, False, True, False, True, False]


def test_a_source_that_was_away_reports_a_state_that_the_other_has_missed():
    reports = [report("mqtt", "off"), report("websocket", "off", 1), report("mqtt"), report("websocket", "off", 3)]
    assert duplicates(*reports, every=60.0) == [False, True, False, False]


def test_a_source_that_was_away_reports_the_state_once_if_the_other_repeats_it():
    reports = [report("mqtt"), report("websocket", time=1), report("mqtt"), report("websocket", time=2, n=2)]
    assert duplicates(*reports, every=60.0) == [False, True, False, True]


def test_the_entities_whose_last_state_is_remembered_are_limited(monkeypatch):
    monkeypatch.setattr(dedup, "MOST_ENTITIES", 10)
    seen = Deduplicator(1.0)
    for number in range(100):
        seen.is_duplicate(Event("mqtt", f"light.l{number}", "on", 0), number * 60.0)
    found = [seen.is_duplicate(Event("websocket", f"light.l{number}", "on", 0), 9000.0) for number in (99, 90, 89, 0)]
    assert found == [True, True, False, False]


@pytest.mark.parametrize("sources", [("mqtt", "websocket"), ("websocket", "mqtt")], ids=str)
def test_the_time_of_a_device_is_not_compared_with_home_assistants(sources):
    reports = {"mqtt": replace(report("mqtt", time=1), device_time=True), "websocket": report("websocket", time=2)}
    assert duplicates(*(reports[source] for source in sources)) == [False, True]


def test_the_time_in_a_message_of_a_device_is_not_home_assistants():
    payload = b'{"state": "on", "last_updated": "2026-11-26T00:00:00Z"}'
    discovery = Discovery("homeassistant")
    config = b'{"name": "hall", "schema": "json", "state_topic": "hall/state"}'
    discovery.announce("homeassistant/light/hall/config", config)
    for event in [from_json("light.hall", payload), *discovery.events("hall/state", payload)]:
        assert (event.timed, event.dated) == (True, False)


def test_a_window_of_0_keeps_repetitions_of_a_source_but_not_of_the_other_one():
    reports = [report("websocket", time=1), report("mqtt"), report("mqtt"), report("websocket", time=2)]
    assert duplicates(*reports, every=0.0, window=0.0) == [False, True, False, True]


def test_each_change_of_an_attribute_is_repeated_once_by_the_other_source():
    changes = [report("websocket", time=number, brightness=number) for number in range(3)]
    copies = [report("mqtt")] * 3
    after = [report("mqtt", "off"), report("mqtt")]  # these were missed by the WebSocket API
    assert duplicates(*changes, *copies, *after, every=0.1) == [False] * 3 + [True] * 3 + [False] * 2


def test_a_new_attribute_is_new_even_if_another_source_reported_the_state():
    reports = [report("mqtt"), report("websocket", time=1, brightness=1), report("websocket", time=2, brightness=2)]
    assert duplicates(*reports) == [False, True, False]


def test_a_source_that_repeats_itself_after_another_source_repeats_nothing_new():
    assert duplicates(report("websocket", time=1), report("mqtt"), report("mqtt")) == [False, True, True]


def test_a_state_that_was_not_seen_by_the_other_source_is_kept():
    assert duplicates(report("websocket"), report("mqtt"), report("mqtt", "off")) == [False, True, False]


def line_of(known: Descriptions, given: Event) -> str:
    return to_point(known.complete(given)).line


def test_an_entity_is_one_series_whichever_source_reports_it():
    known = Descriptions()
    known.describe("light.hall", {"unit_of_measurement": "lx"})
    assert line_of(known, report("mqtt", "1")) == line_of(known, report("websocket", "1", unit_of_measurement="lx"))


def test_an_attribute_of_the_event_itself_takes_precedence():
    known = Descriptions()
    known.learn("light.hall", "unit_of_measurement", "lx")
    assert known.complete(report("mqtt", unit_of_measurement="lm")).unit == "lm"


@pytest.mark.parametrize("name", ["friendly_name", "device_class"])
def test_home_assistants_name_and_class_replace_those_of_an_announcement(name):
    known = Descriptions()
    known.describe("light.hall", {name: "Kitchen"})
    reports = [report("mqtt", **{name: "Lamp"}), report("websocket", **{name: "Kitchen"}), report("mqtt")]
    assert {to_point(known.complete(each), tags=(name,)).line.split()[0] for each in reports} == {
        f"light,entity_id=hall,{name}=Kitchen"
    }


def test_a_unit_that_an_entity_has_lost_is_forgotten():
    known = Descriptions()
    known.describe("light.hall", {"unit_of_measurement": "lx", "device_class": "illuminance"})
    known.describe("light.hall", {"device_class": "illuminance"})
    assert known.complete(report("mqtt")).attributes == {"device_class": "illuminance"}


@pytest.mark.parametrize("value", ["", None, 3, ["lx"], "\ud800"], ids=repr)
def test_a_value_that_cannot_be_a_tag_is_not_learned(value):
    known = Descriptions()
    known.learn("light.hall", "unit_of_measurement", "lx")
    known.learn("light.hall", "unit_of_measurement", value)
    assert known.complete(report("mqtt")).attributes == {}


def test_attributes_that_do_not_describe_an_entity_are_not_learned():
    known = Descriptions()
    known.describe("light.hall", {"brightness": 3})
    known.learn("light.hall", "brightness", "3")
    assert known.complete(report("mqtt")).attributes == {}
