"""Measured blocks, and the methods of their measurement."""

import time

import pytest

from otel_ha import measured
from otel_ha.vocabulary import ingest
from tests.recorded import accounts
from tests.unit.measure.conftest import CANCELLED, OK, VALUE_ERROR, WORK, counts, total


def test_a_block_is_measured(recorded):
    with measured(WORK, colour="red"):
        time.sleep(0.02)
    assert counts(recorded) == {(("colour", "red"), ("outcome", "ok")): 1}
    assert total(recorded) >= 0.02


def test_a_block_that_raises_is_an_error(recorded):
    with pytest.raises(ValueError, match="no"), measured(WORK):
        raise ValueError("no")
    assert counts(recorded) == {VALUE_ERROR: 1}


def test_a_block_may_set_attributes(recorded):
    with measured(WORK, colour="red") as measurement:
        measurement.set(colour="green", shape="round")
    assert counts(recorded) == {(("colour", "green"), ("outcome", "ok"), ("shape", "round")): 1}


def test_a_block_may_fail_without_an_exception(recorded):
    with measured(WORK) as measurement:
        measurement.fail("timeout")
    assert counts(recorded) == {(("outcome", "error"), ("type", "timeout")): 1}


def test_a_block_may_be_cancelled_without_an_exception(recorded):
    with measured(WORK) as measurement:
        measurement.cancel()
    assert counts(recorded) == {CANCELLED: 1}


def test_a_block_may_discard(recorded):
    with measured(ingest.EVENT, source="mqtt") as measurement:
        measurement.discard("filtered")
    assert recorded.value(ingest.DISCARDED, source="mqtt", reason="filtered") == 1
    assert recorded.series(ingest.EVENT_DURATION) == {}


def test_the_last_of_several_outcomes_counts(recorded):
    with measured(ingest.EVENT, source="mqtt") as measurement:
        measurement.fail("E1")
        measurement.discard("filtered")
        measurement.discard("duplicate")
    assert list(recorded.series(ingest.DISCARDED).values()) == [1]
    assert recorded.value(ingest.DISCARDED, source="mqtt", reason="duplicate") == 1
    assert recorded.series(ingest.EVENT_DURATION) == {}


def test_an_exception_takes_precedence_over_the_outcome_that_the_block_set(recorded):
    def work():
        with measured(ingest.EVENT, source="mqtt") as measurement:
            measurement.discard("filtered")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        work()
    assert counts(recorded, ingest.EVENT_DURATION) == {(*VALUE_ERROR[:1], ("source", "mqtt"), VALUE_ERROR[1]): 1}


def test_an_undeclared_attribute_set_by_a_block_is_counted_and_warned_of(recorded, caplog):
    with measured(WORK) as measurement:
        measurement.set(size=3)
    assert recorded.problems() == {("test.work", "undeclared_attribute", "size"): 1}
    assert len(caplog.records) == 1
    assert counts(recorded) == {OK: 1}


def test_a_block_cannot_change_an_attribute_of_work_in_flight(recorded, caplog):
    with measured(ingest.EVENT, source="mqtt") as measurement:
        measurement.set(source="websocket", domain="light")
    assert accounts(recorded.collect()) == {"mqtt": {"received": 1, "processed": 1, "discarded": 0, "in_flight": 0}}
    assert recorded.problems() == {("homeassistant.event.process.duration", "late_attribute", "source"): 1}


def test_a_block_may_set_an_attribute_to_its_initial_value(recorded):
    with measured(ingest.EVENT, source="mqtt") as measurement:
        measurement.set(source="mqtt")
    assert recorded.problems() == {}


def test_work_is_in_flight_while_its_block_lasts(recorded):
    with measured(ingest.EVENT, source="mqtt"):
        assert recorded.value(ingest.IN_FLIGHT, source="mqtt", state="active") == 1
    assert recorded.value(ingest.IN_FLIGHT, source="mqtt", state="active") == 0
