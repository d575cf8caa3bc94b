"""Blocks on what bind() returns, and their measurement, which is for one block."""

import asyncio
import gc
import threading
import weakref

import pytest

from otel_ha import Operation, measured
from otel_ha.declare import fastpath
from otel_ha.vocabulary import ingest
from tests.recorded import Recorded, accounts, in_threads, meanwhile, switching_often, unbalanced
from tests.traced import Traced, in_a_span
from tests.unit.measure.conftest import CANCELLED, OK, VALUE_ERROR, WORK, counts, total

WORKING = Operation(duration=WORK)
BOUND = WORKING.bind()
EVENT = ingest.EVENT.bind(source="mqtt", domain="light")
DURATION = ingest.EVENT_DURATION.name
TIMES = 4
"""The first time an end is recorded in full, and resolved for the others."""


def account(recorded):
    """Return received, processed, discarded and in flight of the one source."""
    [account] = accounts(recorded.collect()).values()
    return tuple(account.values())


def block(bound, act=lambda _: None, times=TIMES):
    for _ in range(times):
        with bound.measured() as measurement:
            act(measurement)


def test_a_bound_block_is_measured_with_the_bound_attributes(recorded):
    block(WORKING.bind(colour="red"))
    assert counts(recorded) == {(("colour", "red"), ("outcome", "ok")): TIMES}


def test_a_block_that_is_used_again_records_nothing_and_is_reported_each_time(recorded, caplog):
    used = EVENT.measured()
    for _ in range(3):
        with used:
            pass
    assert account(recorded) == (1, 1, 0, 0)
    assert recorded.problems() == {(DURATION, "block_reused", None): 2}
    [record] = caplog.records
    assert "call measured() for each block" in record.getMessage()


def test_a_block_that_is_used_again_while_nothing_is_recorded_is_not_reported(recorded):
    recorded.pipeline.disconnect()
    used = EVENT.measured()
    for _ in range(3):
        with used:
            pass
    recorded.pipeline.connect()
    assert recorded.problems() == {}


def test_a_bound_block_is_received_and_processed(recorded):
    block(EVENT)
    assert account(recorded) == (TIMES, TIMES, 0, 0)
    assert recorded.value(ingest.EVENT_DURATION, source="mqtt", domain="light", outcome="ok").count == TIMES


def test_a_bound_block_is_in_flight_while_it_lasts(recorded):
    block(EVENT)
    with EVENT.measured():
        assert account(recorded) == (TIMES + 1, TIMES, 0, 1)
    assert account(recorded) == (TIMES + 1, TIMES + 1, 0, 0)


def test_a_bound_block_takes_queued_work_out_of_its_queue(recorded):
    queued = ingest.QUEUED_EVENT.bind(source="mqtt")
    for _ in range(TIMES):
        queued.receive()
        block(queued, times=1)
    assert account(recorded) == (TIMES, TIMES, 0, 0)


def test_a_bound_block_may_discard(recorded):
    block(EVENT, lambda event: event.discard("duplicate"))
    block(EVENT, lambda event: event.discard("late"))
    assert account(recorded) == (2 * TIMES, 0, 2 * TIMES, 0)
    assert [recorded.value(ingest.DISCARDED, source="mqtt", reason=r) for r in ("duplicate", "late")] == [TIMES, TIMES]


def test_a_bound_block_may_fail(recorded):
    block(BOUND, lambda work: work.fail("timeout"))
    assert counts(recorded) == {(("outcome", "error"), ("type", "timeout")): TIMES}


def test_a_bound_block_may_be_cancelled(recorded):
    block(BOUND, lambda work: work.cancel())
    assert counts(recorded) == {CANCELLED: TIMES}


def test_a_bound_block_may_set_the_time_that_it_took(recorded):
    block(BOUND, lambda work: work.lasted(1000.0))
    assert TIMES * 1000 <= total(recorded) < TIMES * 1001


def test_the_last_of_several_outcomes_of_a_bound_block_counts(recorded):
    def act(event):
        event.fail("timeout")
        event.cancel()
        event.discard("late")

    block(EVENT, act)
    assert recorded.value(ingest.DISCARDED, source="mqtt", reason="late") == TIMES


def test_a_bound_block_that_raises_is_an_error_and_the_exception_passes(recorded):
    for _ in range(TIMES):
        with pytest.raises(ValueError, match="no"), BOUND.measured():
            raise ValueError("no")
    assert counts(recorded) == {VALUE_ERROR: TIMES}


def test_an_exception_of_a_bound_block_may_be_expected(recorded):
    for _ in range(TIMES):
        with pytest.raises(ValueError, match="no"), BOUND.measured(expected=ValueError):
            raise ValueError("no")
        with pytest.raises(KeyError), BOUND.measured(expected=(ValueError,)):
            raise KeyError
    assert counts(recorded) == {OK: TIMES, (("outcome", "error"), ("type", "KeyError")): TIMES}


