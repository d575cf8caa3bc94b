"""The units and round values of axes, and clock times."""

import time
from datetime import UTC, timedelta, timezone

import pytest

from otel_ha.serve.page.clock import time_ticks, times_of_day, zone_at, zone_name
from otel_ha.serve.page.scales import BYTES_PER_SECOND, MILLISECONDS, PER_SECOND, PERCENT, SHARE, axis

NOON = 1_795_608_000.0  # 2026-11-25 12:00:00 UTC


def texts(values, unit):
    return [text for _, text in axis(values, unit).ticks]


@pytest.mark.parametrize(
    ("values", "unit", "expected"),
    [
        ([0.0, 18.0], PER_SECOND, ["0", "5/s", "10/s", "15/s", "20/s"]),
        ([1500.0], PER_SECOND, ["0", "0.5k/s", "1k/s", "1.5k/s"]),
        ([0.3], PER_SECOND, ["0", "0.1/s", "0.2/s", "0.3/s"]),
        ([3.0], PERCENT, ["0", "50 %", "100 %"]),
        ([180.0], PERCENT, ["0", "50 %", "100 %", "150 %", "200 %"]),
        ([0.3], SHARE, ["0", "50 %", "100 %"]),
        ([0.08], MILLISECONDS, ["0", "20 µs", "40 µs", "60 µs", "80 µs"]),
        ([8.0], MILLISECONDS, ["0", "2 ms", "4 ms", "6 ms", "8 ms"]),
        ([2000.0], MILLISECONDS, ["0", "0.5 s", "1 s", "1.5 s", "2 s"]),
        ([2 * 60_000.0], MILLISECONDS, ["0", "0.5 min", "1 min", "1.5 min", "2 min"]),
        ([4 * 3_600_000.0], MILLISECONDS, ["0", "1 h", "2 h", "3 h", "4 h"]),
        ([2048.0], BYTES_PER_SECOND, ["0", "0.5 KiB/s", "1 KiB/s", "1.5 KiB/s", "2 KiB/s"]),
        ([3.0 * 2**20], BYTES_PER_SECOND, ["0", "1 MiB/s", "2 MiB/s", "3 MiB/s"]),
        ([0.0], PER_SECOND, ["0", "0.5/s", "1/s"]),
        ([-5.0, 14.0], PER_SECOND, ["-5/s", "0", "5/s", "10/s", "15/s"]),
    ],
)
def test_an_axis_has_round_values_in_a_suitable_unit(values, unit, expected):
    assert texts(values, unit) == expected


def test_an_axis_of_tiny_or_huge_values_is_finite():
    for value in (5e-324, 1e-9, 1e12, 1.7e308, -1.7e308):
        found = axis([value], PER_SECOND)
        assert found.low < found.high < float("inf")
        assert 0 <= found.share(value) <= 1


def ticks(low, high, zone=UTC):
    return [text for _, text in time_ticks(low, high, zone)]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (8, ["12:00:00", "12:00:02", "12:00:04", "12:00:06", "12:00:08"]),
        (300, ["12:00", "12:02", "12:04"]),
        (3000, ["12:00", "12:15", "12:30", "12:45"]),
        (86_400, ["12:00", "18:00", "26 Nov", "06:00", "12:00"]),
        (20 * 86_400, ["28 Nov", "3 Dec", "8 Dec", "13 Dec"]),
        (3650 * 86_400, ["Jul 2027", "Mar 2030", "Dec 2032", "Sep 2035"]),
    ],
)
def test_a_time_axis_has_round_clock_times(seconds, expected):
    assert ticks(NOON, NOON + seconds) == expected


def test_clock_times_are_round_in_the_zone_of_the_service():
    assert ticks(NOON, NOON + 3600 * 8, timezone(timedelta(hours=5, minutes=45))) == [
        "18:00",
        "20:00",
        "22:00",
        "26 Nov",
    ]


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        (timedelta(), "UTC"),
        (timedelta(hours=1), "UTC+1"),
        (timedelta(hours=-3, minutes=-30), "UTC-3:30"),
        (timedelta(hours=5, minutes=45), "UTC+5:45"),
    ],
)
def test_a_zone_is_named_by_its_offset(offset, expected):
    assert zone_name(timezone(offset)) == expected


def test_the_zone_is_that_of_the_service(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert zone_name(zone_at(NOON)) == "UTC+1"
        assert zone_name(zone_at(NOON - 180 * 86_400)) == "UTC+2"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_times_of_several_days_have_their_date():
    assert times_of_day([NOON, NOON + 5], UTC) == ["12:00:00", "12:00:05"]
    assert times_of_day([NOON, NOON + 86_400], UTC) == ["25 Nov 12:00:00", "26 Nov 12:00:00"]


def test_a_time_that_no_calendar_has_is_a_number():
    assert times_of_day([1e18], UTC) == ["1e+18"]
    assert zone_at(1e18) == UTC
