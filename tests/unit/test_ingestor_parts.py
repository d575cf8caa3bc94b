from examples.ingestor.connection import Backoff
from examples.ingestor.dedup import Deduplicator
from examples.ingestor.event import Event
from examples.ingestor.filter import Filter


def event(state: str = "on", entity_id: str = "light.hall", **attributes: object) -> Event:
    return Event("mqtt", entity_id, state, 0, attributes)


def test_a_repetition_within_the_window_is_a_duplicate():
    seen = Deduplicator(1.0)
    assert [seen.is_duplicate(event(), now) for now in (0.0, 0.5, 1.0)] == [False, True, True]


def test_a_repetition_after_the_window_is_not_a_duplicate():
    seen = Deduplicator(1.0)
    assert [seen.is_duplicate(event(), now) for now in (0.0, 1.1)] == [False, False]


def test_an_entity_that_always_repeats_itself_counts_once_per_window():
    seen = Deduplicator(1.0)
    kept = [now for now in range(0, 50, 3) if not seen.is_duplicate(event(), now / 10)]
    assert kept == [0, 12, 24, 36, 48]


def test_a_state_that_returns_is_not_a_duplicate():
    seen = Deduplicator(10.0)
    assert not any(seen.is_duplicate(event(state), now) for now, state in enumerate(["on", "off", "on"]))


def test_a_changed_attribute_is_not_a_duplicate():
    seen = Deduplicator(10.0)
    assert [seen.is_duplicate(event(brightness=b), 0.0) for b in (1, 2, 2)] == [False, False, True]


def test_a_changed_field_is_not_a_duplicate():
    seen = Deduplicator(10)
    assert [seen.is_duplicate(Event("mqtt", "a.b", "", 1, fields={"x": x}), 0.0) for x in (1, 1, 2)] == [
        False,
        True,
        False,
    ]


def test_the_same_state_of_another_entity_is_not_a_duplicate():
    seen = Deduplicator(10.0)
    assert [seen.is_duplicate(event(entity_id=e), 0.0) for e in ("light.a", "light.b")] == [False, False]


def test_a_window_of_zero_finds_no_duplicates():
    seen = Deduplicator(0)
    assert [seen.is_duplicate(event(), 0.0) for _ in range(2)] == [False, False]


def test_entities_without_new_events_are_forgotten():
    seen = Deduplicator(1.0)
    for number in range(100):
        seen.is_duplicate(event(entity_id=f"light.l{number}"), float(number))
    assert len(seen) == 2


def test_a_filter_without_globs_selects_every_entity():
    assert Filter().wants(event())


def test_a_glob_can_include_a_domain():
    wanted = Filter(include=("light.*",))
    assert [wanted.wants(event(entity_id=e)) for e in ("light.a", "sensor.a")] == [True, False]


def test_exclude_takes_precedence_over_include():
    wanted = Filter(include=("light.*",), exclude=("*_test",))
    assert [wanted.wants(event(entity_id=e)) for e in ("light.a", "light.a_test")] == [True, False]


def test_a_glob_matches_the_whole_id():
    assert not Filter(include=("light.a",)).wants(event(entity_id="light.ab"))


def test_an_ignored_state_is_left_out():
    wanted = Filter(ignored_states=frozenset({"unavailable"}))
    assert [wanted.wants(event(s)) for s in ("unavailable", "on")] == [False, True]


def test_a_cleared_state_is_left_out_unless_the_event_has_fields():
    assert not Filter().wants(Event("mqtt", "a.b", "", 1))
    assert Filter().wants(Event("mqtt", "a.b", "", 1, fields={"x": 1}))


def test_delays_double_up_to_the_limit():
    assert [Backoff(1.0, 10.0).longest(failures) for failures in (1, 2, 3, 4, 5, 1000)] == [1, 2, 4, 8, 10, 10]


def test_delays_are_up_to_half_shorter_at_random():
    delays = {Backoff(8.0, 8.0).delay(1) for _ in range(50)}
    assert len(delays) > 1
    assert all(4.0 <= delay <= 8.0 for delay in delays)
