"""Work that raises the same types of exceptions again and again: each is counted by its type."""

import asyncio
import gc
import itertools
import weakref
from contextlib import suppress

import pytest

from otel_ha import Histogram, measured
from otel_ha.vocabulary import ingest
from tests.recorded import Recorded, accounts, in_threads, switching_often
from tests.unit.measure.conftest import CANCELLED, OK, OUTCOME, VALUE_ERROR, WORK, counts, raising
from tests.unit.measure.failing import (
    MANY,
    OWN_ERROR,
    OwnError,
    call,
    call_with_computed_attributes,
    decorating,
    end,
    every_kind,
)


@every_kind
def test_each_exception_is_counted_by_its_type_and_passes_through(recorded, kind):
    for _ in range(MANY):
        for error in (ValueError("no"), OwnError(), asyncio.CancelledError(), KeyboardInterrupt(), SystemExit(3)):
            assert end(kind, error) is error
    assert counts(recorded) == {VALUE_ERROR: MANY, OWN_ERROR: MANY, CANCELLED: 3 * MANY}


@every_kind
def test_calls_that_raise_and_calls_that_return_take_turns(recorded, kind):
    for _ in range(MANY):
        assert isinstance(end(kind, ValueError("no")), ValueError)
        measured(WORK)(int)()
    assert counts(recorded) == {VALUE_ERROR: MANY, OK: MANY}


def test_an_exception_keeps_the_attributes_of_its_call(recorded):
    for _ in range(MANY):
        end(call_with_computed_attributes, ValueError("no"))
    assert counts(recorded) == {(*VALUE_ERROR[:1], ("shape", "round"), *VALUE_ERROR[1:]): MANY}


@every_kind
def test_work_that_raises_is_received_and_no_longer_in_flight(recorded, kind):
    for _ in range(MANY):
        end(kind, ValueError("no"), decorating(ingest.EVENT, source="mqtt"))
    account = {"received": MANY, "processed": MANY, "discarded": 0, "in_flight": 0}
    assert accounts(recorded.collect()) == {"mqtt": account}


def test_an_error_that_was_seen_before_is_an_append():
    with Recorded(catalog=ingest.CATALOG, journalled=True) as recorded:
        work = decorating(ingest.EVENT, source="mqtt")
        for _ in range(2):  # attributes that are used once are not resolved
            end(call, ValueError("no"), work)
        recorded.collect()
        resolved = recorded.pipeline.journal.batch_count
        for _ in range(MANY):
            end(call, ValueError("no"), work)
        assert recorded.pipeline.journal.batch_count == resolved
        assert len(recorded.pipeline.journal) == 2 * MANY
        assert not any(recorded.pipeline.journal._entries.values())


@every_kind
@pytest.mark.parametrize("expected", [ValueError, (KeyError, ValueError)])
def test_expected_exceptions_are_ok_however_often(recorded, kind, expected):
    for _ in range(MANY):
        end(kind, ValueError("no"), decorating(expected=expected))
        end(kind, OwnError("no"), decorating(expected=expected))
    assert counts(recorded) == {OK: MANY, OWN_ERROR: MANY}


@every_kind
def test_a_predicate_judges_each_exception(recorded, kind):
    work = decorating(expected=lambda error: error.args[0] % 4 == 0)
    for number in range(MANY):
        end(kind, ValueError(number), work)
    assert counts(recorded) == {OK: MANY // 4, VALUE_ERROR: MANY - MANY // 4}


def test_a_block_that_is_discarded_stays_so_if_its_exception_is_expected(recorded):
    for _ in range(MANY):
        with suppress(ValueError), measured(ingest.EVENT, source="mqtt", expected=ValueError) as event:
            event.discard("duplicate")
            raise ValueError
    assert recorded.value(ingest.DISCARDED, source="mqtt", reason="duplicate") == MANY


def test_types_that_are_made_for_each_call_share_a_series_by_their_name(recorded):
    for _ in range(MANY):
        end(call, type("MadeError", (Exception,), {"__module__": "made"})())
    assert counts(recorded) == {(("outcome", "error"), ("type", "made.MadeError")): MANY}


def test_names_beyond_the_budget_are_counted_as_other_and_as_a_problem_each_time(recorded):
    for number in [*range(MANY), *range(MANY)]:
        end(call, type(f"Error{number}", (Exception,), {"__module__": "made"})())
    found = counts(recorded)
    assert found[("outcome", "error"), ("type", "_OTHER")] == 2 * (MANY - 3)
    assert sum(found.values()) == 2 * MANY
    assert recorded.problems() == {("test.work", "budget_exceeded", "error.type"): 2 * (MANY - 3)}


def test_names_without_number_take_bounded_memory():
    plain = Histogram("test.plain", unit="s", description="Work.", attributes=(OUTCOME,))
    with Recorded(plain, WORK, journalled=True) as recorded:
        for operation in (plain, WORK):
            work = measured(operation)(raising)
            for number in range(1_500):
                with suppress(Exception):
                    work(type(f"Error{number}", (Exception,), {})())
        assert recorded.pipeline.journal.batch_count < 20
        assert counts(recorded, plain) == {(("outcome", "error"),): 1_500}
        assert sum(counts(recorded).values()) == 1_500


def test_a_type_is_not_kept_alive(recorded):
    kind = type("MadeError", (Exception,), {})
    seen = weakref.ref(kind)
    for _ in range(3):
        end(call, kind())
    del kind
    gc.collect()
    assert seen() is None


class _Hostile(type):
    def __hash__(cls):
        raise ZeroDivisionError

    def __eq__(cls, other):
        raise ZeroDivisionError

    def __bool__(cls):
        raise ZeroDivisionError


class HostileError(Exception, metaclass=_Hostile):
    """A class that cannot be put in a dictionary."""


class HiddenError(Exception):
    """An exception that hides its class."""

    @property
    def __class__(self):
        raise ZeroDivisionError


class _Text(str):
    __slots__ = ()

    def __hash__(self):
        raise ZeroDivisionError


_NAMES = itertools.cycle(("First", "Second", _Text("Third")))


class _Renamed(type):
    def __getattribute__(cls, name):
        if name == "__module__":
            return "builtins"
        return next(_NAMES) if name == "__qualname__" else super().__getattribute__(name)


class RenamedError(Exception, metaclass=_Renamed):
    """A class with another name each time."""


@every_kind
def test_a_class_that_raises_when_it_is_compared_is_an_error_like_others(recorded, kind):
    error = HostileError()
    for _ in range(MANY):
        assert end(kind, error) is error
    assert counts(recorded) == {(("outcome", "error"), ("type", f"{__name__}.HostileError")): MANY}


@every_kind
def test_an_exception_that_hides_its_class_is_an_error_like_others(recorded, kind):
    error = HiddenError()
    for _ in range(MANY):
        assert end(kind, error) is error
    assert counts(recorded) == {(("outcome", "error"), ("type", f"{__name__}.HiddenError")): MANY}


@every_kind
def test_a_class_whose_name_changes_is_counted_by_its_name_at_that_time(recorded, kind):
    for _ in range(6):
        end(kind, RenamedError())
    assert counts(recorded) == {(("outcome", "error"), ("type", name)): 2 for name in ("First", "Second", "Third")}


@every_kind
def test_a_storm_of_errors_in_many_threads_counts_exactly(recorded, kind):
    def storm(number):
        for _ in range(50):
            end(kind, ValueError(number))
            end(kind, OwnError(number))

    with switching_often():
        in_threads(8, storm)
    assert counts(recorded) == {VALUE_ERROR: 400, OWN_ERROR: 400}
