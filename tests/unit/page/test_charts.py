"""Charts: from the history of a summary to lines, and from lines to a drawing."""

import re
import time
from itertools import pairwise

import pytest

from otel_ha.serve.page import chart as chart_module
from otel_ha.serve.page.chart import MOST_POINTS
from otel_ha.serve.page.charts import RANGES, Chart, Line, charts_of, draw
from otel_ha.serve.page.html import text_of
from otel_ha.serve.page.scales import PER_SECOND

NOON = 1_795_608_000.0


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def rows(count, interval=30.0, **figures):
    return [{"timestamp": NOON - interval * (count - 1 - index), **figures} for index in range(count)]


def summary(count=100, interval=30.0, work=None, system=None):
    performance = rows(
        count,
        interval,
        **{
            "event_processing_rate": 12.5,
            "rates_by_outcome": {"ok": 12.0, "error": 0.5},
            "p50_processing_time": 2.0,
            "p95_processing_time": 8.0,
            "p99_processing_time": 20.0,
            "p95_lag": 150.0,
            "queue_use": 0.25,
            "bytes_received_per_second": 2048.0,
            "bytes_sent_per_second": 512.0,
        }
        | (work or {}),
    )
    host = rows(
        count,
        interval,
        **{
            "cpu_percent": 20.0,
            "memory_percent": 60.0,
            "memory_used_mb": 600.0,
            "memory_available_mb": 400.0,
            "process_cpu_percent": 5.0,
            "process_memory_mb": 50.0,
        }
        | (system or {}),
    )
    return {"history": {"length": 100, "interval": interval, "performance": performance, "system": host}}


def newest(charts):
    return {chart.key: {line.name: line.values[-1] for line in chart.lines} for chart in charts}


def simple(values, times=None, key="one", title="One"):
    times = [NOON + 5 * index for index in range(len(values))] if times is None else times
    return draw(Chart(key, title, PER_SECOND, times, [Line("ok", values)]))


def texts(figure):
    return [title.text for title in figure.iterfind(".//g/title")]


def line_of(figure):
    [line] = [path for path in figure.iterfind("svg/path") if path.get("class") == "chart-line chart-1"]
    return line.get("d")


def test_there_are_six_charts_of_the_figures_of_the_history():
    assert newest(charts_of(summary(), "50min")) == {
        "rate": {"ok": 12.0, "error": 0.5, "cancelled": 0.0},
        "duration": {"P50": 2.0, "P95": 8.0, "P99": 20.0},
        "lag": {"P95": 150.0},
        "queue": {"of capacity": 0.25},
        "use": {"host CPU": 20.0, "host memory": 60.0, "process CPU (of one)": 5.0, "process memory": 5.0},
        "bytes": {"received": 2048.0, "sent": 512.0},
    }


@pytest.mark.parametrize(("chosen", "points"), [("5min", 11), ("50min", 101), ("all", 200)])
def test_a_range_selects_the_newest_collections(chosen, points):
    for chart in charts_of(summary(200), chosen):
        assert draw(chart).get("data-points") == str(points)


def test_a_range_is_right_although_the_clock_was_set_back():
    history = summary(100)
    for part in ("performance", "system"):
        for row in history["history"][part][:-3]:
            row["timestamp"] += 7200
    assert {len(chart.times) for chart in charts_of(history, "5min")} == {11}


@pytest.mark.parametrize("chosen", RANGES)
@pytest.mark.parametrize("history", [None, {"interval": 30.0, "performance": [], "system": []}])
def test_without_a_collection_each_chart_says_so(history, chosen):
    for chart in charts_of({"history": history}, chosen):
        assert "No collection yet." in text_of(draw(chart))


def test_figures_that_are_not_measured_are_named_as_such():
    off = dict.fromkeys(["rates_by_outcome", "p95_lag", "queue_use"])
    drawn = {chart.key: text_of(draw(chart)) for chart in charts_of(summary(work=off), "all")}
    assert [key for key, text in drawn.items() if "Not measured." in text] == ["rate", "lag", "queue"]


