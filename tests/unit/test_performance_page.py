"""The page about performance: the file on disk matches the committed run of the benchmarks."""

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from benchmarks import __main__ as program
from benchmarks import recording, ways
from benchmarks.report import render
from benchmarks.scrape import waited
from benchmarks.story import story
from benchmarks.tables import Spread, Table, is_absolute, quantile, ratios, spelled
from benchmarks.targets import BUSY, LESS_BARE, PER_SERIES, SCALED, SCRAPE, TARGETS, TO_CLIENT, TO_OTEL, WRAPPER, judged
from otel_ha.vocabulary import ingest

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


def table_of(cells, key="key"):
    """Return a table of one sample per cell, from rows of columns."""
    columns = tuple(dict.fromkeys(column for row in cells.values() for column in row))
    table = Table(key, f"The {key}", f"About the {key}.", columns)
    for name, row in cells.items():
        for column, figure in row.items():
            table.put(name, column, [figure])
    return table


def page_of(document, *tables):
    return render({**document, "tables": [table.to_json() for table in tables]})


def met(target, figure):
    return table_of({target.row: {target.column: figure}}, target.table)


def test_a_target_is_met_when_the_median_is_at_most_the_limit():
    target = TARGETS[0]
    verdicts = [judged([met(target, target.limit * factor)])[1][-1] for factor in (1, 1.01)]
    assert verdicts == ["met", "not met"]
    assert judged([])[1][-1] == "not measured"


def test_each_target_of_recording_is_about_something_that_is_measured():
    measured = {*ways.limits(), *ways.ours(), recording.COLLECTED}
    rows = {target.row.removesuffix(LESS_BARE) for target in TARGETS if target.table == "recording"}
    assert rows <= measured


def test_targets_are_judged_in_wrappers_and_ratios_apart_from_absolute_ones():
    relative, absolute = ({row[0] for row in judged([], absolute=kind)[1:]} for kind in (False, True))
    assert relative.isdisjoint(absolute)
    assert relative | absolute == {target.claim for target in TARGETS}
    assert "import otel_ha after opentelemetry-api" in absolute


def test_the_page_says_how_fast_the_machine_was(document):
    table = Table("microseconds", "", "", ("2 readers, µs",))
    table.put(WRAPPER, "2 readers, µs", [0.4, 0.5, 0.6])
    assert " A wrapper took 0.5 (0.42 to 0.58) µs, the loop around it included. " in page_of(document, table)
    assert f"of one machine: {document['machine']['CPU']}, " in page_of(document)


@pytest.mark.parametrize(
    ("row", "column", "absolute"),
    [
        ("otel-ha", "2 readers", False),
        ("otel-ha", "2 readers, µs", True),
        ("otel-ha / prometheus_client", "objects, kB", False),
        ("a counter", "otel-ha / OpenTelemetry", False),
        ("200 events/s, default intervals", "otel-ha, % of a core", True),
        ("200 events/s, default intervals", SCALED, False),
        ("1 thread", "events/s", True),
        ("import", "ms", True),
    ],
)
def test_figures_with_a_unit_are_absolute_unless_they_are_ratios_or_scaled(row, column, absolute):
    assert is_absolute(row, column) is absolute


def test_absolute_figures_are_in_one_section_at_the_end(document):
    mixed = table_of({"ours": {"a GET, ms": 111}, "ours / theirs": {"a GET, ms": 0.25}, "more": {"wrappers": 222}})
    first, _, last = page_of(document, mixed).partition("\n## Absolute figures\n")
    assert "| ours / theirs | 0.25 |  |\n| more |  | 222 |" in first
    assert "|  | a GET | wrappers |\n" in first
    assert "About the key." in first
    assert "111" not in first
    assert "|  | a GET, ms |\n|-|-:|\n| ours | 111 |\n" in last
    assert "222" not in last


def test_the_picture_of_growth_is_beside_the_absolute_figures_if_growth_was_measured(document):
    grown = table_of({"1,000 series": {SCRAPE: 5}, PER_SERIES: {SCRAPE: 1.1}}, "growth_series")
    first, _, last = page_of(document, grown).partition("\n## Absolute figures\n")
    assert "1.10 times as long per series as one of 1,000 ([picture](#growth))" in first
    assert "### Growth\n\n![" in last
    assert "growth.svg" not in page_of(document)


