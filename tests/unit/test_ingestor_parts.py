import random

from examples.ingestor.connection import Backoff
from examples.ingestor.dedup import Deduplicator
from examples.ingestor.event import Event
from examples.ingestor.filter import Filter


def event(state: str = "on", entity_id: str = "light.hall", **attributes: object) -> Event:
    return Event("mqtt", entity_id, state, 0, attributes)


def test_the_same_within_the_window_is_a_duplicate():
    seen = Deduplicator(1.0)
    assert [seen.is_duplicate(event(), now) for now in (0.0, 0.5, 1.0)] == [False, True, True]


def test_the_same_after_the_window_is_none():
    seen = Deduplicator(1.0)
    assert [seen.is_duplicate(event(), now) for now in (0.0, 1.1)] == [False, False]


def test_an_entity_that_repeats_itself_for_ever_counts_once_a_window():
    seen = Deduplicator(1.0)
    kept = [now for now in range(0, 50, 3) if not seen.is_duplicate(event(), now / 10)]
    assert kept == [0, 12, 24, 36, 48]


def test_a_state_that_comes_back_is_no_duplicate():
    seen = Deduplicator(10.0)
    assert not any(seen.is_duplicate(event(state), now) for now, state in enumerate(["on", "off", "on"]))


def test_another_attribute_is_another_event():
    seen = Deduplicator(10.0)
    assert [seen.is_duplicate(event(brightness=b), 0.0) for b in (1, 2, 2)] == [False, False, True]


def test_another_entity_is_another_event():
    seen = Deduplicator(10.0)
    assert [seen.is_duplicate(event(entity_id=e), 0.0) for e in ("light.a", "light.b")] == [False, False]


def test_a_window_of_zero_keeps_everything():
    seen = Deduplicator(0)
    assert [seen.is_duplicate(event(), 0.0) for _ in range(2)] == [False, False]


def test_entities_that_fell_silent_are_forgotten():
    seen = Deduplicator(1.0)
    for number in range(100):
        seen.is_duplicate(event(entity_id=f"light.l{number}"), float(number))
    assert len(seen) == 2


def test_without_globs_every_entity_is_wanted():
    assert Filter().wants(event())


def test_a_glob_includes_a_domain():
    wanted = Filter(include=("light.*",))
    assert [wanted.wants(event(entity_id=e)) for e in ("light.a", "sensor.a")] == [True, False]


def test_to_exclude_beats_to_include():
    wanted = Filter(include=("light.*",), exclude=("*_test",))
    assert [wanted.wants(event(entity_id=e)) for e in ("light.a", "light.a_test")] == [True, False]


def test_a_glob_matches_the_whole_id():
    assert not Filter(include=("light.a",)).wants(event(entity_id="light.ab"))


def test_an_ignored_state_is_not_wanted():
    wanted = Filter(ignored_states=frozenset({"unavailable"}))
    assert [wanted.wants(event(s)) for s in ("unavailable", "on")] == [False, True]


def test_delays_double_up_to_the_limit(monkeypatch):
    monkeypatch.setattr(random, "uniform", lambda _, most: most)
    assert [Backoff(1.0, 10.0).delay(failures) for failures in (1, 2, 3, 4, 5, 1000)] == [1, 2, 4, 8, 10, 10]


def test_delays_are_shorter_by_up_to_half_at_random():
    delays = {Backoff(8.0, 8.0).delay(1) for _ in range(50)}
    assert len(delays) > 1
    assert all(4.0 <= delay <= 8.0 for delay in delays)
