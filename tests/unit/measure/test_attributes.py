"""Attributes: fixed or computed from the arguments, and refused early if they are wrong."""

import pytest

from otel_ha import CatalogError, measured
from otel_ha.declare.resolved import MOST_RESOLVED
from otel_ha.vocabulary import ingest
from tests.recorded import Recorded, accounts
from tests.unit.measure.conftest import OK, WORK, boom, counts


def test_an_attribute_may_be_fixed(recorded):
    measured(WORK, colour="red")(lambda: 1)()
    assert counts(recorded) == {(("colour", "red"), ("outcome", "ok")): 1}


def test_an_attribute_may_be_computed_from_the_arguments(recorded):
    measured(WORK, shape=lambda event, *, deep: f"{event}-{deep}")(lambda event, *, deep: (event, deep))("a", deep="b")
    assert counts(recorded) == {(("outcome", "ok"), ("shape", "a-b")): 1}


def test_each_combination_of_computed_attributes_has_a_series_however_often_it_comes(recorded):
    work = measured(WORK, colour=lambda colour, _: colour, shape=lambda _, shape: shape)(lambda *_: None)
    for _ in range(3):
        for colour in ("red", "green"):
            for shape in ("round", "square"):
                work(colour, shape)
    assert counts(recorded) == {
        (("colour", colour), ("outcome", "ok"), ("shape", shape)): 3
        for colour in ("red", "green")
        for shape in ("round", "square")
    }


class Unhashable(str):
    __slots__ = ()
    __hash__ = None


@pytest.mark.parametrize("shape", ["round", "x" * 2_000, 1, True, 1.0, None, [1], Unhashable("round"), boom])
def test_each_function_is_called_once_per_call_whatever_it_returns(recorded, shape):
    asked = []

    def colour():
        asked.append("colour")
        return "red"

    def compute():
        asked.append("shape")
        return shape() if callable(shape) else shape

    work = measured(WORK, colour=colour, shape=compute)(lambda: None)
    for _ in range(3):
        work()
    assert asked == ["colour", "shape"] * 3
    assert sum(counts(recorded).values()) == 3


def test_computed_values_without_number_take_bounded_memory():
    with Recorded(WORK, journalled=True) as recorded:
        made = measured(WORK, colour=lambda _: "red", shape=str)
        work = made(lambda _: None)
        for number in range(MOST_RESOLVED + 500):
            work(number)
        assert len(made._work.look_up()._found["red"]) == MOST_RESOLVED
        assert sum(counts(recorded).values()) == MOST_RESOLVED + 500


@pytest.mark.parametrize("shape", [[1], {"a": 1}, Unhashable("round")])
def test_a_fixed_value_that_cannot_be_looked_up_does_not_reach_the_caller(recorded, shape):
    work = measured(WORK, shape=shape)(lambda: 1)
    assert [work() for _ in range(3)] == [1, 1, 1]
    assert sum(counts(recorded).values()) == 3


def test_an_attribute_that_is_none_is_left_out(recorded):
    measured(WORK, colour=None, shape=lambda: None)(lambda: 1)()
    assert counts(recorded) == {OK: 1}


def test_an_attribute_is_computed_at_the_start(recorded):
    things = []
    measured(WORK, shape=len)(lambda things: things.append(1))(things)
    assert counts(recorded) == {(("outcome", "ok"), ("shape", 0)): 1}


def test_an_attribute_is_not_computed_if_only_disabled_instruments_have_it():
    calls = []
    work = measured(ingest.EVENT, source="mqtt", entity=lambda: calls.append("entity"))(lambda: None)
    with Recorded(catalog=ingest.CATALOG, journalled=True, entity_metrics=False) as recorded:
        work()
        assert accounts(recorded.collect())["mqtt"]["processed"] == 1
    assert calls == []


def test_a_function_that_cannot_compute_does_not_reach_the_caller(recorded):
    assert measured(WORK, shape=boom)(lambda: 1)() == 1
    assert counts(recorded) == {OK: 1}


def test_a_function_that_cannot_compute_is_counted_and_warned_of_once(recorded, caplog):
    work = measured(WORK, shape=boom)(lambda: 1)
    work()
    work()
    assert recorded.problems() == {("test.work", "function_failed", None): 2}
    (record,) = caplog.records
    assert "given as shape failed: RuntimeError('boom')" in record.getMessage()


def test_an_interrupt_while_computing_passes(recorded):
    def compute():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measured(WORK, shape=compute)(lambda: 1)()


class Unprintable(Exception):  # noqa: N818
    def __repr__(self):
        raise ValueError("no repr")


def test_an_error_that_cannot_be_shown_does_not_reach_the_caller(recorded):
    def compute():
        raise Unprintable

    assert measured(WORK, shape=compute)(lambda: 1)() == 1
    assert recorded.problems() == {("test.work", "function_failed", None): 1}


def test_an_attribute_that_is_not_declared_is_refused_at_once_with_those_that_may_be_given():
    with pytest.raises(CatalogError) as caught:
        measured(WORK, color="red")
    assert str(caught.value) == "measured(): no attribute 'color'; declared: colour, shape; did you mean 'colour'?"
    with pytest.raises(CatalogError, match=r"no attribute 'size'; declared: colour, shape$"):
        measured(WORK, size=1)


def test_a_fixed_value_outside_the_closed_set_is_refused_at_once():
    with pytest.raises(CatalogError, match="colour is 'blue'; allowed: red, green"):
        measured(WORK, colour="blue")


@pytest.mark.parametrize("keyword", ["outcome", "error_type", "reason", "state"])
def test_an_attribute_that_the_measurement_sets_is_refused_at_once(keyword):
    with pytest.raises(CatalogError, match="set by the measurement itself"):
        measured(ingest.EVENT, **{keyword: "ok"})


def test_a_computed_value_outside_the_closed_set_is_counted(recorded):
    measured(WORK, colour=lambda: "blue")(lambda: 1)()
    assert recorded.problems() == {("test.work", "undeclared_value", "test.colour"): 1}