def test_a_summary_of_an_earlier_schema_has_gaps_instead_of_missing_figures():
    bare = rows(3)
    charts = charts_of({"history": {"interval": 30.0, "performance": bare, "system": bare}}, "all")
    assert all("Not measured." in text_of(draw(chart)) for chart in charts)


def test_percentiles_of_an_interval_without_events_are_gaps():
    quiet = {"event_processing_rate": 0.0, "p95_processing_time": 0.0}
    assert newest(charts_of(summary(work=quiet), "all"))["duration"] == {"P50": None, "P95": None, "P99": None}


def test_an_outcome_of_ones_own_follows_the_usual_ones():
    [rate, *_] = charts_of(summary(work={"rates_by_outcome": {"late": 2.0, "ok": 1.0}}), "all")
    assert [line.name for line in rate.lines] == ["ok", "error", "cancelled", "late"]
    assert [line.path for line in rate.lines] == [
        "history.performance.-1.rates_by_outcome.ok",
        None,
        None,
        "history.performance.-1.rates_by_outcome.late",
    ]


def test_each_time_has_its_values_in_words():
    figure = draw(
        Chart("one", "One", PER_SECOND, [NOON, NOON + 5], [Line("ok", [12.3, 13.0]), Line("error", [0.0, None])])
    )
    assert texts(figure) == ["12:00:00 · ok 12.3/s · error 0/s", "12:00:05 · ok 13/s · error -"]


def test_the_area_of_each_time_is_around_its_point_and_next_to_the_others():
    groups = list(simple([1.0, 2.0, 3.0, 4.0]).iterfind("svg/g/g"))
    places = [float(re.match(r"M([\d.]+) ", group.find("path").get("d"))[1]) for group in groups]
    areas = [(float(rect.get("x")), float(rect.get("width"))) for group in groups for rect in group.iterfind("rect")]
    assert all(left <= place <= left + width for place, (left, width) in zip(places, areas, strict=True))
    assert all(left + width == pytest.approx(following) for (left, width), (following, _) in pairwise(areas))
    assert all(width > 0 for _, width in areas)


def test_one_line_alone_is_shaded():
    several = draw(Chart("one", "One", PER_SECOND, [NOON, NOON + 1], [Line(name, [1.0, 2.0]) for name in "ab"]))
    assert "chart-shade" in text_of(simple([1.0, 2.0]))
    assert "chart-shade" not in text_of(several)


def test_durations_and_shares_are_in_words():
    charts = {chart.key: texts(draw(chart))[-1] for chart in charts_of(summary(), "5min")}
    assert charts["duration"] == "12:00:00 · P50 2 ms · P95 8 ms · P99 20 ms"
    assert charts["queue"] == "12:00:00 · of capacity 25 %"
    assert charts["bytes"] == "12:00:00 · received 2 KiB/s · sent 512 B/s"
    assert charts["use"].startswith("12:00:00 · host CPU 20 % · host memory 60 %")


def test_the_description_has_the_newest_values():
    [description] = simple([1.0, 2.5]).iter("desc")
    assert description.text == "Newest values: 12:00:05 · ok 2.5/s (UTC). Points: 2."


def test_the_drawing_is_named_by_its_title_and_description():
    figure = simple([1.0], key="any")
    [svg] = figure.iterfind("svg")
    named = {each.get("id") for each in figure.iter() if each.tag in {"title", "desc"} and each.get("id")}
    assert svg.get("role") == "img"
    assert set(svg.get("aria-labelledby").split()) == named


def test_ids_differ_between_charts():
    ids = [each.get("id") for key in ("a", "b") for each in simple([1.0], key=key).iter() if each.get("id")]
    assert len(set(ids)) == len(ids) == 8


def test_unknown_values_are_gaps():
    figure = simple([1.0, 2.0, None, 3.0, 4.0, None, 5.0])
    assert line_of(figure).count("M") == 2
    [alone] = figure.iterfind("svg/circle")
    assert alone.get("class") == "chart-point chart-1"


