"""The page about performance: the file on disk matches the committed run of the benchmarks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.report import render
from benchmarks.scrape import waited
from benchmarks.story import story
from benchmarks.tables import Spread, Table, quantile, ratios, spelled
from benchmarks.targets import TARGETS, WRAPPER, judged, pace

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results.json"
PAGE = ROOT / "docs" / "performance.md"


@pytest.fixture(scope="module")
def document():
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def test_the_page_on_disk_is_up_to_date(document):
    assert PAGE.read_text(encoding="utf-8") == render(document), "run `make docs`"


def test_running_the_module_prints_the_page(document):
    command = [sys.executable, "-m", "benchmarks.report"]
    with RESULTS.open(encoding="utf-8") as results:
        printed = subprocess.run(
            command, check=True, stdin=results, capture_output=True, text=True, cwd=ROOT, timeout=60
        )
    assert printed.stdout == render(document)


def test_the_committed_run_is_complete(document):
    assert not document["quick"]
    tables = {data["key"]: Table.from_json(data) for data in document["tables"]}
    assert [target.claim for target in TARGETS if target.cell(tables) is None] == []


def test_a_target_is_met_when_the_median_is_at_most_the_limit():
    target = TARGETS[0]
    table = Table(target.table, "", "", (target.column,))
    verdicts = []
    for figure in (target.limit, target.limit * 1.01):
        table.put(target.row, target.column, [figure])
        verdicts.append(judged([table])[1][-1])
    assert verdicts == ["met", "not met"]
    assert judged([])[1][-1] == "not measured"


def test_the_page_says_how_fast_the_machine_was():
    table = Table("microseconds", "", "", ("2 readers",))
    table.put(WRAPPER, "2 readers", [0.4, 0.5, 0.6])
    assert "In this run it took 0.5 (0.42 to 0.58) µs, including the loop" in pace([table])
    assert pace([]) == ""


def test_the_page_opens_with_the_story_of_the_run(document):
    page = render(document)
    assert page.index("**An event.**") < page.index("**At rest.**") < page.index("**Not met.**") < page.index("\n## ")
    tables = [Table.from_json(data) for data in document["tables"]]
    missed = [cells for cells in judged(tables) if cells[-1] == "not met"]
    assert all(f"- {claim}: {measured}; the limit is " in page for claim, _, measured, _ in missed)


def test_a_story_has_only_what_was_measured(document):
    assert story([]) == ""
    startup = [Table.from_json(data) for data in document["tables"] if data["key"] == "startup"]
    assert story(startup).startswith("**Not met.**")


def test_a_run_that_meets_every_target_says_so():
    target = TARGETS[0]
    table = Table(target.table, "", "", (target.column,))
    table.put(target.row, target.column, [target.limit])
    assert story([table]) == "**Not met.** Every target that was measured is met."


def test_the_page_of_a_part_is_rendered(document):
    part = {**document, "quick": True, "tables": document["tables"][-1:]}
    assert "This was a quick run" in render(part)


def test_a_spread_is_the_median_with_its_deciles():
    assert Spread.of(range(11)) == Spread(5, 1, 9, 11)
    assert Spread.of([3.0]) == Spread(3.0, 3.0, 3.0, 1)
    assert str(Spread.of([0.12345] * 3)) == "0.123 (0.123 to 0.123)"
    assert str(Spread.of([1234.5])) == "1,234"


def test_a_table_survives_json():
    table = Table("key", "Title", "About.", ("ms", "kB"))
    table.put("one", "ms", [1.0, 2.0])
    assert Table.from_json(json.loads(json.dumps(table.to_json()))) == table
    assert table.cells() == [["", "ms", "kB"], ["one", "1.5 (1.1 to 1.9)", ""]]


def test_figures_are_shown_without_an_exponent():
    assert [spelled(value) for value in (0, 0.00001234, 0.5, 12.345, 123.4, 1e6)] == [
        "0",
        "0.00001",
        "0.5",
        "12.3",
        "123",
        "1,000,000",
    ]


def test_ratios_and_quantiles():
    assert ratios([1.0, 4.0], [2.0, 2.0]) == [0.5, 2.0]
    assert quantile(range(100), 0.99) == 99
    assert quantile([7.0], 0.99) == 7.0


def test_a_delay_is_weighted_by_its_length():
    assert waited([0.0] * 100) == 0
    assert waited([0.05] * 10) == pytest.approx(0.0495, rel=1e-2)
    assert waited([0.0] * 95 + [0.05]) > 0.04  # one tick in a hundred, a third of the time
