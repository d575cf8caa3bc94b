"""A reading takes the figures of a summary, and nothing in a summary for granted."""

import math

import pytest

from otel_ha.cli.top.reading import read
from tests.watched import STARTED, TAKEN, summary

ODD = [None, "text", True, [], {}, [1], {"a": {"b": []}}, math.nan, math.inf, -math.inf, 10**400, -1]


def paths(found, before=()):
    """The path of each value of nested objects; of a list, those of its first element."""
    items = found.items() if isinstance(found, dict) else enumerate(found[:1]) if isinstance(found, list) else ()
    for key, value in items:
        yield (*before, key)
        yield from paths(value, (*before, key))


def replaced(path, value):
    found = summary()
    inner = found
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return found


def test_durations_are_seconds_sizes_bytes_and_shares_as_they_are():
    reading = read(summary())
    assert (reading.p50, reading.p95, reading.p99) == pytest.approx((0.82e-3, 4.21e-3, 12.9e-3))
    assert reading.lag == pytest.approx(0.123)
    assert reading.memory == 81.5 * 2**20
    assert reading.errors == 0.0123


def test_uptime_is_from_the_start_of_telemetry_to_the_summary():
    assert read(summary()).up == TAKEN - STARTED


def test_accounts_are_added_up():
    accounts = read(summary()).accounts
    assert (accounts.received, accounts.processed, accounts.discarded, accounts.in_flight) == (
        150_020,
        140_000,
        10_001,
        19,
    )


def test_history_keeps_gaps():
    lag = read(summary()).history["lag"]
    assert lag[:40] == (None,) * 40
    assert lag[40] == pytest.approx(0.14)


@pytest.mark.parametrize("path", list(paths(summary())), ids=lambda path: ".".join(map(str, path)))
def test_no_value_in_a_summary_makes_it_unreadable(path):
    for odd in ODD:
        reading = read(replaced(path, odd))
        numbers = [reading.rate, reading.p95, reading.cpu, reading.lag, *reading.history["rate"]]
        assert all(each is None or math.isfinite(each) for each in numbers)


def test_an_empty_summary_has_no_figures():
    reading = read({})
    assert reading.rate is None
    assert reading.accounts is None
    assert reading.tables["sources"] == ()


def test_a_new_start_or_process_is_another_run():
    first = read(summary())
    assert first.is_same_run(read(summary(timestamp=TAKEN + 2)))
    assert not first.is_same_run(read(summary(started=STARTED + 1)))
    assert not first.is_same_run(read(summary(system_info={"process_id": 1})))
