import functools
import threading
from enum import StrEnum

import pytest

from otel_ha import Attribute, CatalogError, Counter, Discarded, Histogram, Operation, UpDownCounter, measured
from otel_ha.declare.resolved import Resolved
from otel_ha.vocabulary import ingest
from tests.recorded import Recorded, accounts, ended, meanwhile, started, unbalanced

EVENT, QUEUED = ingest.EVENT, ingest.QUEUED_EVENT
MQTT = {"source": "mqtt"}
ROOM = Attribute("test.room", "The room.", values=("hall", "kitchen"))
ROOMED = Operation(duration=Histogram("test.sync", unit="s", description="Time to sync.", attributes=(ROOM,)))


@pytest.fixture(params=["through the API", "by the journal"])
def recorded(request):
    with Recorded(catalog=ingest.CATALOG, journalled=request.param == "by the journal") as recorded:
        yield recorded


def account(recorded):
    """Return received, processed, discarded and in flight of the one source."""
    return tuple(accounts(recorded.collect())["mqtt"].values())


def test_received_work_is_in_flight_and_queued(recorded):
    EVENT.receive(source="mqtt")
    assert account(recorded) == (1, 0, 0, 1)
    assert recorded.value(ingest.IN_FLIGHT, source="mqtt", state="queued") == 1


def test_work_discarded_while_it_waits_is_no_longer_in_flight(recorded):
    EVENT.receive(source="mqtt")
    EVENT.discard("duplicate", source="mqtt")
    assert account(recorded) == (1, 0, 1, 0)


def test_discarded_work_has_its_reason(recorded):
    EVENT.receive(source="mqtt")
    EVENT.discard(reason="duplicate", source="mqtt")
    assert recorded.value(ingest.DISCARDED, source="mqtt", reason="duplicate") == 1


def test_a_discarded_event_is_not_processed(recorded):
    started(EVENT, MQTT)
    ended(EVENT, Discarded("filtered"), 0.1, at_start=MQTT, at_end=MQTT)
    assert recorded.series(ingest.EVENT_DURATION) == {}


def test_started_work_is_received_and_active(recorded):
    started(EVENT, MQTT)
    assert account(recorded) == (1, 0, 0, 1)
    assert recorded.value(ingest.IN_FLIGHT, source="mqtt", state="active") == 1


def test_queued_work_is_not_received_again_when_it_starts(recorded):
    EVENT.receive(source="mqtt")
    started(QUEUED, MQTT)
    assert account(recorded) == (1, 0, 0, 1)


def test_queued_work_is_active_when_it_starts(recorded):
    EVENT.receive(source="mqtt")
    started(QUEUED, MQTT)
    assert [recorded.value(ingest.IN_FLIGHT, source="mqtt", state=s) for s in ("queued", "active")] == [0, 1]


@pytest.mark.parametrize("outcome", ["ok", "error", "cancelled"])
def test_ended_work_is_processed_with_its_outcome(recorded, outcome):
    started(EVENT, MQTT)
    ended(EVENT, outcome, 0.25, at_start=MQTT, at_end=MQTT)
    assert account(recorded) == (1, 1, 0, 0)
    assert recorded.value(ingest.EVENT_DURATION, source="mqtt", outcome=outcome)[:2] == (1, 0.25)


def test_processed_work_occurs(recorded):
    ended(EVENT, "ok", 0.1, at_start=MQTT, at_end={**MQTT, "entity": "light.a", "domain": "light"})
    assert recorded.value(ingest.ENTITY_EVENTS, entity="light.a", domain="light") == 1


def test_work_processed_again_occurs_again(recorded):
    work = measured(EVENT, source="mqtt", entity=lambda entity: entity)(lambda _: None)
    for entity in ("light.a", "light.b", "light.a", "light.a"):
        work(entity)
    assert recorded.value(ingest.ENTITY_EVENTS, entity="light.a") == 3
    assert recorded.value(ingest.ENTITY_EVENTS, entity="light.b") == 1


def test_steps_that_are_taken_again_are_counted_again(recorded):
    for _ in range(5):
        EVENT.receive(source="mqtt")
    for _ in range(3):
        EVENT.discard("duplicate", source="mqtt")
    assert account(recorded) == (5, 0, 3, 2)
    assert recorded.value(ingest.DISCARDED, source="mqtt", reason="duplicate") == 3


@pytest.mark.parametrize("wrong", [[1], {}, b"x", object()])
def test_a_wrong_value_never_raises(recorded, wrong):
    for _ in range(3):
        EVENT.receive(source=wrong)
        EVENT.discard(wrong, source=wrong)
    assert account_of_other(recorded) == (3, 0, 3, 0)


def account_of_other(recorded):
    return tuple(accounts(recorded.collect())["_OTHER"].values())


