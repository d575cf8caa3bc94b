"""A measured() that is built for each block looks up what its attributes need, which hides no mistake."""

import contextlib
import gc
import weakref

import pytest

from otel_ha import CatalogError, Histogram, Operation, measured
from otel_ha.measure import work
from otel_ha.vocabulary import ingest
from tests.recorded import Recorded, accounts, in_threads, switching_often, unbalanced
from tests.traced import Traced
from tests.unit.measure.conftest import COLOUR, OK, OUTCOME, SHAPE, VALUE_ERROR, WORK, counts

TIMES = 4


@pytest.mark.parametrize("declared", [WORK, Operation(duration=WORK)], ids=["a histogram", "an operation"])
def test_blocks_built_each_time_are_measured_by_their_attributes(recorded, declared):
    for _ in range(TIMES):
        with measured(declared, colour="red"):
            pass
        with measured(declared, shape="red"):
            pass
        with measured(declared, shape="round", colour="red"):
            pass
        with measured(declared):
            pass
    assert counts(recorded) == {
        (("colour", "red"), OK[0]): TIMES,
        (OK[0], ("shape", "red")): TIMES,
        (("colour", "red"), OK[0], ("shape", "round")): TIMES,
        OK: TIMES,
    }


def test_blocks_built_each_time_may_discard_and_set_attributes(recorded):
    for _ in range(TIMES):
        with measured(ingest.EVENT, source="mqtt") as event:
            event.set(domain="light")
        with measured(ingest.EVENT, source="mqtt") as event:
            event.discard("late")
    assert accounts(recorded.collect()) == {
        "mqtt": {"received": 2 * TIMES, "processed": TIMES, "discarded": TIMES, "in_flight": 0}
    }
    assert recorded.value(ingest.EVENT_DURATION, source="mqtt", domain="light", outcome="ok").count == TIMES


def test_blocks_built_each_time_differ_in_the_exceptions_that_they_expect(recorded):
    for expected in ((), ValueError, (), lambda _: True, KeyError):
        with pytest.raises(ValueError, match="no"), measured(WORK, expected=expected):
            raise ValueError("no")
    assert counts(recorded) == {OK: 2, VALUE_ERROR: 3}


def test_a_mistake_is_refused_each_time():
    for _ in range(3):
        with pytest.raises(CatalogError, match="no attribute 'color'"):
            measured(WORK, color="red")
        with pytest.raises(CatalogError, match="colour is 'blue'"):
            measured(WORK, colour="blue")
        measured(WORK, colour="red")


def test_two_operations_on_one_histogram_are_apart():
    first, second = Operation(duration=WORK), Operation(duration=WORK, occurrences=ingest.POINTS_WRITTEN)
    assert measured(first).operation is first
    assert measured(second).operation is second


def test_functions_of_the_arguments_are_not_shared(recorded):
    for shape in ("round", "flat"):
        measured(WORK, shape=lambda shape=shape: shape)(lambda: None)()
    assert counts(recorded) == {(OK[0], ("shape", "round")): 1, (OK[0], ("shape", "flat")): 1}


def test_attributes_without_number_are_measured_exactly_and_few_are_kept(monkeypatch):
    monkeypatch.setattr(work, "MOST_RESOLVED", 3)
    operation = Operation(duration=Histogram("test.many", unit="s", description="Many.", attributes=(SHAPE, OUTCOME)))
    with Recorded(operation.duration, journalled=True) as recorded:
        for _ in range(TIMES):
            for number in range(10):
                with measured(operation, shape=f"{number}"):
                    pass
        assert len(operation.measured_work) == 3
        assert set(counts(recorded, operation.duration).values()) == {TIMES}


class Strange:
    """A value that fails when it is hashed, and that a weak reference can follow."""

    def __hash__(self):
        raise RuntimeError("hash")


@pytest.mark.parametrize("value", [Strange(), [1], 1.5, 10**5000], ids=lambda value: type(value).__name__)
def test_a_strange_value_is_measured_and_not_kept(recorded, value):
    for _ in range(TIMES):
        with measured(WORK, shape=value):
            pass
    assert sum(counts(recorded).values()) == TIMES
    assert all(value is not part for key in measured(WORK).operation.measured_work for part in key)


def test_a_strange_value_is_not_kept_alive(recorded):
    value = Strange()
    gone = weakref.ref(value)
    for _ in range(TIMES):
        with measured(WORK, shape=value):
            pass
    del value
    gc.collect()
    assert gone() is None
    assert sum(counts(recorded).values()) == TIMES


def test_a_closed_set_with_a_look_alike_is_checked_each_time():
    look_alike = Operation(duration=Histogram("test.closed", unit="s", description="Closed.", attributes=(COLOUR,)))
    measured(look_alike, colour="red")
    with pytest.raises(CatalogError, match="allowed: red, green"):
        measured(look_alike, colour=1)


# One object, first used while nothing was recorded


@pytest.mark.parametrize("is_first", [True, False])
def test_a_block_that_starts_before_telemetry_does_not_end_the_block_of_another(is_first):
    if not is_first:  # then it is known that nothing is recorded
        with measured(ingest.EVENT, source="mqtt"):
            pass
    measure = measured(ingest.EVENT, source="mqtt")

    def work(reason):
        with measure as event:
            yield
            event.discard(reason)

    early, later = work("early"), work("late")
    next(early)
    with Recorded(catalog=ingest.CATALOG, journalled=True) as recorded:
        next(later)
        assert next(early, None) is None
        assert list(accounts(recorded.collect())["mqtt"].values()) == [1, 0, 0, 1]
        assert next(later, None) is None
        assert recorded.value(ingest.DISCARDED, source="mqtt", reason="late") == 1
        assert not unbalanced(recorded.collect())


def test_the_first_block_of_an_object_may_be_left_before_and_after_others(recorded):
    for first_leaves_first in (True, False):
        measure = measured(WORK)

        def block(shape, measure=measure):
            with measure as measurement:
                yield
                measurement.set(shape=shape)

        first, second = block("first"), block("second")
        for each in (first, second):
            next(each)
        for each in (first, second) if first_leaves_first else (second, first):
            next(each, None)
    assert {dict(key)["shape"]: count for key, count in counts(recorded).items()} == {"first": 2, "second": 2}


def test_an_exit_stack_that_is_closed_elsewhere_leaves_the_first_block_open(recorded):
    measure = measured(WORK)

    def entered():
        with contextlib.ExitStack() as stack:
            stack.enter_context(measure).set(shape="stack")
            return stack.pop_all()

    def block():
        with measure as first:
            yield
            first.set(shape="first")

    first = block()
    next(first)
    entered().close()
    assert [dict(key)["shape"] for key in counts(recorded)] == ["stack"]
    assert next(first, None) is None
    assert {dict(key)["shape"]: count for key, count in counts(recorded).items()} == {"stack": 1, "first": 1}


def test_many_threads_may_be_first_at_once(recorded):
    measures = [measured(ingest.EVENT, source="mqtt") for _ in range(200)]

    def work(_):
        for measure in measures:
            with measure as event:
                event.discard("late")

    with switching_often():
        in_threads(4, work)
    assert accounts(recorded.collect()) == {"mqtt": {"received": 800, "processed": 0, "discarded": 800, "in_flight": 0}}


def test_an_object_measures_blocks_with_and_without_spans(recorded):
    measure = measured(WORK)
    with Traced() as traced:
        with measure:
            pass
        assert traced.one.name == "test.work"
    with measure:
        pass
    with Traced() as traced, measure:
        with measure:
            pass
        assert len(traced.spans) == 1
    assert counts(recorded) == {OK: 4}
