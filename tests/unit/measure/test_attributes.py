"""Attributes: fixed or computed from the arguments, and refused early if they are wrong."""

import pytest

from otel_ha import CatalogError, measured
from otel_ha.vocabulary import ingest
from tests.recorded import Recorded, accounts
from tests.unit.measure.conftest import OK, WORK, boom, counts


def test_an_attribute_may_be_fixed(recorded):
    measured(WORK, colour="red")(lambda: 1)()
    assert counts(recorded) == {(("colour", "red"), ("outcome", "ok")): 1}


def test_an_attribute_may_be_computed_from_the_arguments(recorded):
    measured(WORK, shape=lambda event, *, deep: f"{event}-{deep}")(lambda event, *, deep: (event, deep))("a", deep="b")
    assert counts(recorded) == {(("outcome", "ok"), ("shape", "a-b")): 1}


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
