"""Exceptions pass through measured work unchanged."""

import pytest

from otel_ha import measured
from tests.unit.measure.conftest import VALUE_ERROR, WORK, counts, frames, raising


def test_an_exception_is_the_same_object(recorded):
    error = ValueError("no")
    with pytest.raises(ValueError, match="no") as caught:
        measured(WORK)(raising)(error)
    assert caught.value is error


def test_an_exception_keeps_its_frames(recorded):
    with pytest.raises(ValueError, match="no") as caught:
        measured(WORK)(raising)(ValueError("no"))
    assert frames(caught.value)[-1] == "raising"


def test_an_exception_gets_no_context(recorded):
    with pytest.raises(ValueError, match="no") as caught:
        measured(WORK)(raising)(ValueError("no"))
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)


def test_an_exception_keeps_its_cause_and_its_context(recorded):
    cause = KeyError("why")

    @measured(WORK)
    def work():
        try:
            raise cause
        except KeyError as error:
            raise ValueError("no") from error

    with pytest.raises(ValueError, match="no") as caught:
        work()
    assert (caught.value.__context__, caught.value.__cause__) == (cause, cause)


class _Unnamed(type):
    def __getattribute__(cls, name):
        if name in {"__name__", "__qualname__", "__module__"}:
            raise ZeroDivisionError(name)
        return super().__getattribute__(name)


class Unnamed(Exception, metaclass=_Unnamed):  # noqa: N818
    """An exception whose class cannot be asked for its name."""


class _Unclear(type):
    def __instancecheck__(cls, instance):
        raise ZeroDivisionError


class Unclear(Exception, metaclass=_Unclear):  # noqa: N818
    """A class of which nothing can be said to be an instance."""


def test_an_exception_whose_class_has_no_name_passes_through_and_is_counted(recorded):
    error = Unnamed()
    caught = None
    for _ in range(2):
        try:
            measured(WORK)(raising)(error)
        except BaseException as raised:  # noqa: BLE001 - by any other means, its class would be asked
            caught = raised
        assert caught is error
    assert counts(recorded) == {(("outcome", "error"), ("type", "_OTHER")): 2}


@pytest.mark.parametrize("expected", [Unclear, (KeyError, Unclear), (KeyError, "ValueError"), ((), 5)])
def test_an_exception_that_cannot_be_compared_with_the_expected_ones_passes_through(recorded, expected):
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            measured(WORK, expected=expected)(raising)(ValueError("no"))
    assert counts(recorded) == {VALUE_ERROR: 2}
    assert recorded.problems() == {("test.work", "function_failed", None): 2}
