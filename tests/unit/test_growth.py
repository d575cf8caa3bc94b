"""The benchmarks of growth: what they compute, and the picture of it on the page about performance."""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks import children, growth_series, growth_services, growth_threads, holders
from benchmarks.panels import Line, Panel, short
from benchmarks.picture import EMPTY, picture
from benchmarks.surroundings import receiver, text
from benchmarks.tables import Table

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results.json"
PICTURE = ROOT / "docs" / "images" / "growth.svg"


def series_table() -> Table:
    table = Table("growth_series", "", "", growth_series.COLUMNS)
    for row, value in {
        "1,000 series": 20.0,
        "50,000 series": 25.0,
        f"{holders.SDK}, 1,000 series": 400.0,
        f"{holders.CLIENT}, 1,000 series": 300.0,
    }.items():
        table.put(row, growth_series.EACH, [value])
    table.put("50,000 series / 1,000 series, per series", growth_series.SCRAPE, [1.25])
    return table


def drawn(*tables: Table) -> ET.Element:
    return ET.fromstring(picture({"tables": [table.to_json() for table in tables]}))


def found(svg: ET.Element, tag: str, style: str = "") -> list[ET.Element]:
    every = svg.iter(f"{{http://www.w3.org/2000/svg}}{tag}")
    return [each for each in every if not style or style in each.get("class", "").split()]


def test_the_picture_on_disk_is_up_to_date():
    document = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert PICTURE.read_text(encoding="utf-8") == picture(document), "run `make docs`"


def test_running_the_module_prints_the_picture():
    command = [sys.executable, "-m", "benchmarks.picture"]
    with RESULTS.open(encoding="utf-8") as results:
        printed = subprocess.run(
            command, check=True, stdin=results, capture_output=True, text=True, cwd=ROOT, timeout=60
        )
    assert printed.stdout == PICTURE.read_text(encoding="utf-8")


def test_a_run_without_growth_has_a_picture_that_says_so():
    assert [text.text for text in found(drawn(), "text")] == [EMPTY]


def test_each_row_of_a_library_is_a_point_of_its_line_and_ratios_are_none():
    svg = drawn(series_table())
    counts = {style: len(found(svg, "circle", style)) for style in ("ours", "sdk", "client")}
    assert counts == {"ours": 2, "sdk": 1, "client": 1}


def test_a_picture_has_a_panel_for_each_table():
    threads = Table("growth_threads", "", "", ())
    for row, value in (("1 thread", 1e6), ("32 threads", 1.1e6)):
        threads.put(row, growth_threads.column("otel_ha", growth_threads.RATE), [value])
    services = Table("growth_services", "", "", ())
    services.put("1 service", growth_services.COLLECTOR, [0.5])
    services.put("8 services", growth_services.COLLECTOR, [3.5])
    svg = drawn(series_table(), threads, services)
    assert [text.text for text in found(svg, "text", "title")] == [
        "A scrape: time per series",
        "Full events recorded in all",
        "CPU with one Collector",
    ]
    assert {"1", "32", "8", "1k", "50k"} <= {text.text for text in found(svg, "text")}


def test_the_picture_follows_the_colours_of_the_page():
    assert "prefers-color-scheme: dark" in picture({"tables": [series_table().to_json()]})


def test_equal_ratios_of_numbers_have_equal_distances():
    panel = Panel("", "", "", [Line("", "ours", [(1, 1), (4, 1), (16, 1)])])
    first, second, third = map(panel.x, panel.numbers)
    assert second - first == pytest.approx(third - second)


def test_a_value_is_as_high_as_its_share_of_the_last_tick():
    panel = Panel("", "", "", [Line("", "ours", [(1, 30.0), (2, 37.0)])])
    assert panel.ticks == [0, 10, 20, 30, 40]
    assert panel.y(20.0) == pytest.approx((panel.y(0.0) + panel.y(40.0)) / 2)


