"""Measured blocks, and the methods of their measurement."""

import time

import pytest

from otel_ha import CatalogError, Discarded, measured
from otel_ha.vocabulary import ingest
from tests.hostile import ClassRaises, OfRaisingType
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


@pytest.mark.parametrize("error", [ValueError("no"), ValueError, "ValueError"], ids=["an error", "its type", "text"])
def test_a_block_may_fail_by_an_exception_or_its_type(recorded, error):
    with measured(WORK) as measurement:
        measurement.fail(error)
    assert counts(recorded) == {VALUE_ERROR: 1}


@pytest.mark.parametrize(
    "made", [OfRaisingType, lambda: OfRaisingType, ClassRaises, lambda: dict, lambda: 1.5], ids=range(5)
)
def test_failing_by_anything_else_is_counted_and_never_raises(recorded, made):
    with measured(WORK) as measurement:
        measurement.fail(made())
    [(outcome, _)] = counts(recorded)
    assert outcome == ("outcome", "error")


@pytest.mark.parametrize("reason", ["", None])
@pytest.mark.parametrize("way", ["a block", "a call", "in the queue", "elsewhere"])
def test_a_discard_without_a_reason_is_counted_and_reported_each_time(recorded, way, reason):
    def discarded():
        if way == "a block":
            with measured(ingest.EVENT, source="mqtt") as measurement:
                measurement.discard(reason)
        elif way == "a call":
            measured(ingest.EVENT, source="mqtt", outcome_of=lambda _: Discarded(reason))(str)()
        elif way == "in the queue":
            ingest.EVENT.receive(source="mqtt")
            ingest.EVENT.discard(reason, source="mqtt")
        else:
            ingest.EVENT.bind(source="mqtt").record(0.1, Discarded(reason))

    for _ in range(4):
        discarded()
    assert recorded.value(ingest.DISCARDED, source="mqtt", reason="_OTHER") == 4
    assert recorded.problems() == {(ingest.DISCARDED.name, "invalid_value", "homeassistant.discard.reason"): 4}


def test_a_discard_of_work_whose_operation_does_not_count_it_is_warned_of_with_a_remedy(recorded, caplog):
    with measured(WORK) as measurement:
        measurement.discard("duplicate")
    [record] = caplog.records
    assert "recorded as _OTHER; discard() needs an Operation with a `discarded` counter" in record.getMessage()


def test_measured_names_the_block_of_what_bind_returned():
    with pytest.raises(CatalogError, match=r"with bound\.measured\(\)"):
        measured(ingest.EVENT.bind(source="mqtt"))


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