def test_an_attribute_that_no_instrument_declares_is_counted_each_time(recorded):
    for _ in range(3):
        EVENT.receive(source="mqtt", colour="red")
    assert sum(recorded.problems().values()) == 3


class Reason(StrEnum):
    LATE = "late"


def test_a_member_of_an_enumeration_is_its_text(recorded):
    for reason in (Reason.LATE, "late", Reason.LATE):
        EVENT.receive(source="mqtt")
        EVENT.discard(reason, source="mqtt")
    assert recorded.value(ingest.DISCARDED, source="mqtt", reason="late") == 3


def test_discarded_work_does_not_occur(recorded):
    ended(EVENT, Discarded("filtered"), 0.1, at_start=MQTT, at_end={**MQTT, "entity": "light.a"})
    assert recorded.series(ingest.ENTITY_EVENTS) == {}


def test_each_instrument_gets_the_attributes_that_it_declares(recorded):
    EVENT.receive(source="mqtt", domain="light", entity="light.a")
    assert recorded.value(ingest.RECEIVED, source="mqtt") == 1
    assert recorded.problems() == {}


@pytest.mark.parametrize("call", [EVENT.receive, functools.partial(EVENT.discard, "late")])
def test_an_attribute_that_no_instrument_declares_is_counted_and_warned_of_once(recorded, caplog, call):
    for _ in range(2):
        EVENT.receive(source="mqtt")
        call(source="mqtt", sorce="mqtt")
    assert recorded.problems() == {("homeassistant.event.process.duration", "undeclared_attribute", "sorce"): 2}
    assert len(caplog.records) == 1


def test_an_attribute_that_no_instrument_declares_has_no_other_effect(recorded):
    EVENT.receive(source="mqtt", sorce="mqtt")
    assert account(recorded) == (1, 0, 0, 1)


def test_work_without_accounts_has_only_a_duration(recorded):
    started(ingest.TRANSFORM, {"transformer": "a"})
    ended(ingest.TRANSFORM, "ok", 0.1, at_start={}, at_end={"transformer": "a"})
    assert recorded.value(ingest.TRANSFORM_DURATION, transformer="a", outcome="ok").count == 1


OUTCOME = Attribute("test.outcome", "How it ended.")
WORK = Histogram("test.work", unit="s", description="Work.", attributes=(OUTCOME,))
STATE = Attribute("test.state", "Where it is.")
BUSY = UpDownCounter("test.busy", unit="1", description="Busy.", attributes=(STATE,))
DONE = Counter("test.done", unit="1", description="Done.")


def test_an_operation_in_another_unit_than_seconds_is_refused():
    with pytest.raises(CatalogError, match="declare it with unit='s'"):
        Operation(duration=Histogram("test.slow", unit="ms", description="Slow."))


@pytest.mark.parametrize("wrong", ["duration", "in_flight", "received", "discarded", "occurrences"])
@pytest.mark.parametrize("given", ["test.work", 5, Attribute("test.state", "Where it is.")])
def test_each_instrument_of_an_operation_has_its_kind(wrong, given):
    with pytest.raises(CatalogError, match=rf"{wrong} is .*; allowed: an? (Histogram|UpDownCounter|Counter)"):
        Operation(**{"duration": WORK, wrong: given})


def test_a_number_in_flight_without_a_state_is_refused():
    with pytest.raises(CatalogError, match="'state'"):
        Operation(duration=WORK, in_flight=UpDownCounter("test.lost", unit="1", description="Lost."))


def test_a_discard_is_an_outcome_if_no_instrument_counts_discards():
    with Recorded(WORK) as recorded:
        ended(Operation(duration=WORK), Discarded("late"), 0.1, at_start={}, at_end={})
        assert recorded.value(WORK, outcome="discarded").count == 1


def test_an_operation_may_have_some_of_its_instruments():
    operation = Operation(duration=WORK, in_flight=BUSY, occurrences=DONE)
    with Recorded(WORK, BUSY, DONE) as recorded:
        operation.receive()
        operation.discard("late")
        started(operation, {})
        ended(operation, "ok", 0.1, at_start={}, at_end={})
        assert (recorded.value(DONE), recorded.value(BUSY)) == (1, 0)


def test_an_operation_knows_its_instruments():
    assert Operation(duration=WORK, in_flight=BUSY).instruments == (WORK, BUSY)


def test_an_operation_is_inert_before_and_after_telemetry():
    with Recorded(catalog=ingest.CATALOG):
        pass
    EVENT.receive(source="mqtt")
    EVENT.discard("late", nonsense=1)
    started(EVENT, MQTT)
    ended(EVENT, "ok", 0.1, at_start=MQTT, at_end=MQTT)
    with Recorded(catalog=ingest.CATALOG) as recorded:
        assert recorded.collect() == {}