def test_a_panel_of_a_single_point_can_be_drawn():
    panel = Panel("", "", "", [Line("", "ours", [(8, 0.0)])])
    assert panel.x(8) > 0
    assert panel.y(0.0) == panel.y(panel.ticks[0])


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (0.5, "0.5"), (1_000, "1k"), (50_000, "50k"), (1.5e6, "1.5M")])
def test_an_axis_spells_numbers_in_few_characters(value, text):
    assert short(value) == text


def test_the_ratio_of_a_scrape_is_taken_within_a_round():
    samples = {
        "1,000 series": {growth_series.EACH: [10.0, 20.0, 30.0, 40.0, 50.0, 90.0]},
        "50,000 series": {growth_series.EACH: [20.0, 20.0, 99.0, 60.0, 75.0, 80.0]},
    }
    table = growth_series.tabled(samples, 3, 1_000, 50_000)
    ratio = table.rows["50,000 series / 1,000 series, per series"][growth_series.SCRAPE]
    assert (ratio.median, ratio.count) == (pytest.approx((20 / 20 + 75 / 50) / 2), 2)


def test_the_age_of_an_event_is_the_time_until_it_is_first_seen():
    seen = [(10.0, {"one": 100.0}), (10.2, {"one": 100.0}), (10.4, {"one": 102.0, "two": 5.0}), (10.6, {"two": 6.0})]
    began = {"one": 10.0 - 100 / growth_services.RATE, "two": 10.5 - 5 / growth_services.RATE}
    step = 1 / growth_services.RATE
    assert growth_services.ages_of(seen, began) == pytest.approx([0.4, 0.4 - step, 0.1])


def test_threads_count_the_events_that_a_library_loses():
    recorded = []

    def event() -> None:
        recorded.append(1)

    figures = growth_threads.figures(event, lambda: len(recorded) - 3, threads=4, seconds=0.01)
    assert figures[growth_threads.LOST] == 0
    losing = growth_threads.figures(event, lambda: 0, threads=4, seconds=0.01)
    assert losing[growth_threads.LOST] > 0
    assert losing[growth_threads.RATE] > 0


@pytest.mark.parametrize("library", growth_threads.TITLES)
def test_every_library_has_all_events_of_many_threads(library):
    command = [sys.executable, "-m", "benchmarks.growth_threads", library, "8", "0.05", "http://127.0.0.1:1"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert json.loads(done.stdout.splitlines()[-1])[growth_threads.LOST] == 0


@pytest.mark.parametrize("library", holders.LIBRARIES)
def test_a_service_with_many_series_has_a_figure_in_each_column(library):
    with receiver() as url:
        found = growth_series.one_service(library, 20, url, 1)
    missing = {
        "otel_ha": set(),
        "sdk": {growth_series.COLLECTION, growth_series.HISTORY, growth_series.HISTORY_KEPT},
        "client": set(growth_series.COLUMNS[4:]) - {growth_series.RESIDENT},
    }[library]
    assert set(found) == set(growth_series.COLUMNS) - missing
    assert found[growth_series.EACH] == pytest.approx([each * 1e3 / 20 for each in found[growth_series.SCRAPE]])


def scraped(library):
    """Return the series in the scrape of a service in a process of its own."""
    with receiver() as url:
        process = children.start("growth_series", library, 3, url)
        address, _ = children.heard(process)
        lines = text(address).splitlines()
        children.finish(process)
    series = [line.rpartition(" ")[0] for line in lines if not line.startswith(("#", "target_info"))]
    return sorted(re.sub(r"\{(.*)\}", lambda labels: ",".join(sorted(labels[1].split(","))), line) for line in series)


def test_the_scrapes_that_are_compared_have_the_same_lines():
    ours, *theirs = map(scraped, holders.LIBRARIES)
    assert len(ours) == 3 * 17
    assert theirs == [ours, ours]
