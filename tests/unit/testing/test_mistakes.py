"""A mistake in a question fails at once with its remedy, also in a condition; it never passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from otel_ha.errors import TelemetryError
from otel_ha.testing import CapturedMetrics, Clock, Recorded, captured_metrics
from tests.unit.testing.kit import CATALOG, HEAT, OPENINGS, PRINTING, UNACCOUNTED, UNKNOWN, WIDTH, failure

PLENTY = 60.0
"""Seconds that a mistake must not take; the tests would end after them."""


@pytest.fixture
def metrics() -> Iterator[CapturedMetrics]:
    with captured_metrics(CATALOG) as captured:
        yield captured


@pytest.mark.parametrize(
    "compared",
    [
        bool,
        lambda answers: answers == 1,
        lambda answers: answers != 5,
        lambda answers: answers > 1,
        lambda answers: answers >= 1,
        lambda answers: answers < 5,
        lambda answers: answers <= 1,
    ],
)
def test_answers_are_not_compared_themselves(metrics: CapturedMetrics, compared: Callable[[Recorded], object]) -> None:
    assert failure(compared, metrics[OPENINGS]) == (
        "metrics[…] of test.openings is not a number; ask .total(), .count() or assert_recorded()"
    )


MISTAKES = [
    lambda metrics: metrics[OPENINGS],
    lambda metrics: metrics[5],
    lambda metrics: metrics[OPENINGS].total(rooms="hall"),
    lambda metrics: metrics[OPENINGS].total(room=object()),
    lambda metrics: metrics[OPENINGS].total(state="ajar"),
    lambda metrics: metrics[OPENINGS].count(),
    lambda metrics: metrics[WIDTH].quantile(95),
    lambda metrics: metrics[HEAT].increase(),
    lambda metrics: metrics.assert_recorded(OPENINGS, "3"),
    lambda metrics: metrics.assert_recorded(WIDTH, 0.25),
    lambda metrics: metrics.assert_accounts(WIDTH),
    lambda metrics: metrics.assert_accounts(UNACCOUNTED),
]


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_mistake_in_a_condition_fails_at_once(metrics, mistake):
    calls = []

    def condition() -> object:
        calls.append(1)
        HEAT.set(1)
        return mistake(metrics)

    assert "waited" not in failure(metrics.wait_for, condition, within=PLENTY)
    with pytest.raises(AssertionError) as caught:
        await metrics.wait_for_async(condition, within=PLENTY)
    assert "waited" not in str(caught.value)
    assert len(calls) == 2


def test_a_condition_that_only_asserts_names_the_remedy(metrics):
    OPENINGS.add(1)
    assert failure(metrics.wait_for, lambda: metrics.assert_recorded(OPENINGS, 1), within=0) == (
        "the condition returned None; a function that only asserts ends with `return True`\nwaited 0 s"
    )


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (OverflowError, "room is a class; write its name: 'OverflowError'"),
        ([1], "room is [1]; allowed: a text, a number, True, False or None"),
        (OPENINGS, "room is Counter 'test.openings'; allowed: a text, a number, True, False or None"),
    ],
)
def test_the_value_of_an_attribute_has_an_allowed_type(metrics, given, text):
    assert failure(metrics[OPENINGS].total, room=given) == text


def test_a_class_is_refused_for_a_metric_of_the_plain_api_too(metrics):
    expected = "error.type is a class; write its name: 'OverflowError'"
    assert failure(metrics.assert_recorded, "calls", **{"error.type": OverflowError}) == expected


def test_a_number_by_keyword_names_the_second_argument(metrics):
    assert failure(metrics.assert_recorded, OPENINGS, value=1) == (
        "test.openings has no attribute 'value' (declared: room, state, flag, few); "
        "a number to expect is the second argument, without a keyword"
    )


def test_a_histogram_counts_its_values(metrics):
    WIDTH.record(3)
    remedy = "a histogram counts its values; ask .total() for their sum"
    expected = f"test.width cannot be recorded 0.25 times: {remedy}"
    assert failure(metrics.assert_recorded, WIDTH, 0.25) == expected
    assert failure(metrics.wait_for, WIDTH, 0.25) == expected
    assert failure(metrics.assert_recorded, WIDTH, 3).endswith(remedy)
    assert remedy not in failure(metrics.assert_recorded, WIDTH, 2)


@pytest.mark.parametrize("suffix", ["", "_bucket", "_sum", "_count"])
def test_a_prometheus_name_names_the_metric(metrics, suffix):
    assert failure(metrics.assert_recorded, "test_openings_total").endswith(
        "\nthis is the Prometheus name of test.openings"
    )
    expected = f"test_width_meters{suffix}: this is the Prometheus name of test.width"
    assert failure(metrics[f"test_width_meters{suffix}"].total) == expected


def test_a_declaration_is_shown_by_its_name(metrics):
    assert failure(metrics.assert_accounts, WIDTH).startswith("Histogram 'test.width' has no accounts; allowed: ")
    assert failure(metrics.assert_recorded, OPENINGS, PRINTING) == (
        "the expected value is Operation 'test.print.duration'; allowed: a number"
    )


def test_nothing_at_all_is_recorded(metrics):
    remedy = "nothing at all is recorded: was the code under test called, and is the instrumentor of its library on?"
    assert failure(metrics.assert_recorded, OPENINGS).split("\n")[1:] == [remedy]
    WIDTH.record(1)
    assert failure(metrics.assert_recorded, OPENINGS).split("\n")[1:] == ["recorded metrics: test.width"]


def test_an_instrument_that_the_catalog_lacks_is_found_by_asking_for_it_alone(metrics):
    UNKNOWN.add(1)
    metrics.assert_no_problems()
    assert "the catalog lacks it" in failure(metrics[UNKNOWN].total)
    assert "the catalog lacks it" in failure(metrics.assert_nothing_recorded, UNKNOWN)


async def test_after_the_capture_answers_remain_and_waiting_fails_at_once():
    with captured_metrics(CATALOG) as metrics:
        OPENINGS.add(1)
    metrics.assert_recorded(OPENINGS, 1)
    assert failure(metrics.assert_recorded, OPENINGS, 2).endswith("\nthe capture has ended; nothing is recorded since")
    assert failure(metrics["calls"].total).endswith("\nthe capture has ended; nothing is recorded since")
    for awaited in (OPENINGS, lambda: False):
        expected = "the capture has ended; nothing is recorded since; wait within its block, or ask without waiting"
        assert failure(metrics.wait_for, awaited, within=PLENTY) == expected
        with pytest.raises(AssertionError, match=r"^the capture has ended"):
            await metrics.wait_for_async(awaited, within=PLENTY)


@pytest.mark.parametrize(
    ("move", "text"),
    [
        (lambda: Clock().advance("5"), "the clock cannot move by '5'; allowed: a number of seconds, such as 60"),
        (lambda: Clock().advance(None), "the clock cannot move by None; allowed: a number of seconds, such as 60"),
        (
            lambda: Clock().set("5"),
            "the moment is '5'; allowed: a date with its time zone, or seconds since 1970",
        ),
        (
            lambda: Clock("5"),
            "the moment is '5'; allowed: a date with its time zone, or seconds since 1970",
        ),
    ],
)
def test_a_clock_takes_numbers(move, text):
    with pytest.raises(TelemetryError) as caught:
        move()
    assert str(caught.value) == text