def test_values_that_are_not_finite_are_gaps():
    assert texts(simple([float("nan"), float("inf"), 1.0])) == [
        "12:00:00 · ok -",
        "12:00:05 · ok -",
        "12:00:10 · ok 1/s",
    ]


def test_a_single_point_is_drawn():
    figure = simple([3.0])
    assert len(list(figure.iterfind("svg/circle"))) == 1
    assert texts(figure) == ["12:00:00 · ok 3/s"]


def test_times_that_jump_back_are_drawn_from_left_to_right_and_the_chart_says_so():
    figure = simple([1.0, 2.0, 3.0], [NOON + 3600, NOON + 3605, NOON])
    assert texts(figure) == ["11:59:50 · ok 1/s", "11:59:55 · ok 2/s", "12:00:00 · ok 3/s"]
    assert "The clock was set back" in text_of(figure)
    assert "The clock was set back" not in text_of(simple([1.0, 2.0]))


def test_a_long_history_is_condensed_and_says_how():
    values = [1.0] * 100_000
    values[70_001], values[30_000] = 99.0, 0.25
    figure = simple(values)
    assert figure.get("data-points") == str(-(-100_000 // 334))
    assert int(figure.get("data-points")) <= MOST_POINTS
    assert "Each point stands for 334 collections" in text_of(figure)
    assert sum("ok 1/s to 99/s" in text for text in texts(figure)) == 1
    assert sum("ok 0.25/s to 1/s" in text for text in texts(figure)) == 1


def test_a_chart_up_to_the_limit_has_every_point():
    figure = simple([1.0] * MOST_POINTS)
    assert figure.get("data-points") == str(MOST_POINTS)
    assert "Each point stands" not in text_of(figure)


def test_a_number_carries_a_value_only_if_the_summary_has_it():
    drawn = "".join(text_of(draw(chart)) for chart in charts_of(summary(), "50min"))
    paths = re.findall(r'data-key="([^"]+)"><data value="([^"]*)"', drawn)
    assert len(paths) == drawn.count("<data ") == 12
    assert ("history.performance.-1.p95_lag", "150.0") in paths
    assert ("history.system.-1.cpu_percent", "20.0") in paths


def test_a_drawing_needs_no_style_and_no_script():
    drawn = "".join(text_of(draw(chart)) for chart in charts_of(summary(), "50min"))
    assert not re.search(r"<(style|script)|\s(style|on\w+)=|url\((?!#)|https?:", drawn)


def test_six_charts_of_a_hundred_points_are_small():
    drawn = "".join(text_of(draw(chart)) for chart in charts_of(summary(), "all"))
    assert len(drawn.encode()) < 150_000


def test_long_names_are_cut_where_they_repeat_and_whole_in_the_legend():
    figure = draw(Chart("one", "One", PER_SECOND, [NOON], [Line("<b>" + "x" * 10_000, [1.0])]))
    [text] = texts(figure)
    assert len(text) < 70
    assert len(figure.find(".//bdi").text) == 10_003


def test_marks_of_direction_in_names_are_contained():
    assert chart_module.label("a\u202eb\u2069c") == "\u2068abc\u2069"
    assert chart_module.label("ok") == "ok"


def test_lines_beyond_the_styles_begin_again():
    figure = draw(Chart("one", "One", PER_SECOND, [NOON, NOON + 1], [Line(str(n), [1.0, 2.0]) for n in range(7)]))
    classes = [path.get("class") for path in figure.iterfind("svg/path") if "chart-line" in path.get("class")]
    assert classes == [f"chart-line chart-{n}" for n in (1, 2, 3, 4, 5, 6, 1)]


def test_values_for_other_times_are_refused():
    with pytest.raises(ValueError, match="zip"):
        draw(Chart("one", "One", PER_SECOND, [NOON], [Line("a", [1.0, 2.0])]))
