"""metrics[…] answers for instruments, operations and names, and refuses questions that it cannot answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum

import pytest
from opentelemetry import metrics as api
from opentelemetry.sdk.metrics.view import (
    DropAggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    View,
)

import otel_ha.export.pipeline
from otel_ha import setup_telemetry
from otel_ha.testing import CapturedMetrics, Series, captured_metrics
from otel_ha.vocabulary import ingest
from tests.unit.testing.kit import CATALOG, HEAT, OPENINGS, PEOPLE, ROOM, SECRET, UNKNOWN, WIDTH, WORK, failure


@pytest.fixture(params=["by the journal", "through the API"])
def metrics(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[CapturedMetrics]:
    if request.param == "through the API":
        monkeypatch.setattr(otel_ha.export.pipeline, "is_supported", lambda: False)
    with captured_metrics(CATALOG | ingest.CATALOG) as captured:
        yield captured


def record() -> None:
    OPENINGS.add(2, room="hall", state="open")
    OPENINGS.add(1, room="kitchen")
    PEOPLE.add(3, room="hall")
    HEAT.set(21.5, room="hall")
    for width in (0.5, 2.0, 3.0):
        WIDTH.record(width, room="hall")


# ---- the answers


def test_a_total_is_the_sum_of_the_values(metrics):
    record()
    assert metrics[OPENINGS].total() == 3
    assert metrics[OPENINGS].total(room="hall", state="open") == 2
    assert metrics[PEOPLE].total() == 3
    assert metrics[HEAT].total() == 21.5


def test_the_total_of_a_histogram_is_the_sum_of_its_values(metrics):
    record()
    assert metrics[WIDTH].total() == 5.5


def test_a_count_is_the_number_of_values_of_a_histogram(metrics):
    record()
    assert metrics[WIDTH].count() == 3
    assert metrics[WIDTH].count(room="kitchen") == 0


def test_everything_is_0_before_the_first_measurement(metrics):
    assert metrics[OPENINGS].total() == metrics[WIDTH].count() == metrics[HEAT].total() == 0
    assert metrics[OPENINGS].series() == []


def test_an_operation_is_its_duration(metrics):
    ingest.EVENT.record(0.25, source="mqtt")
    assert metrics[ingest.EVENT].count(outcome="ok") == metrics[ingest.EVENT_DURATION].count() == 1


def test_series_have_attributes_by_keyword_and_values(metrics):
    record()
    assert metrics[OPENINGS].series() == [
        Series({"room": "hall", "state": "open"}, 2, 2),
        Series({"room": "kitchen"}, 1, 1),
    ]
    assert metrics[WIDTH].series(room="hall") == [Series({"room": "hall"}, 3, 5.5)]


def test_attributes_may_have_their_full_names(metrics):
    record()
    assert metrics[OPENINGS].total(**{"test.room": "hall"}) == 2


class Room(StrEnum):
    HALL = "hall"


@pytest.mark.parametrize(
    ("given", "plain"), [(Room.HALL, "hall"), (Decimal("1.5"), 1.5), (float("nan"), "_OTHER"), (2**63, "_OTHER")]
)
def test_a_value_is_asked_for_as_it_was_given_or_as_it_is_recorded(metrics, given, plain):
    OPENINGS.add(1, flag=given)
    assert metrics[OPENINGS].total(flag=given) == metrics[OPENINGS].total(flag=plain) == 1


def test_an_answer_is_of_now(metrics):
    openings = metrics[OPENINGS]
    for number in range(1, 4):
        OPENINGS.add(1)
        assert openings.total() == number


def test_observed_values_are_read(metrics):
    seen = ingest.QUEUE_SIZE.observe(lambda: 7, queue="ingest")
    assert metrics[ingest.QUEUE_SIZE].total(queue="ingest") == 7
    seen.stop()
    assert metrics[ingest.QUEUE_SIZE].total(queue="ingest") == 0


# ---- increases


def test_an_increase_is_since_the_beginning_or_the_mark(metrics):
    record()
    assert metrics[OPENINGS].increase() == metrics[WIDTH].increase() == 3
    metrics.mark()
    assert metrics[OPENINGS].increase() == metrics[WIDTH].increase() == 0
    OPENINGS.add(4, room="hall", state="open")
    WIDTH.record(1, room="bath")
    PEOPLE.add(-2, room="hall")
    assert metrics[OPENINGS].increase(room="hall") == 4
    assert metrics[WIDTH].increase() == 1
    assert metrics[PEOPLE].increase() == -2


def test_a_gauge_has_no_increase(metrics):
    HEAT.set(20)
    assert failure(metrics[HEAT].increase) == "test.heat is a gauge and has no increase; ask for total()"


# ---- quantiles


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99, 1.0])
def test_a_quantile_is_within_three_percent(share):
    with captured_metrics(CATALOG) as metrics:
        values = [1.001**number for number in range(5000)]
        for value in values:
            WORK.record(value, room="hall")
        exact = values[max(round(share * len(values)) - 1, 0)]
        assert metrics[WORK].quantile(share) == pytest.approx(exact, rel=0.03)


def test_a_quantile_without_fine_buckets_is_interpolated():
    with captured_metrics(CATALOG, history_length=0) as metrics:
        for value in (0.5, 2.0, 5.0, 5.0, 9.0):
            WIDTH.record(value)
        assert metrics[WIDTH].quantile(0.5) == pytest.approx(1 + 9 * 2 / 4)


def test_a_quantile_is_never_outside_the_values(metrics):
    for value in (4.0, 5.0, 500.0):
        WIDTH.record(value)
    assert metrics[WIDTH].quantile(0) >= 4
    assert 10 <= metrics[WIDTH].quantile(1) <= 500


def test_a_quantile_is_of_the_chosen_series(metrics):
    WIDTH.record(2, room="hall")
    WIDTH.record(7, room="kitchen")
    assert metrics[WIDTH].quantile(0.5, room="hall") == 2
    assert metrics[WIDTH].quantile(0.5, room="kitchen") == 7


def test_a_quantile_of_nothing_fails(metrics):
    WIDTH.record(1, room="hall")
    assert failure(metrics[WIDTH].quantile, 0.5, room="bath") == (
        "test.width has no values with room='bath', so it has no quantile"
    )


@pytest.mark.parametrize("share", [95, -1, float("nan"), "0.95"])
def test_the_share_of_a_quantile_is_between_0_and_1(metrics, share):
    WIDTH.record(1)
    assert failure(metrics[WIDTH].quantile, share) == (
        f"share is {share!r}; allowed: a number from 0 to 1, such as 0.95"
    )


def test_a_histogram_without_buckets_has_no_quantile():
    with captured_metrics(performance_metrics=False) as metrics:
        ingest.EVENT.record(0.1, source="mqtt")
        assert metrics[ingest.EVENT].count() == 1
        assert failure(metrics[ingest.EVENT].quantile, 0.5) == (
            "homeassistant.event.process.duration has no buckets, so it has no quantile: its metric group performance "
            "is off; set performance_metrics=True, or OTEL_HA_PERFORMANCE_METRICS=true"
        )


def test_old_values_count_in_a_quantile_although_the_history_has_dropped_them():
    with captured_metrics(CATALOG, history_length=2) as metrics:
        for value in (2.0, 2.0, 2.0, 20.0):
            WIDTH.record(value)
            metrics.telemetry.history.connect(metrics.telemetry.pipeline.history.collect_and_store)
            metrics.telemetry.history.collect()
        assert metrics[WIDTH].quantile(0.5) < 10


# ---- Views


def test_a_view_may_change_the_buckets():
    view = View(instrument_name=WIDTH.name, aggregation=ExplicitBucketHistogramAggregation((100.0, 200.0)))
    with captured_metrics(CATALOG) as metrics, setup_telemetry("code", catalog=CATALOG, views=[view]):
        for value in (110.0, 120.0, 190.0):
            WIDTH.record(value)
        assert metrics[WIDTH].count() == 3
        assert 110 <= metrics[WIDTH].quantile(0.5) <= 190


def test_a_view_may_make_exponential_buckets():
    view = View(instrument_name=WIDTH.name, aggregation=ExponentialBucketHistogramAggregation())
    with captured_metrics(CATALOG) as metrics, setup_telemetry("code", catalog=CATALOG, views=[view]):
        for value in (0.0, 1.0, 7.0, 500.0, 1e9):
            WIDTH.record(value)
        assert metrics[WIDTH].count() == 5
        assert [metrics[WIDTH].quantile(share) for share in (0.2, 0.4, 0.6, 0.8, 1.0)] == pytest.approx(
            [0, 1, 7, 500, 1e9], rel=0.2
        )


def test_a_view_that_drops_an_instrument_is_named_in_a_failure():
    view = View(instrument_name=OPENINGS.name, aggregation=DropAggregation())
    with captured_metrics(CATALOG) as metrics, setup_telemetry("code", catalog=CATALOG, views=[view]):
        OPENINGS.add(1)
        assert failure(metrics.assert_recorded, OPENINGS, 1) == (
            "test.openings: expected 1, nothing is recorded\n"
            "nothing at all is recorded: was the code under test called, and is the instrumentor of its library on?\n"
            "one of the views= of the telemetry matches it, which may drop or rename it, or its attributes"
        )


# ---- metrics of the plain OpenTelemetry API


def test_a_name_answers_for_the_plain_api(metrics):
    histogram = api.get_meter("library").create_histogram("http.server.request.duration", unit="s")
    histogram.record(0.2, {"http.request.method": "GET", "codes": [200, 204]})
    histogram.record(0.4, {"http.request.method": "POST"})
    recorded = metrics["http.server.request.duration"]
    assert recorded.count() == 2
    assert recorded.count(**{"http.request.method": "GET"}) == recorded.count(codes=[200, 204]) == 1
    assert recorded.quantile(1.0, **{"http.request.method": "GET"}) == 0.2
    assert recorded.series(**{"http.request.method": "POST"}) == [Series({"http.request.method": "POST"}, 1, 0.4)]


def test_a_name_is_found_in_upper_and_lower_case(metrics):
    api.get_meter("library").create_counter("ClientCalls").add(3)
    assert metrics["ClientCalls"].total() == metrics["clientcalls"].total() == 3


def test_a_name_answers_for_every_meter(metrics):
    for library in ("one", "other"):
        api.get_meter(library).create_counter("calls").add(2)
        api.get_meter(library).create_gauge("level").set(2)
        api.get_meter(library).create_up_down_counter("pending").add(2)
    assert metrics["calls"].total() == metrics["pending"].total() == 4
    assert metrics["level"].total() == 2


def test_the_name_of_a_declared_metric_has_its_keywords(metrics):
    record()
    assert metrics["test.width"].quantile(0.5) == metrics[WIDTH].quantile(0.5)
    assert metrics["test.openings"].total(room="hall") == 2
    assert failure(metrics["test.openings"].total, rooms="hall") == (
        "test.openings has no attribute 'rooms' (declared: room, state, flag, few); did you mean 'room'?"
    )


def test_a_name_has_the_attributes_of_every_library_that_records_it(metrics):
    api.get_meter("library").create_counter(OPENINGS.name).add(5, {"test.room": "hall", "shape": "round"})
    OPENINGS.add(2, room="hall")
    assert metrics[OPENINGS.name].total(room="hall") == 7
    assert metrics[OPENINGS.name].total(shape="round") == 5


def test_a_declaration_answers_only_for_what_it_recorded(metrics):
    api.get_meter("library").create_counter(OPENINGS.name).add(5)
    OPENINGS.add(1)
    assert metrics[OPENINGS].total() == 1
    assert metrics[OPENINGS.name].total() == 6


def test_a_metric_of_the_plain_api_is_asserted_by_name(metrics):
    api.get_meter("library").create_counter("calls").add(2, {"peer": "a"})
    metrics.assert_recorded("calls", 2, peer="a")
    assert failure(metrics.assert_recorded, "calls", 2, peer="b") == (
        "calls: expected 2 with peer='b', nothing is recorded\nnearest:\n  2 with peer='a': peer differs"
    )


# ---- questions without an answer


def test_a_name_that_nobody_recorded_is_not_a_silent_0(metrics):
    OPENINGS.add(1)
    found = failure(metrics["calls"].total)  # other tests' modules may have observed metrics
    assert re.fullmatch(
        r"calls: no metric of this name is recorded; recorded metrics: ([\w.]+, )*test\.openings", found
    )
    assert failure(metrics["test.opening"].count) == (
        "test.opening: no metric of this name is recorded; did you mean 'test.openings'?"
    )


def test_an_instrument_that_cannot_be_recorded_is_not_a_silent_0(metrics):
    assert failure(metrics[SECRET].total) == (
        "test.secret cannot be recorded: its metric group entity is off; "
        "set entity_metrics=True, or OTEL_HA_ENTITY_METRICS=true"
    )
    assert failure(metrics[UNKNOWN].series) == (
        "test.unknown cannot be recorded: the catalog lacks it; "
        "give a catalog that has it to captured_metrics(), metrics_catalog or setup_telemetry()"
    )


@pytest.mark.parametrize("question", ["total", "series", "increase"])
def test_an_undeclared_attribute_is_not_a_silent_0(metrics, question):
    assert failure(getattr(metrics[OPENINGS], question), source="mqtt") == (
        "test.openings has no attribute 'source' (declared: room, state, flag, few)"
    )


def test_a_value_that_cannot_be_recorded_is_not_a_silent_0(metrics):
    assert failure(metrics[OPENINGS].total, state="ajar") == (
        "test.openings: state cannot be 'ajar'; allowed: open, closed; others are recorded as '_OTHER'"
    )
    OPENINGS.add(1, state="ajar")
    assert metrics[OPENINGS].total(state="_OTHER") == 1


def test_only_a_histogram_has_a_count_and_quantiles(metrics):
    OPENINGS.add(1)
    assert failure(metrics[OPENINGS].count) == "test.openings is a counter and has no count(); ask for total()"
    assert failure(metrics[PEOPLE].quantile, 0.5) == (
        "test.people is an up-down counter and has no quantile(); ask for total()"
    )


def test_several_values_of_a_gauge_have_no_total(metrics):
    HEAT.set(20, room="hall")
    HEAT.set(21, room="kitchen")
    assert metrics[HEAT].total(room="hall") == 20
    assert failure(metrics[HEAT].total) == (
        "test.heat is a gauge, whose values cannot be added up, and has 2 series; name more attributes:\n"
        "  21 with room='kitchen'\n"
        "  20 with room='hall'"
    )


def test_an_attribute_is_not_a_metric(metrics):
    assert failure(metrics.__getitem__, ROOM) == (
        "metrics cannot answer for Attribute(name='test.room', description='The room.', keyword='room', values=(), "
        "budget=None); allowed: an instrument, an Operation, or the name of a metric"
    )


def test_another_instrument_of_the_same_name_is_named():
    other = type(OPENINGS)(OPENINGS.name, unit="1", description="Another one.")
    with captured_metrics(CATALOG) as metrics:
        assert failure(metrics[other].total) == (
            "test.openings cannot be recorded: it is another one than the instrument of this name in the catalog; "
            "give a catalog that has it to captured_metrics(), metrics_catalog or setup_telemetry()"
        )


def test_a_recorded_shows_its_name(metrics):
    assert repr(metrics[OPENINGS]) == "<Recorded 'test.openings'>"
