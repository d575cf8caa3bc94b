"""The fault suite's own rules: a broken promise fails, each fault has a row, and the page shows them."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.faults.claims import CLAIMS, counted, late
from tests.faults.outcome import CONTROL, Outcome, Table
from tests.faults.report import outcomes_in, render
from tests.faults.running import missing, surplus
from tests.faults.stored import Stored
from tests.faults.tally import Tally

ROOT = Path(__file__).parents[2]
FAULTS = ROOT / "tests" / "faults"
RESULTS = FAULTS / "results.json"
GOOD = Outcome(fault="Broken", topic="Servers", recorded=10, log_lines=2, shutdown=5.0, loop_delay=0.1)


@pytest.fixture(scope="module")
def document():
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def row_of(outcome: Outcome, **more: object) -> dict[str, object]:
    """The row of an outcome in the results of a run."""
    return asdict(outcome) | {"test": "test", "date": "2026-01-01", "load": 1.0} | more


def fault_tests() -> set[str]:
    """The tests of the suite, each of which adds an outcome."""
    return {
        f"{path.relative_to(ROOT).as_posix()}::{node.name}"
        for path in FAULTS.glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def test_every_fault_has_a_row_and_every_row_has_a_test(document):
    rows = {row["test"].partition("[")[0] for row in document["rows"]}
    assert fault_tests() - rows == set(), "run `make reliability`"
    assert rows - fault_tests() == set(), "delete these rows"


def test_the_committed_run_keeps_every_promise(document):
    for outcome in outcomes_in(document):
        outcome.check()


def test_the_page_on_disk_is_up_to_date(document):
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert page == render(document), "run `make docs`"


def test_running_the_module_prints_the_page(document):
    command = [sys.executable, "-m", "tests.faults.report"]
    with RESULTS.open(encoding="utf-8") as results:
        printed = subprocess.run(command, check=True, stdin=results, capture_output=True, text=True, cwd=ROOT)
    assert printed.stdout == render(document)


def test_every_claim_of_the_page_stands_in_the_readme():
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert [claim.words for claim in CLAIMS if claim.words not in readme] == []


@pytest.mark.parametrize(
    "broken",
    [
        {"lost": 1},
        {"duplicated": 1},
        {"log_lines": 3},
        {"shutdown": 60.0},
        {"loop_delay": 60.0},
        {"recorded": 0},
        {"topic": "Weather"},
    ],
    ids=str,
)
def test_an_outcome_that_breaks_a_promise_fails_and_makes_no_row(broken):
    rows = []
    table = Table("test", rows.append)
    table.add(GOOD)
    with pytest.raises(AssertionError):
        table.add(replace(GOOD, **broken))
    assert len(rows) == 1


def test_an_outcome_may_lose_if_it_says_why():
    replace(GOOD, lost=3, duplicated=1, loses="the receiver is gone").check()


def test_the_page_says_what_a_fault_loses_and_why(document):
    gone = replace(GOOD, fault="Gone", lost=7, loses="nobody is there")
    page = render({**document, "rows": [row_of(gone)]})
    assert "| Gone † |" in page
    assert "| Gone | 7 | 0 | Nobody is there. |\n" in page


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (Stored(3, {"ok": 2, "error": 1}), (0, 0)),
        (Stored(2, {"ok": 2}), (1, 0)),
        (Stored(3, {"ok": 2}), (1, 0)),
        (Stored(2, {"ok": 2, "error": 1}), (1, 0)),
        (Stored(4, {"ok": 3, "error": 1}), (0, 1)),
        (Stored(3, {"ok": 3}), (1, 1)),
        (Stored(), (3, 0)),
    ],
    ids=str,
)
def test_lost_and_duplicated_are_the_differences_in_what_was_received_or_ended(stored, expected):
    recorded = {"ok": 2, "error": 1, "discarded": 0}
    assert (missing(recorded, stored), surplus(recorded, stored)) == expected


def test_a_tally_is_read_from_its_file_while_another_one_counts(tmp_path):
    counting, reading = Tally(tmp_path / "tally"), Tally(tmp_path / "tally")
    counting.begin("ok")
    counting.begin("error")
    counting.end("ok")
    assert reading.begun() == {"ok": 1, "error": 1, "discarded": 0, "cancelled": 0}
    assert reading.ended() == {"ok": 1, "error": 0, "discarded": 0, "cancelled": 0}


def test_outcomes_of_one_fault_are_one_row_with_all_events_and_the_worse_figures(document):
    other = replace(GOOD, recorded=5, log_lines=1, shutdown=None, loop_delay=0.2)
    assert GOOD.joined(other) == replace(GOOD, recorded=15, loop_delay=0.2)
    rows = [row_of(each) for each in (GOOD, other, replace(GOOD, fault="Another"))]
    assert [each.fault for each in outcomes_in(document | {"rows": rows})] == ["Broken", "Another"]


def test_rows_of_several_runs_have_a_range_of_load_and_date(document):
    early, late = row_of(GOOD, date="2020-01-02", load=0.5), row_of(GOOD, date="2020-02-03", load=7.0)
    page = render({**document, "rows": [late, early]})
    assert "| 0.50 to 7.00 |" in page
    assert "| 2020-01-02 to 2020-02-03 |" in page
    assert "| 2020-01-02 |" in render({**document, "rows": [early]})


def test_the_delay_of_the_loop_is_compared_with_that_of_a_program_without_a_fault():
    control = replace(GOOD, topic=CONTROL, fault="No fault", loop_delay=0.025)
    assert "25 ms (No fault)" in late([GOOD, control])
    assert "by 100 ms at most in all: Broken" in late([GOOD, control])


def test_the_claim_about_counts_names_the_rows_that_may_lose_and_those_that_did():
    may, did = replace(GOOD, loses="why"), replace(GOOD, loses="why", lost=2)
    claim = counted([GOOD, may, did, replace(GOOD, topic=CONTROL)])
    assert "In 1 rows nothing may be lost or counted twice: of 10 events, 0 are lost" in claim
    assert "2 rows may lose events or count them twice (†): 1 did" in claim


@pytest.mark.parametrize(
    ("remark", "sentence"),
    [
        ("nobody is there", "Nobody is there."),
        ("a push fails.", "A push fails."),
        ("gRPC forks", "gRPC forks."),
        ("5% of a CPU", "5% of a CPU."),
    ],
)
def test_remarks_are_sentences(document, remark, sentence):
    page = render({**document, "rows": [row_of(replace(GOOD, note=remark))]})
    assert f"| Broken | {sentence} |" in page