# Late attributes


def test_a_bound_block_may_set_attributes(recorded):
    block(BOUND, lambda work: work.set(colour="green", shape="round"))
    block(BOUND, lambda work: work.set(shape="round"))
    assert counts(recorded) == {
        (("colour", "green"), ("outcome", "ok"), ("shape", "round")): TIMES,
        (("outcome", "ok"), ("shape", "round")): TIMES,
    }


def test_the_last_value_of_a_late_attribute_counts(recorded):
    def act(work):
        work.set(shape="round", colour="green")
        work.set(shape="flat")
        work.fail("timeout")

    block(BOUND, act)
    expected = (("colour", "green"), ("outcome", "error"), ("shape", "flat"), ("type", "timeout"))
    assert counts(recorded) == {expected: TIMES}


def test_a_late_attribute_follows_those_that_were_set_before(recorded):
    for colour in ("green", "red") * TIMES:
        with BOUND.measured() as work:
            work.set(colour=colour)
            work.set(shape="round")
    assert counts(recorded) == {
        (("colour", colour), ("outcome", "ok"), ("shape", "round")): TIMES for colour in ("green", "red")
    }


def test_a_late_attribute_may_take_a_bound_one_away(recorded):
    block(WORKING.bind(colour="red", shape="round"), lambda work: work.set(shape=None))
    assert counts(recorded) == {(("colour", "red"), ("outcome", "ok")): TIMES}


def test_late_attributes_of_different_keywords_with_one_value_are_different(recorded):
    block(BOUND, lambda work: work.set(shape="red"))
    block(BOUND, lambda work: work.set(colour="red"))
    assert counts(recorded) == {(("outcome", "ok"), ("shape", "red")): TIMES, (("colour", "red"), OK[0]): TIMES}


def test_late_values_that_look_alike_but_have_different_types_are_different(recorded):
    for value in (1, "1", 1.5, "1.5", "True") * TIMES:
        block(BOUND, lambda work, value=value: work.set(shape=value), times=1)
    found = {dict(attributes)["test.shape"]: each.count for attributes, each in recorded.series(WORK).items()}
    assert found == {1: TIMES, "1": TIMES, 1.5: TIMES, "1.5": TIMES, "True": TIMES}


def test_a_late_attribute_by_which_work_in_flight_is_counted_is_reported_each_time(recorded):
    block(EVENT, lambda event: event.set(source="websocket", domain="sensor"))
    assert account(recorded) == (TIMES, TIMES, 0, 0)
    assert recorded.problems() == {(DURATION, "late_attribute", "source"): TIMES}
    assert recorded.value(ingest.EVENT_DURATION, source="mqtt", domain="sensor", outcome="ok").count == TIMES


def test_an_undeclared_late_attribute_is_reported_each_time(recorded):
    block(EVENT, lambda event: event.set(sorce="mqtt", domain="sensor"))
    assert account(recorded) == (TIMES, TIMES, 0, 0)
    assert recorded.problems() == {(DURATION, "undeclared_attribute", "sorce"): TIMES}


@pytest.mark.parametrize("keyword", ["outcome", "reason", "state", "error_type"])
def test_an_attribute_that_the_measurement_sets_cannot_be_set_and_is_reported_each_time(recorded, caplog, keyword):
    block(EVENT, lambda event: event.set(**{keyword: "error", "domain": "sensor"}))
    assert recorded.problems() == {(DURATION, "late_attribute", keyword): TIMES}
    assert recorded.value(ingest.EVENT_DURATION, source="mqtt", domain="sensor", outcome="ok").count == TIMES
    [message] = [record.getMessage() for record in caplog.records]
    assert f"{keyword!r} is set by the measurement itself; use fail(), discard() or cancel()" in message


def test_an_undeclared_late_attribute_is_logged_with_a_suggestion_and_those_that_can_be_set(recorded, caplog):
    block(EVENT, lambda event: event.set(domian="sensor"))
    [message] = [record.getMessage() for record in caplog.records]
    assert "'domian' (declared: domain, entity, source); ignored; did you mean 'domain'?" in message


class Unhashable(str):
    """A text that fails when it is hashed."""

    __slots__ = ()

    def __hash__(self):
        raise RuntimeError("hash")


@pytest.mark.parametrize(
    "wrong", [Unhashable("x"), [1], 10**5000, object(), float("nan")], ids=lambda v: type(v).__name__
)
def test_a_strange_value_in_a_block_never_raises_and_the_work_is_counted(recorded, wrong):
    def act(event):
        event.set(domain=wrong)
        event.fail(wrong)
        event.discard(wrong)

    block(EVENT, act)
    block(EVENT, lambda event: event.set(domain=wrong))
    block(EVENT, lambda event: event.fail(wrong))
    assert account(recorded) == (3 * TIMES, 2 * TIMES, TIMES, 0)