def test_work_that_ends_in_a_finalizer_waits_for_the_next_collection(recorded):
    started(EVENT, MQTT)
    ended(EVENT, "cancelled", 0.1, at_start=MQTT, at_end=MQTT, later=True)
    assert recorded.gate.waiting == 1
    assert account(recorded) == (1, 1, 0, 0)


def test_the_steps_of_an_event_are_seen_whole(recorded):
    def process():
        EVENT.receive(source="mqtt")
        started(QUEUED, MQTT)
        ended(EVENT, "ok", 0.1, at_start=MQTT, at_end=MQTT)

    with meanwhile(process):
        torn = [account for _ in range(30) if (account := unbalanced(recorded.collect()))]
    assert torn == []


def test_work_measured_elsewhere_is_received_and_processed_in_one_step(recorded):
    EVENT.record(0.25, source="mqtt", domain="light", entity="light.hall")
    assert account(recorded) == (1, 1, 0, 0)
    assert recorded.value(ingest.EVENT_DURATION, source="mqtt", domain="light", outcome="ok").total == 0.25
    assert recorded.value(ingest.ENTITY_EVENTS, entity="light.hall", domain="light") == 1


@pytest.mark.parametrize("outcome", ["error", "cancelled"])
def test_work_measured_elsewhere_has_its_outcome(recorded, outcome):
    EVENT.record(0.25, outcome, source="mqtt", error_type="timeout")
    assert recorded.value(ingest.EVENT_DURATION, source="mqtt", outcome=outcome, error_type="timeout").count == 1


def test_work_measured_elsewhere_can_have_been_discarded(recorded):
    EVENT.record(0.25, Discarded("duplicate"), source="mqtt")
    assert account(recorded) == (1, 0, 1, 0)


def test_work_measured_elsewhere_comes_out_of_its_queue(recorded):
    EVENT.receive(source="mqtt")
    QUEUED.record(0.25, source="mqtt")
    assert account(recorded) == (1, 1, 0, 0)


@pytest.mark.parametrize("duration", [-0.1, float("nan"), float("inf"), "1", None])
def test_a_wrong_duration_counts_nothing_and_is_reported(recorded, duration):
    EVENT.record(duration, source="mqtt")
    assert accounts(recorded.collect()) == {}
    assert recorded.problems() == {("homeassistant.event.process.duration", "invalid_amount", None): 1}


def test_an_undeclared_attribute_is_reported_and_the_others_are_recorded(recorded):
    EVENT.record(0.25, source="mqtt", colour="red")
    assert account(recorded) == (1, 1, 0, 0)
    assert recorded.problems() == {("homeassistant.event.process.duration", "undeclared_attribute", "colour"): 1}


def test_work_measured_elsewhere_counts_each_time_with_its_own_duration(recorded):
    for duration in (0.25, 0.5, 1.0):
        EVENT.record(duration, source="mqtt")
    EVENT.record(2.0, "error", source="mqtt")
    EVENT.receive(source="mqtt")
    assert account(recorded) == (5, 4, 0, 1)
    assert recorded.value(ingest.EVENT_DURATION, source="mqtt", outcome="ok")[:2] == (3, 1.75)
    assert recorded.value(ingest.EVENT_DURATION, source="mqtt", outcome="error")[:2] == (1, 2.0)


# Bound operations


def test_a_bound_operation_records_the_steps_of_the_operation(recorded):
    bound = EVENT.bind(source="mqtt")
    for _ in range(5):
        bound.receive()
    for _ in range(3):
        bound.discard("duplicate")
    assert account(recorded) == (5, 0, 3, 2)
    assert recorded.value(ingest.DISCARDED, source="mqtt", reason="duplicate") == 3


def test_a_bound_operation_distinguishes_reasons(recorded):
    bound = EVENT.bind(source="mqtt")
    for reason in ("late", "duplicate", "late", "duplicate", "late"):
        bound.receive()
        bound.discard(reason)
    assert [recorded.value(ingest.DISCARDED, source="mqtt", reason=r) for r in ("late", "duplicate")] == [3, 2]


def test_a_bound_operation_counts_work_measured_elsewhere_with_its_own_duration_and_outcome(recorded):
    bound = EVENT.bind(source="mqtt")
    for duration in (0.25, 0.5, 1.0):
        bound.record(duration)
        bound.record(2.0, "error")
        bound.record(2.0, Discarded("late"))
    assert account(recorded) == (9, 6, 3, 0)
    assert recorded.value(ingest.EVENT_DURATION, source="mqtt", outcome="ok")[:2] == (3, 1.75)
    assert recorded.value(ingest.EVENT_DURATION, source="mqtt", outcome="error")[:2] == (3, 6.0)


