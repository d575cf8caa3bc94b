"""Laws of charts: for any values, a drawing stays within its plot and has a point for each of them."""

import math
import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from otel_ha.serve.page.chart import MOST_POINTS, Chart, Line, ascending, condensed, label
from otel_ha.serve.page.clock import time_ticks, zone_at
from otel_ha.serve.page.drawing import BOTTOM, HEIGHT, RIGHT, TOP, WIDTH, draw
from otel_ha.serve.page.html import text_of
from otel_ha.serve.page.scales import BYTES_PER_SECOND, INTERVALS, MILLISECONDS, PER_SECOND, PERCENT, SHARE, axis

UNITS = st.sampled_from([BYTES_PER_SECOND, MILLISECONDS, PER_SECOND, PERCENT, SHARE])
FINITE = st.floats(allow_nan=False, allow_infinity=False)
AMOUNTS = st.floats(min_value=0, max_value=1e15)
TIMES = st.floats(min_value=0, max_value=4e9)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def drawn(times, values, unit=PER_SECOND):
    return draw(Chart("any", "Any", unit, times, [Line("one", values)]))


def tags(written):
    """Return the tags of a document, as a browser would find them."""
    found = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: found.append((tag, [name for name, _ in attributes]))
    parser.feed(written)
    return found


@given(values=st.lists(st.none() | st.floats(), max_size=30), unit=UNITS, data=st.data())
def test_every_line_stays_within_the_plot(values, unit, data):
    times = data.draw(st.lists(TIMES, min_size=len(values), max_size=len(values)))
    figure = drawn(times, values, unit)
    for path in figure.iter("path"):
        if path.get("class", "").startswith("chart-line chart-1"):
            numbers = [float(number) for number in NUMBER.findall(path.get("d"))]
            assert all(0 <= x <= RIGHT for x in numbers[::2])
            assert all(TOP <= y <= BOTTOM for y in numbers[1::2])
    for rect in figure.iter("rect"):
        assert float(rect.get("x")) >= 0
        assert float(rect.get("x")) + float(rect.get("width")) <= RIGHT + 0.1


@given(values=st.lists(st.none() | FINITE, max_size=40))
def test_a_chart_has_a_point_for_each_time_and_a_place_for_each_known_value(values):
    figure = drawn([1.7e9 + 5 * index for index in range(len(values))], values)
    known = [value for value in values if value is not None]
    groups = figure.findall("svg/g[@class='chart-hits']/g")
    assert figure.get("data-points") == str(len(values))
    assert len(groups) == (len(values) if known else 0)
    places = [
        len(NUMBER.findall(path.get("d"))) // 2
        for path in figure.iter("path")
        if path.get("class") == "chart-line chart-1"
    ]
    assert sum(places) + len(list(figure.iterfind("svg/circle"))) == len(known)


@given(values=st.lists(FINITE, min_size=1), unit=UNITS)
def test_ticks_ascend_are_round_and_cover_the_values(values, unit):
    found = axis(values, unit)
    ticks = [value for value, _ in found.ticks]
    assert ticks == sorted(set(ticks))
    assert 2 <= len(ticks) <= INTERVALS + 3
    unseen = 1e-8 * (ticks[-1] - ticks[0])
    assert ticks[0] - unseen <= max(-1e300, min(values))
    assert ticks[-1] + unseen >= min(1e300, max(values))
    step = ticks[1] - ticks[0]
    sizes = [size for size, _ in unit.multiples]
    assert any(_is_round(step / size) for size in sizes)


def _is_round(number):
    mantissa = number / 10.0 ** math.floor(math.log10(number) + 1e-9)
    return any(math.isclose(mantissa, each, rel_tol=1e-6) for each in (1, 2, 5, 10))


@given(values=st.lists(AMOUNTS, min_size=1), unit=UNITS)
def test_no_two_ticks_have_the_same_text(values, unit):
    texts = [text for _, text in axis(values, unit).ticks]
    assert len(set(texts)) == len(texts)
    assert "" not in texts


@given(low=TIMES, span=st.floats(min_value=0.001, max_value=4e8))
def test_clock_ticks_ascend_within_the_range_and_do_not_repeat(low, span):
    ticks = time_ticks(low, low + span, zone_at(low))
    times = [time for time, _ in ticks]
    assert times == sorted(set(times))
    assert all(low - 1e-6 <= time <= low + span + 1e-6 for time in times)
    assert len(ticks) <= 5
    assert len({text for _, text in ticks}) == len(ticks)


@given(times=st.lists(TIMES))
def test_times_ascend_and_end_with_the_newest(times):
    found = ascending(times)
    assert found == sorted(found)
    assert len(found) == len(times)
    assert found[-1:] == times[-1:]


@given(values=st.lists(st.none() | FINITE, max_size=60), most=st.integers(min_value=1, max_value=20))
def test_condensing_keeps_the_extremes_and_the_newest_time(values, most):
    chart = condensed(Chart("any", "Any", PER_SECOND, list(range(len(values))), [Line("one", values)]), most)
    known = [value for value in values if value is not None]
    line = chart.lines[0]
    assert len(chart.times) == len(line.values) <= most
    assert list(chart.times[-1:]) == list(range(len(values)))[-1:]
    assert max((v for v in line.values if v is not None), default=None) == max(known, default=None)
    least = line.values if line.least is None else line.least
    assert min((v for v in least if v is not None), default=None) == min(known, default=None)


@given(text=st.text())
def test_names_cannot_add_elements_or_leave_their_direction(text):
    figure = draw(Chart("any", text, PER_SECOND, [0.0, 1.0], [Line(text, [1.0, 2.0])]))
    plain = draw(Chart("any", "x", PER_SECOND, [0.0, 1.0], [Line("x", [1.0, 2.0])]))
    assert tags(text_of(figure)) == tags(text_of(plain))
    assert len(label(text)) <= 42
    assert label(text).count("\u2068") == label(text).count("\u2069") <= 1


@given(count=st.integers(min_value=0, max_value=3 * MOST_POINTS))
def test_the_points_drawn_are_bounded(count):
    figure = drawn([float(index) for index in range(count)], [1.0] * count)
    points = int(figure.get("data-points"))
    assert points <= MOST_POINTS
    assert points == count or count > MOST_POINTS
    assert WIDTH > RIGHT
    assert HEIGHT > BOTTOM