def test_a_strange_value_is_not_kept_alive(recorded):
    class Thing:
        pass

    thing = Thing()
    gone = weakref.ref(thing)
    for _ in range(TIMES):
        with EVENT.measured() as event:
            event.set(domain=thing)
            event.discard(thing)
        with measured(ingest.EVENT, source=thing):
            pass
    del thing, event
    gc.collect()
    assert gone() is None
    assert not unbalanced(recorded.collect())


# Appends


def test_the_end_of_a_block_is_one_append_once_it_was_seen():
    def discarded(event):
        event.set(domain="sensor")
        event.discard("late")

    with Recorded(catalog=ingest.CATALOG, journalled=True, entity_metrics=False) as recorded:
        for act in (lambda _: None, lambda e: e.set(domain="sensor"), lambda e: e.fail("timeout"), discarded):
            block(EVENT, act)
            recorded.collect()
            block(EVENT, act)
            assert entries(recorded) == 0
        assert account(recorded) == (8 * TIMES, 6 * TIMES, 2 * TIMES, 0)


def entries(recorded):
    """Return how many batches wait that were recorded in full."""
    return sum(map(len, recorded.pipeline.journal._entries.values()))


def test_late_values_without_number_are_counted_exactly_and_few_are_kept(monkeypatch):
    monkeypatch.setattr(fastpath, "MOST_RESOLVED", 5)
    with Recorded(catalog=ingest.CATALOG, journalled=True) as recorded:
        for _ in range(2):
            for number in range(50):
                block(EVENT, lambda event, number=number: event.set(entity=f"light.{number}"))
                block(EVENT, lambda event, number=number: event.fail(f"E{number}"))
        late = ingest.EVENT.resolved().late_ends
        assert len(late) == 5
        assert account(recorded) == (400 * 2, 400 * 2, 0, 0)
        assert all(recorded.value(ingest.ENTITY_EVENTS, entity=f"light.{n}", domain="light") == 8 for n in range(50))


def test_ways_to_end_without_number_are_counted_exactly_and_few_are_kept(monkeypatch):
    monkeypatch.setattr(fastpath, "MOST_ENDS", 3)
    with Recorded(catalog=ingest.CATALOG, journalled=True) as recorded:
        for _ in range(3):
            for number in range(10):
                block(EVENT, lambda event, number=number: event.discard(f"reason {number}"), times=1)
        [path] = ingest.EVENT.resolved().fast_paths.values()
        assert len(path.known) == 3
        assert account(recorded) == (30, 0, 30, 0)


def test_amounts_with_late_attributes_do_not_wait_without_bound():
    with Recorded(catalog=ingest.CATALOG, journalled=True, entity_metrics=False) as recorded:
        block(EVENT, lambda event: event.set(domain="sensor"), times=10_000)
        assert len(recorded.pipeline.journal) < 5_000
        assert account(recorded) == (10_000, 10_000, 0, 0)


# One block for each measurement


def test_a_measurement_that_is_entered_again_records_nothing_more(recorded):
    for _ in range(2):
        measurement = EVENT.measured()
        with measurement:
            with measurement:
                pass
            assert account(recorded)[3] == 0  # the inner block has ended the work
        with measurement:
            pass
        measurement.__exit__(None, None, None)
    assert account(recorded) == (2, 2, 0, 0)


def test_a_measurement_that_is_left_but_was_not_entered_records_nothing(recorded):
    EVENT.measured().__exit__(None, None, None)
    measured(ingest.EVENT, source="mqtt").__exit__(None, None, None)
    with Traced() as traced:
        EVENT.measured().__exit__(None, None, None)
        assert not traced.spans
    assert recorded.collect() == {}


def test_a_measurement_that_is_never_entered_records_nothing(recorded):
    EVENT.measured().discard("late")
    assert recorded.collect() == {}


def test_a_measurement_in_a_span_that_is_entered_again_has_one_span(recorded):
    with Traced() as traced:
        measurement = EVENT.measured()
        for _ in range(2):
            with measurement:
                pass
        assert len(traced.spans) == 1
    assert account(recorded) == (1, 1, 0, 0)


# Telemetries, groups, traces


def test_a_bound_block_does_nothing_while_nothing_is_recorded():
    block(EVENT)
    first, second = EVENT.measured(), EVENT.measured(expected=ValueError)
    assert first is second
    with first as outer, second as inner:
        for each in (outer, inner):
            each.set(nonsense=1)
            each.fail("x")
            each.discard("x")
            each.cancel()
            each.lasted(1.0)
            each.returned(None)
    with pytest.raises(ValueError, match="no"), EVENT.measured():
        raise ValueError("no")