def test_a_bound_operation_reports_each_wrong_duration(recorded):
    bound = EVENT.bind(source="mqtt")
    for duration in (0.25, -0.1, float("nan"), "1"):
        bound.record(duration)
    assert account(recorded) == (1, 1, 0, 0)
    assert recorded.problems() == {("homeassistant.event.process.duration", "invalid_amount", None): 3}


@pytest.mark.parametrize(
    ("operation", "wrong", "message"),
    [
        (EVENT, {"sorce": "mqtt"}, "no attribute 'sorce'; declared: domain, entity, source; did you mean 'source'?"),
        (EVENT, {"error_type": "x"}, "'error_type' is set by the measurement itself; leave it out"),
        (EVENT, {"source": len}, "source is a function; bind() takes values; use measured() for functions"),
        (ROOMED, {"room": "attic"}, "room is 'attic'; allowed: hall, kitchen"),
    ],
    ids=["undeclared", "set by the measurement", "a function", "outside a closed set"],
)
def test_a_wrong_attribute_cannot_be_bound(operation, wrong, message):
    with pytest.raises(CatalogError) as caught:
        operation.bind(**wrong)
    assert str(caught.value) == f"bind(): {message}"


def test_operations_and_what_they_bind_are_named_by_their_duration_in_logs():
    assert repr(ROOMED.bind(room="hall")) == "Operation(test.sync).bind(room='hall')"


@pytest.mark.parametrize("wrong", [[1], {}, b"x", object()])
def test_a_bound_operation_never_raises(recorded, wrong):
    bound = EVENT.bind(source=wrong)
    for _ in range(3):
        bound.receive()
        bound.discard(wrong)
    assert account_of_other(recorded) == (3, 0, 3, 0)


@pytest.mark.parametrize("outcome", ["ok", "error", Discarded("late")])
def test_a_repeated_end_is_counted_by_one_append_with_its_own_duration_and_outcome(outcome):
    bound = EVENT.bind(source="mqtt")
    with Recorded(catalog=ingest.CATALOG, journalled=True, entity_metrics=False) as recorded:
        for duration in (0.25, 0.5, 1.0, 2.0):
            bound.record(duration, outcome)
            EVENT.record(duration, outcome, source="mqtt")
        [batch] = EVENT.resolved().batches.values()
        assert len(batch.amounts) == 7
        if isinstance(outcome, Discarded):
            assert recorded.value(ingest.DISCARDED, source="mqtt", reason="late") == 8
        else:
            assert recorded.value(ingest.EVENT_DURATION, source="mqtt", outcome=outcome)[:2] == (8, 7.5)
        assert not unbalanced(recorded.collect())


@pytest.mark.parametrize("keyword", ["reason", "outcome", "state"])
def test_an_attribute_that_a_step_sets_cannot_be_bound(keyword):
    with pytest.raises(CatalogError, match=keyword):
        EVENT.bind(**{"source": "mqtt", keyword: "late"})


def test_a_bound_operation_finds_the_steps_that_another_thread_resolved():
    bound = EVENT.bind(source="mqtt")
    with Recorded(catalog=ingest.CATALOG, journalled=True) as recorded:
        barrier = threading.Barrier(2)

        class Slow(Resolved):
            __slots__ = ()

            def __init__(self, instruments):
                super().__init__(instruments)
                barrier.wait(10)  # both threads are first at the same time

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("otel_ha.declare.operation.Resolved", Slow)
            thread = threading.Thread(target=EVENT.resolved)
            thread.start()
            bound.receive()
            thread.join()
        for _ in range(3):
            bound.discard("late")
        assert account(recorded) == (3, 0, 3, 0)


class Unhashable(str):
    """A text that fails when it is hashed."""

    __slots__ = ()

    def __hash__(self):
        raise RuntimeError("hash")


@pytest.mark.parametrize("wrong", [Unhashable("x"), 10**5000], ids=["unhashable", "huge"])
def test_a_step_with_a_strange_value_never_raises_and_is_counted(recorded, wrong):
    EVENT.receive(source="mqtt")
    EVENT.discard(wrong, source="mqtt")
    EVENT.record(0.25, source="mqtt")
    EVENT.record(wrong, source="mqtt")
    assert account(recorded) == (2, 1, 1, 0)


@pytest.mark.parametrize("journalled", [True, False])
def test_a_bound_operation_works_across_telemetries(journalled):
    bound = EVENT.bind(source="mqtt")
    bound.receive()  # inert
    for _ in range(2):
        with Recorded(catalog=ingest.CATALOG, journalled=journalled) as recorded:
            for _ in range(3):
                bound.receive()
            assert account(recorded) == (3, 0, 0, 3)
        bound.receive()  # inert again