def test_an_absolute_table_is_described_in_the_section_at_the_end(document):
    first, _, last = page_of(document, table_of({"a start": {"ms": 7}})).partition("\n## Absolute figures\n")
    assert "The key" not in first
    assert "### The key\n\nAbout the key.\n\n|  | ms |" in last


def test_the_page_opens_with_the_story_of_the_run(document):
    page = render(document)
    assert page.index("**wrappers**") < page.index("**An event.**") < page.index("**Not met.**") < page.index("\n## ")
    tables = [Table.from_json(data) for data in document["tables"]]
    missed = [cells for cells in judged(tables) if cells[-1] == "not met"]
    assert all(f"- {claim}: {measured}; the limit is " in page for claim, _, measured, _ in missed)


def test_a_story_has_only_what_was_measured(document):
    assert story([]) == ""
    startup = [Table.from_json(data) for data in document["tables"] if data["key"] == "startup"]
    assert story(startup).startswith("**Met.** Every target that was measured is met.\n\n**Not measured.** ")


def test_a_story_tells_shares_in_percent():
    busy = table_of({BUSY: {TO_OTEL: 0.213, TO_CLIENT: 0.9}}, "telemetry")
    told = story([busy])
    assert "uses 21 % of the CPU of OpenTelemetry's SDK by hand." in told
    assert "uses 90 % of that of prometheus_client by hand" in told


def test_a_run_that_meets_every_target_says_so():
    found = defaultdict(lambda: defaultdict(dict))
    for target in TARGETS:
        found[target.table][target.row][target.column] = target.limit
    told = story([table_of(cells, key) for key, cells in found.items()])
    assert told.endswith("**Met.** Every target that was measured is met.")


def test_a_story_names_the_targets_that_were_not_measured():
    told = story([met(TARGETS[1], TARGETS[1].limit)])
    known, _, unknown = told.partition("**Not measured.**")
    assert "**Met.**" in known
    assert unknown.count("\n- ") == len(TARGETS) - 1
    assert TARGETS[1].claim not in unknown


def test_a_single_part_says_nothing_about_the_targets_of_others(monkeypatch, capsys):
    target = TARGETS[0]
    monkeypatch.setitem(program.PARTS, "recording", lambda *_, **__: [met(target, target.limit)])
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--only", "recording"])
    assert program.main() == 0
    printed = capsys.readouterr().out
    assert target.claim in printed
    assert "not measured" not in printed


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


def test_each_way_of_recording_runs():
    samples = recording.rounds({**ways.limits(), **ways.ours()}, 0, lambda: "")
    assert samples.keys() == {*ways.limits(), *ways.ours()}


DOMAINS = {
    ways.OURS: "light",
    ways.OURS_COMPUTED: "sensor",
    ways.OURS_BOUND_BLOCK: "climate",
    ways.OURS_BOUND_LATE: "cover",
    ways.OURS_REUSED_BLOCK: "fan",
    ways.OURS_BLOCK: "lock",
}


def test_ways_that_are_compared_record_the_same_event_in_series_of_their_own(metrics):
    known = ways.ours()
    for way in DOMAINS:
        known[way]()
    for domain in DOMAINS.values():
        metrics.assert_recorded(ingest.EVENT, 1, source="mqtt", domain=domain, outcome="ok")
    metrics.assert_accounts(ingest.EVENT)
    metrics.assert_no_problems()


def test_the_block_that_is_discarded_is_counted_so(metrics):
    ways.ours()[ways.OURS_BOUND_DISCARDED]()
    metrics.assert_recorded(ingest.DISCARDED, 1, source="mqtt", reason="duplicate")
    metrics.assert_accounts(ingest.EVENT)


def test_the_call_that_raises_is_counted_as_an_error(metrics):
    ways.ours()[ways.OURS_RAISING]()
    metrics.assert_recorded(ingest.EVENT, 1, outcome="error", error_type="ValueError")