@pytest.mark.parametrize("journalled", [True, False])
def test_a_bound_block_works_across_telemetries(journalled):
    for _ in range(2):
        block(EVENT)
        with Recorded(catalog=ingest.CATALOG, journalled=journalled) as recorded:
            block(EVENT, lambda event: event.set(domain="sensor"))
            assert account(recorded) == (TIMES, TIMES, 0, 0)


@pytest.mark.parametrize("journalled", [True, False])
@pytest.mark.parametrize("act", [lambda _: None, lambda event: event.set(domain="sensor"), lambda e: e.discard("late")])
def test_a_block_that_outlives_its_telemetry_is_not_counted_in_the_next(journalled, act):
    with Recorded(catalog=ingest.CATALOG, journalled=journalled):
        block(EVENT, act)
        outlives = EVENT.measured().__enter__()
    before = EVENT.measured().__enter__()
    with Recorded(catalog=ingest.CATALOG, journalled=journalled) as recorded:
        for each in (outlives, before):
            act(each)
            each.__exit__(None, None, None)
        assert recorded.collect() == {}
        block(EVENT, act)
        assert not unbalanced(recorded.collect())


@pytest.mark.parametrize("entity_metrics", [True, False])
def test_a_bound_block_follows_the_metric_groups(entity_metrics):
    bound = ingest.EVENT.bind(source="mqtt", entity="light.hall")
    with Recorded(catalog=ingest.CATALOG, journalled=True, entity_metrics=entity_metrics) as recorded:
        block(bound)
        block(bound, lambda event: event.set(entity="light.attic"))
        assert account(recorded) == (2 * TIMES, 2 * TIMES, 0, 0)
        series = recorded.series(ingest.ENTITY_EVENTS)
        assert sorted(series.values()) == ([TIMES, TIMES] if entity_metrics else [])


def test_a_bound_block_has_a_span_exactly_while_traces_are_on(recorded):
    block(EVENT)
    with Traced() as traced:
        block(EVENT, lambda event: event.set(domain="sensor"), times=1)
        assert traced.one.attributes["homeassistant.domain"] == "sensor"
        open_block = EVENT.measured().__enter__()
    block(EVENT)
    open_block.__exit__(None, None, None)
    assert account(recorded) == (2 * TIMES + 2, 2 * TIMES + 2, 0, 0)


def test_a_block_in_a_sampled_span_is_counted_as_outside_of_it(recorded):
    block(EVENT)
    with in_a_span():
        block(EVENT)
        block(EVENT, lambda event: event.set(domain="sensor"))
    assert account(recorded) == (3 * TIMES, 3 * TIMES, 0, 0)


def test_a_block_that_leaves_a_sampled_span_before_its_end_is_counted_once(recorded):
    block(EVENT)
    with in_a_span():
        measurement = EVENT.measured().__enter__()
    measurement.__exit__(None, None, None)
    measurement = EVENT.measured().__enter__()
    with in_a_span():
        measurement.__exit__(None, None, None)
    assert account(recorded) == (TIMES + 2, TIMES + 2, 0, 0)


# At once


def test_bound_blocks_within_each_other_are_measured_separately(recorded):
    for _ in range(TIMES):
        with BOUND.measured() as outer, BOUND.measured() as inner:
            outer.set(shape="outer")
            inner.set(shape="inner")
    assert {dict(key)["shape"]: count for key, count in counts(recorded).items()} == {"outer": TIMES, "inner": TIMES}


async def test_bound_blocks_of_tasks_are_measured_separately(recorded):
    async def work(number):
        with BOUND.measured() as measurement:
            await asyncio.sleep(0)
            measurement.set(shape=f"{number}")

    for _ in range(TIMES):
        await asyncio.gather(*(work(number) for number in range(5)))
    assert {dict(key)["shape"]: count for key, count in counts(recorded).items()} == dict.fromkeys("01234", TIMES)


def test_bound_blocks_of_many_threads_are_counted_exactly_at_every_collection():
    acts = (
        lambda _: None,
        lambda event: event.discard("late"),
        lambda event: event.set(domain="sensor"),
        lambda event: event.fail("timeout"),
    )

    def work(number):
        for turn in range(200):
            block(EVENT, acts[(number + turn) % len(acts)], times=1)

    with Recorded(catalog=ingest.CATALOG, journalled=True) as recorded, switching_often():
        torn = []
        with meanwhile(lambda: torn.append(unbalanced(recorded.collect()))):
            in_threads(4, work)
        assert [each for each in torn if each] == []
        assert account(recorded) == (800, 600, 200, 0)


def test_a_block_may_be_left_in_another_thread(recorded):
    for _ in range(TIMES):
        measurement = EVENT.measured().__enter__()
        thread = threading.Thread(target=measurement.__exit__, args=(None, None, None))
        thread.start()
        thread.join()
    assert account(recorded) == (TIMES, TIMES, 0, 0)
