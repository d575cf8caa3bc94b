"""Each assertion of the kit passes, and fails with a text that explains it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from otel_ha import TelemetryConfig, setup_telemetry
from otel_ha.testing import CapturedMetrics, captured_metrics
from otel_ha.vocabulary import ingest
from tests.unit.testing.kit import (
    CATALOG,
    HEAT,
    OPENINGS,
    PEOPLE,
    PRINTING,
    SECRET,
    UNACCOUNTED,
    UNKNOWN,
    WIDTH,
    failure,
    lines,
)


@pytest.fixture
def metrics() -> Iterator[CapturedMetrics]:
    with captured_metrics(CATALOG | ingest.CATALOG) as captured:
        yield captured


def open_windows() -> None:
    OPENINGS.add(2, room="hall", state="open")
    OPENINGS.add(1, room="hall", state="closed")
    OPENINGS.add(1, room="kitchen", state="open")


# ---- assert_recorded


def test_attributes_that_are_not_named_are_summed_over(metrics):
    open_windows()
    metrics.assert_recorded(OPENINGS, 4)
    metrics.assert_recorded(OPENINGS, 3, room="hall")
    metrics.assert_recorded(OPENINGS, room="kitchen")


def test_a_wrong_sum_shows_the_series_and_the_nearest_others(metrics):
    open_windows()
    assert failure(metrics.assert_recorded, OPENINGS, 5, state="open") == lines("""
        test.openings: expected 5 with state='open', found 3
        recorded:
          2 with room='hall', state='open'
          1 with room='kitchen', state='open'
        nearest:
          1 with room='hall', state='closed': state differs
    """)


def test_a_value_that_nobody_recorded_shows_the_nearest_first(metrics):
    open_windows()
    assert failure(metrics.assert_recorded, OPENINGS, 2, room="kitchn", state="open") == lines("""
        test.openings: expected 2 with room='kitchn', state='open', nothing is recorded
        nearest:
          1 with room='kitchen', state='open': room differs
          2 with room='hall', state='open': room differs
          1 with room='hall', state='closed': room, state differ
        room='kitchn': did you mean 'kitchen'?
    """)


def test_at_most_five_other_series_are_shown(metrics):
    for number in range(8):
        OPENINGS.add(number + 1, room=f"room {number}")
    assert failure(metrics.assert_recorded, OPENINGS, 1, room="room 9") == lines("""
        test.openings: expected 1 with room='room 9', nothing is recorded
        nearest:
          8 with room='room 7': room differs
          7 with room='room 6': room differs
          6 with room='room 5': room differs
          5 with room='room 4': room differs
          4 with room='room 3': room differs
          … and 3 others
    """)


def test_a_histogram_counts(metrics):
    for width in (0.5, 2.5, 2.5):
        WIDTH.record(width, room="hall")
    metrics.assert_recorded(WIDTH, 3, room="hall")
    assert failure(metrics.assert_recorded, WIDTH, 1, room="hall") == (
        "test.width: expected 1 value with room='hall', found 3 values"
    )


def test_an_operation_stands_for_its_duration(metrics):
    ingest.EVENT.record(0.1, source="mqtt", domain="light")
    metrics.assert_recorded(ingest.EVENT, 1, outcome="ok")
    assert failure(metrics.assert_recorded, ingest.EVENT, 1, outcome="error") == lines("""
        homeassistant.event.process.duration: expected 1 value with outcome='error', nothing is recorded
        nearest:
          1 with domain='light', outcome='ok', source='mqtt': outcome differs
    """)


def test_a_gauge_has_its_last_value(metrics):
    HEAT.set(20, room="hall")
    HEAT.set(21.5, room="hall")
    metrics.assert_recorded(HEAT, 21.5)
    assert failure(metrics.assert_recorded, HEAT, 20) == lines("""
        test.heat: expected 20, found 21.5
        recorded:
          21.5 with room='hall'
    """)


def test_the_values_of_several_gauges_are_not_added_up(metrics):
    HEAT.set(20, room="hall")
    HEAT.set(21, room="kitchen")
    assert failure(metrics.assert_recorded, HEAT, 41) == lines("""
        test.heat: expected 41, found 2 series
        recorded:
          21 with room='kitchen'
          20 with room='hall'
        the values of a gauge cannot be added up; name more attributes
    """)


def test_an_up_down_counter_has_its_sum(metrics):
    PEOPLE.add(3, room="hall")
    PEOPLE.add(-1, room="hall")
    metrics.assert_recorded(PEOPLE, 2)
    assert failure(metrics.assert_recorded, PEOPLE, 3, room="hall") == (
        "test.people: expected 3 with room='hall', found 2"
    )


def test_nothing_is_a_sum_of_0(metrics):
    metrics.assert_recorded(OPENINGS, 0)
    metrics.assert_recorded(PEOPLE, 0)


def test_a_gauge_that_was_not_set_is_not_0(metrics):
    assert failure(metrics.assert_recorded, HEAT, 0) == lines("""
        test.heat: expected 0, nothing is recorded
        nothing at all is recorded: was the code under test called, and is the instrumentor of its library on?
    """)


def test_what_else_is_recorded_is_shown_if_nothing_is(metrics):
    HEAT.set(1)
    assert failure(metrics.assert_recorded, OPENINGS, 1) == lines("""
        test.openings: expected 1, nothing is recorded
        recorded metrics: test.heat
    """)


@pytest.mark.parametrize(("recorded", "asked"), [(1, True), (True, 1), (1, 1.0), ("1", 1)])
def test_values_of_different_types_are_different(metrics, recorded, asked):
    OPENINGS.add(1, flag=recorded)
    metrics.assert_recorded(OPENINGS, 1, flag=recorded)
    assert failure(metrics.assert_recorded, OPENINGS, 1, flag=asked) == lines(f"""
        test.openings: expected 1 with flag={asked!r}, nothing is recorded
        nearest:
          1 with flag={recorded!r}: flag differs
    """)


def test_none_asks_for_series_without_the_attribute(metrics):
    OPENINGS.add(1, room="hall")
    OPENINGS.add(2)
    metrics.assert_recorded(OPENINGS, 2, room=None)
    assert failure(metrics.assert_recorded, OPENINGS, 3, room=None) == lines("""
        test.openings: expected 3 with room=(not set), found 2
        nearest:
          1 with room='hall': room differs
    """)


def test_floats_are_compared_to_nine_digits(metrics):
    for _ in range(3):
        OPENINGS.add(0.1)
    metrics.assert_recorded(OPENINGS, 0.3)
    assert failure(metrics.assert_recorded, OPENINGS, 0.3001) == "test.openings: expected 0.3001, found 0.3"


def test_whole_numbers_are_compared_exactly(metrics):
    OPENINGS.add(10**12)
    OPENINGS.add(1.0)
    assert failure(metrics.assert_recorded, OPENINGS, 10**12) == (
        "test.openings: expected 1000000000000, found 1000000000001"
    )


@pytest.mark.parametrize("value", ["duplicate", None, True])
def test_the_expected_value_is_a_number(metrics, value):
    assert failure(metrics.assert_recorded, OPENINGS, value) == f"the expected value is {value!r}; allowed: a number"


# ---- reasons why something is not recorded


def test_an_undeclared_attribute_is_named_with_a_suggestion(metrics):
    assert failure(metrics.assert_recorded, OPENINGS, 1, rom="hall") == (
        "test.openings has no attribute 'rom' (declared: room, state, flag, few); did you mean 'room'?"
    )


def test_a_value_outside_a_closed_set_is_named(metrics):
    assert failure(metrics.assert_recorded, OPENINGS, 1, state="ajar") == (
        "test.openings: state cannot be 'ajar'; allowed: open, closed; others are recorded as '_OTHER'"
    )


def test_a_recorded_value_outside_a_closed_set_is_explained(metrics):
    OPENINGS.add(1, state="ajar")
    assert failure(metrics.assert_recorded, OPENINGS, 1, state="open") == lines("""
        test.openings: expected 1 with state='open', nothing is recorded
        nearest:
          1 with state='_OTHER': state differs
        state='_OTHER' stands for any value but open, closed
        problems of recording it:
          1 undeclared_value 'test.state'
    """)


def test_a_value_beyond_the_budget_is_explained(metrics):
    OPENINGS.add(1, few="first")
    OPENINGS.add(1, few="second")
    assert failure(metrics.assert_recorded, OPENINGS, 1, few="second") == lines("""
        test.openings: expected 1 with few='second', nothing is recorded
        nearest:
          1 with few='first': few differs
          1 with few='_OTHER': few differs
        few='_OTHER' stands for values beyond its budget of 1
        problems of recording it:
          1 budget_exceeded 'test.few'
    """)


def test_an_attribute_that_was_recorded_but_is_not_declared_is_explained(metrics):
    OPENINGS.add(1, colour="red")
    assert failure(metrics.assert_recorded, OPENINGS, 1, room="hall") == lines("""
        test.openings: expected 1 with room='hall', nothing is recorded
        nearest:
          1: room differs
        problems of recording it:
          1 undeclared_attribute 'colour'
    """)


def test_a_metric_group_that_is_off_is_named_with_its_setting(metrics):
    SECRET.add(1)
    assert failure(metrics.assert_recorded, SECRET, 1) == (
        "test.secret: expected 1, but it cannot be recorded: "
        "its metric group entity is off; set entity_metrics=True, or OTEL_HA_ENTITY_METRICS=true"
    )


def test_an_instrument_that_the_catalog_lacks_is_named(metrics):
    UNKNOWN.add(1)
    assert failure(metrics.assert_recorded, UNKNOWN, 1) == (
        "test.unknown: expected 1, but it cannot be recorded: "
        "the catalog lacks it; give a catalog that has it to captured_metrics(), metrics_catalog or setup_telemetry()"
    )


def test_telemetry_that_is_off_is_named():
    with captured_metrics(CATALOG, enabled=False) as metrics:
        assert failure(metrics.assert_recorded, OPENINGS, 1) == (
            "test.openings: expected 1, but it cannot be recorded: "
            "telemetry is off; remove enabled=False or OTEL_SDK_DISABLED"
        )


def test_telemetry_that_the_code_sets_up_without_recording_is_named(metrics):
    setup_telemetry("code", config=TelemetryConfig(environ={"OTEL_SDK_DISABLED": "true"}))
    assert failure(metrics[OPENINGS].total) == (
        "test.openings cannot be recorded: telemetry is off; remove enabled=False or OTEL_SDK_DISABLED"
    )


def test_telemetry_that_is_off_is_named_for_a_name_too(metrics):
    setup_telemetry("code", config=TelemetryConfig(environ={"OTEL_SDK_DISABLED": "true"}))
    reason = "no metric of this name is recorded: telemetry is off; remove enabled=False or OTEL_SDK_DISABLED"
    assert failure(metrics["calls"].total) == f"calls: {reason}"
    assert failure(metrics.assert_recorded, "calls") == f"calls: expected 1, nothing is recorded\n{reason}"


def test_an_answer_names_telemetry_that_the_code_has_shut_down(metrics):
    setup_telemetry("code", catalog=CATALOG).shutdown()
    assert failure(metrics["calls"].total) == (
        "calls: no metric of this name is recorded; nothing at all is recorded: "
        "was the code under test called, and is the instrumentor of its library on?\n"
        "the code under test has shut telemetry down; nothing is recorded since"
    )


def test_telemetry_that_the_code_has_shut_down_is_named(metrics):
    setup_telemetry("code", catalog=CATALOG).shutdown()
    OPENINGS.add(1)
    assert failure(metrics.assert_recorded, OPENINGS, 1) == lines("""
        test.openings: expected 1, nothing is recorded
        nothing at all is recorded: was the code under test called, and is the instrumentor of its library on?
        the code under test has shut telemetry down; nothing is recorded since
    """)


def test_a_name_that_nobody_recorded_fails_with_a_suggestion(metrics):
    OPENINGS.add(1)
    assert failure(metrics.assert_recorded, "test.opening", 1) == lines("""
        test.opening: expected 1, nothing is recorded
        no metric of this name is recorded; did you mean 'test.openings'?
    """)


def test_anything_but_an_instrument_an_operation_or_a_name_fails(metrics):
    assert failure(metrics.assert_recorded, 5, 1) == (
        "metrics cannot answer for 5; allowed: an instrument, an Operation, or the name of a metric"
    )


# ---- assert_nothing_recorded


def test_nothing_recorded_is_asserted(metrics):
    OPENINGS.add(0, room="hall")
    OPENINGS.add(1, room="kitchen")
    metrics.assert_nothing_recorded(OPENINGS, room="hall")
    metrics.assert_nothing_recorded(HEAT)


def test_something_recorded_is_shown(metrics):
    open_windows()
    assert failure(metrics.assert_nothing_recorded, OPENINGS, room="hall") == lines("""
        test.openings: expected nothing with room='hall', found 3
        recorded:
          2 with room='hall', state='open'
          1 with room='hall', state='closed'
        nearest:
          1 with room='kitchen', state='open': room differs
    """)


def test_several_values_of_a_gauge_are_shown_without_an_advice_to_add_them_up(metrics):
    HEAT.set(20, room="hall")
    HEAT.set(18, room="kitchen")
    assert failure(metrics.assert_nothing_recorded, HEAT) == lines("""
        test.heat: expected nothing, found 2 series
        recorded:
          20 with room='hall'
          18 with room='kitchen'
    """)


def test_a_gauge_of_0_is_something(metrics):
    HEAT.set(0)
    assert failure(metrics.assert_nothing_recorded, HEAT) == "test.heat: expected nothing, found 0"


@pytest.mark.parametrize(
    ("instrument", "reason"),
    [
        (
            UNKNOWN,
            (
                "the catalog lacks it; give a catalog that has it to captured_metrics(), metrics_catalog or "
                "setup_telemetry()"
            ),
        ),
        (SECRET, "its metric group entity is off; set entity_metrics=True, or OTEL_HA_ENTITY_METRICS=true"),
    ],
)
def test_nothing_is_not_asserted_of_what_cannot_be_recorded(metrics, instrument, reason):
    assert failure(metrics.assert_nothing_recorded, instrument) == (
        f"{instrument.name}: expected nothing, but it cannot be recorded: {reason}"
    )


def test_nothing_is_recorded_by_a_name_that_nobody_used(metrics):
    metrics.assert_nothing_recorded("http.server.request.duration")


# ---- assert_accounts


def test_accounts_that_add_up_pass_with_work_in_flight(metrics):
    ingest.EVENT.receive(source="mqtt")
    ingest.EVENT.record(0.1, source="mqtt")
    ingest.EVENT.discard("filtered", source="websocket")
    metrics.assert_accounts(ingest.EVENT)


def test_accounts_that_do_not_add_up_are_listed_by_source(metrics):
    ingest.EVENT.record(0.1, source="mqtt", domain="light")
    ingest.RECEIVED.add(2, source="mqtt")
    ingest.DISCARDED.add(1, source="websocket", reason="filtered", colour="red")
    assert failure(metrics.assert_accounts, ingest.EVENT) == lines("""
        the accounts of homeassistant.event.process.duration differ from received = processed + discarded + in flight:
          source='mqtt': received 3, processed 1, discarded 0, in flight 0: 2 lost
          source='websocket': received 0, processed 0, discarded 1, in flight 0: 1 too many
        problems of recording:
          1 undeclared_attribute 'colour' of homeassistant.event.discarded
    """)


def test_less_than_nothing_in_flight_is_wrong(metrics):
    PRINTING.received.add(1)
    PRINTING.in_flight.add(-1, state="active")
    PRINTING.duration.record(2)
    PRINTING.duration.record(3)
    assert failure(metrics.assert_accounts, PRINTING) == lines("""
        the accounts of test.print.duration differ from received = processed + discarded + in flight:
          received 1, processed 2, in flight -1: less than nothing is in flight
    """)


def test_accounts_need_received_work(metrics):
    assert failure(metrics.assert_accounts, UNACCOUNTED) == (
        "the operation of test.work.duration has no received=, so nothing says how much work there should be"
    )


def test_accounts_need_every_part():
    with captured_metrics(business_metrics=False, performance_metrics=False) as metrics:
        assert failure(metrics.assert_accounts, ingest.EVENT) == (
            "homeassistant.event.received counts the received work and cannot be recorded: "
            "its metric group business is off; set business_metrics=True, or OTEL_HA_BUSINESS_METRICS=true"
        )


def test_only_an_operation_has_accounts(metrics):
    assert failure(metrics.assert_accounts, 5) == "5 has no accounts; allowed: an Operation, such as ingest.EVENT"


# ---- assert_no_problems


def test_no_problems_are_asserted(metrics):
    open_windows()
    metrics.assert_no_problems()


def test_each_problem_is_listed_with_its_number(metrics):
    for _ in range(2):
        OPENINGS.add(1, colour="red")
    WIDTH.record(float("nan"))
    assert failure(metrics.assert_no_problems) == lines("""
        recording met 2 problems; a warning of the logger otel_ha explains each:
          1 invalid_amount of test.width
          2 undeclared_attribute 'colour' of test.openings
    """)


def test_problems_have_to_be_counted():
    with captured_metrics(operations_metrics=False) as metrics:
        assert failure(metrics.assert_no_problems) == (
            "problems of recording are not counted: its metric group operations is off; "
            "set operations_metrics=True, or OTEL_HA_OPERATIONS_METRICS=true"
        )
