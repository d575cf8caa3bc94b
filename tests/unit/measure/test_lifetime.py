"""Measuring before telemetry starts, across two telemetries, and after one ends."""

import contextlib

import pytest

from otel_ha import measured
from otel_ha.vocabulary import ingest
from tests.recorded import Recorded, accounts
from tests.unit.measure.conftest import OK, WORK, counts


def test_work_measured_before_telemetry_is_not_recorded():
    work = measured(WORK)(lambda: 1)
    assert work() == 1
    with Recorded(WORK) as recorded:
        assert recorded.collect() == {}


def test_a_function_decorated_before_telemetry_is_recorded_after():
    work = measured(WORK)(lambda: 1)
    with Recorded(WORK) as recorded:
        work()
        assert counts(recorded) == {OK: 1}


@pytest.mark.parametrize("bound", [False, True])
def test_work_that_started_before_telemetry_is_not_counted(bound):
    with contextlib.ExitStack() as stack:
        with measured(ingest.EVENT, source="mqtt"):
            recorded = stack.enter_context(Recorded(catalog=ingest.CATALOG, journalled=bound))
        assert recorded.collect() == {}


@pytest.mark.parametrize("bound", [False, True])
def test_work_that_started_in_an_earlier_telemetry_is_not_counted_in_the_next(bound):
    with contextlib.ExitStack() as stack:
        with Recorded(catalog=ingest.CATALOG, journalled=bound):
            stack.enter_context(measured(ingest.EVENT, source="mqtt"))
        with Recorded(catalog=ingest.CATALOG, journalled=bound) as later:
            stack.close()
            assert later.collect() == {}


@pytest.mark.parametrize("bound", [False, True])
def test_a_block_that_was_made_in_an_earlier_telemetry_is_not_counted_in_the_next(bound):
    events = ingest.EVENT.bind(source="mqtt")
    with Recorded(catalog=ingest.CATALOG, journalled=bound):
        block = events.measured()
    with Recorded(catalog=ingest.CATALOG, journalled=bound) as later:
        with block:
            assert later.collect() == {}
        assert later.collect() == {}


@pytest.mark.parametrize("error", [None, ValueError])
def test_a_call_that_outlives_its_telemetry_is_not_counted_in_the_next(error):
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(Recorded(catalog=ingest.CATALOG, journalled=True))

        @measured(ingest.EVENT, source="mqtt")
        def work(error=None, *, sets_up_again=False):
            if sets_up_again:
                stack.close()
                stack.enter_context(later)
            if error is not None:
                raise error

        work()
        work()
        assert accounts(first.collect())["mqtt"]["processed"] == 2
        later = Recorded(catalog=ingest.CATALOG, journalled=True)
        with contextlib.nullcontext() if error is None else pytest.raises(error):
            work(error, sets_up_again=True)
        assert later.collect() == {}
        work()
        assert accounts(later.collect()) == {"mqtt": {"received": 1, "processed": 1, "discarded": 0, "in_flight": 0}}


def test_an_attribute_is_not_computed_before_telemetry():
    asked = []
    measured(WORK, shape=asked.append)(lambda thing: thing)(1)
    assert asked == []


def test_a_measurement_may_be_used_before_telemetry():
    with measured(WORK) as measurement:
        measurement.set(nonsense=1)
        measurement.fail("x")
        measurement.discard("x")
        measurement.cancel()


@pytest.mark.parametrize("journalled", [True, False])
@pytest.mark.parametrize("later", [True, False])
def test_a_step_that_telemetry_overtakes_is_not_counted_in_the_next(journalled, later):
    """Another thread ends telemetry and starts the next one after a step has found its recorder."""
    with Recorded(catalog=ingest.CATALOG, journalled=journalled):
        recorder = ingest.EVENT.recorder
    ended = ingest.EVENT.accounts.ended("ok", 0.1, {"source": "mqtt"}, {"source": "mqtt"})
    with Recorded(catalog=ingest.CATALOG, journalled=journalled) as following:
        recorder.record_together(ended, "ended", later=later)
        assert accounts(following.collect()) == {}
