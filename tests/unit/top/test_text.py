"""Text from services cannot control the terminal, and takes exactly the room that it is given."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from otel_ha.cli.top.parts import line, sparkline
from otel_ha.cli.top.text import as_ascii, clean, fit, shorten, speaks_unicode
from tests.watched import HOSTILE


@given(st.text(), st.integers(0, 100), st.booleans())
def test_fitted_text_has_the_width(text, width, right):
    assert cell_len(fit(text, width, right=right)) == width


@given(st.text(), st.integers(0, 100))
def test_shortened_text_is_at_most_as_wide(text, width):
    assert cell_len(shorten(text, width)) <= width


@given(st.lists(st.tuples(st.text(), st.just("bold"))), st.text(), st.integers(1, 100))
def test_a_line_has_the_width(pieces, end, width):
    assert line(width, *pieces, end=end).cell_len == width


@given(st.text())
def test_clean_text_has_no_controls_and_no_marks_of_direction(text):
    assert not {unicodedata.category(each) for each in clean(text)} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(st.text())
def test_ascii_takes_as_many_cells(text):
    text = clean(text)
    assert as_ascii(text).isascii()
    assert sum(map(cell_len, as_ascii(text))) == sum(map(cell_len, text))


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_hostile_names_stay_recognizable_or_show_as_strange(name):
    assert clean(name) or name == ""
    assert "\x1b" not in clean(name)


def test_plain_names_of_any_language_stay_as_they_are():
    for name in ("ha-ingestor", "Wohnzimmer Türkontakt", "温度センサー", "מטבח"):
        assert clean(name) == name


def test_long_text_is_cut_with_an_ellipsis():
    assert fit("abcdef", 4) == "abc…"


def test_a_sparkline_rises_from_zero_to_the_largest_value_and_has_gaps():
    assert sparkline([0.0, None, 1.0, 4.0, 8.0], 8).plain == "   ▁ ▂▅█"


def test_a_sparkline_shows_the_newest_values():
    assert sparkline([8.0, 1.0, 1.0], 2).plain == "██"


def test_a_sparkline_of_nothing_is_empty():
    assert sparkline([], 4).plain == "    "
    assert sparkline([None, 0.0], 4).plain == "   ▁"


@pytest.mark.parametrize(
    ("encoding", "environ", "expected"),
    [
        ("utf-8", {"LANG": "de_DE.UTF-8"}, True),
        ("utf-8", {}, True),
        ("utf-8", {"LC_ALL": "C", "LANG": "de_DE.UTF-8"}, False),
        ("utf-8", {"LC_ALL": "C.UTF-8"}, True),
        ("utf-8", {"LC_CTYPE": "C.UTF-8", "LANG": "C"}, True),
        ("iso8859-1", {"LANG": "de_DE.ISO-8859-1"}, False),
        ("ascii", {"LANG": "de_DE.UTF-8"}, False),
        (None, {}, False),
    ],
)
def test_unicode_needs_both_the_encoding_and_the_locale(encoding, environ, expected):
    assert speaks_unicode(encoding, environ) is expected
