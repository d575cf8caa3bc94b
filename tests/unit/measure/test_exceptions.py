"""Exceptions pass through measured work unchanged."""

import pytest

from otel_ha import measured
from tests.unit.measure.conftest import WORK, frames, raising


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
