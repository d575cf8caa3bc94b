"""Figures in words are short, have units, and do not pretend to know what is unknown."""

import math

import pytest

from otel_ha.serve.summary import words


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (0.0042, "4.2 ms"),
        (59.9, "59.9 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (12_000, "3 h 20 min"),
        (-90, "-1 min 30 s"),
        (86_400, "1 d"),
    ],
)
def test_a_duration_has_two_units_at_the_most_and_no_empty_one(seconds, expected):
    assert words.duration(seconds) == expected


@pytest.mark.parametrize("shown", [words.count, words.duration, words.percent, words.rate, words.share, words.size])
@pytest.mark.parametrize("unknown", [None, math.nan])
def test_an_unknown_figure_is_a_dash(shown, unknown):
    assert shown(unknown) == "-"
