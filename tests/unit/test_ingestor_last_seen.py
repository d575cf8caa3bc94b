from dataclasses import replace

from examples.ingestor.event import Event
from examples.ingestor.last_seen import LastSeen


def event(state: str, moment: int = 0, entity_id: str = "sensor.a", **fields: float) -> Event:
    return Event("mqtt", entity_id, state, moment, timed=moment > 0, fields=fields)


def is_news(last: Event, new: Event) -> bool:
    seen = LastSeen()
    seen.note(last)
    return seen.is_news(new)


def test_the_first_event_of_an_entity_is_news():
    assert is_news(event("1"), event("1", entity_id="sensor.b"))


def test_without_times_an_event_that_differs_is_news():
    assert is_news(event("1"), event("2"))
    assert is_news(event("", a=1), event("", a=2))
    assert not is_news(event("1"), event("1"))


def test_the_sources_own_times_decide():
    assert is_news(event("1", 10), event("1", 20))
    assert not is_news(event("1", 20), event("2", 10))


def test_with_equal_times_an_event_that_differs_is_news():
    assert is_news(event("1", 10), event("2", 10))
    assert not is_news(event("1", 10), event("1", 10))


def test_a_time_of_one_event_does_not_decide():
    assert is_news(event("1", 10), event("2"))
    assert not is_news(event("1"), event("1", 10))


def test_a_time_can_arrive_later():
    seen = LastSeen()
    seen.note(event("1"))
    seen.date("sensor.a", 10)
    seen.date("sensor.unknown", 10)
    assert seen.is_news(event("1", 20))
    assert not seen.is_news(event("1", 10))


def test_the_entity_that_was_seen_least_recently_is_forgotten_first():
    seen = LastSeen(most=2)
    for entity_id in ("sensor.a", "sensor.b", "sensor.a", "sensor.c"):
        seen.note(event("1", entity_id=entity_id))
    assert [seen.is_news(event("1", entity_id=f"sensor.{x}")) for x in "abc"] == [False, True, False]


def missed(seen: LastSeen, *states: Event) -> list[str]:
    return [state.state for state in seen.missed(states)]


def test_the_first_states_are_history():
    assert missed(LastSeen(), event("on", 1)) == []


def test_a_newer_state_is_missed_and_an_older_one_is_not():
    seen = LastSeen()
    seen.note(event("seen", 5))
    for moment, found in [(4, []), (6, ["now"])]:
        assert missed(seen, event("now", moment)) == found
        seen.note(event("seen", 5))


def test_a_missed_state_is_found_once():
    seen = LastSeen()
    seen.note(event("seen", 5))
    assert [missed(seen, event("now", 6)) for _ in range(2)] == [["now"], []]


def test_an_entity_that_appears_after_the_first_states_is_missed():
    seen = LastSeen()
    seen.missed([])
    assert missed(seen, event("new", 1)) == ["new"]


def test_without_a_time_a_state_that_differs_is_newer():
    seen = LastSeen()
    seen.note(event("on"))
    assert missed(seen, event("on")) == []
    assert missed(seen, event("off")) == ["off"]


def test_an_entity_that_was_away_is_missed_when_it_is_back():
    seen = LastSeen()
    seen.missed([event("a", 1)])
    seen.missed([])
    assert missed(seen, event("a", 1)) == ["a"]


def test_without_times_an_event_with_another_attribute_is_news():
    on = Event("mqtt", "light.a", "on", 0, {"brightness": 100})
    assert is_news(on, replace(on, attributes={"brightness": 200}))
    assert not is_news(on, on)
