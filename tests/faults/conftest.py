"""Marks the tests of this folder `faults`, gives them a table, and gathers its rows from all workers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from benchmarks.machine import machine, versions
from tests.faults.endpoint import Attacked
from tests.faults.flatness import HEAD
from tests.faults.outcome import GROWTH, PROPERTY, Table
from tests.faults.running import Service, running
from tests.receivers import answer, receiving

_FOLDER = Path(__file__).parent
Start = Callable[..., Service]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults-results", metavar="PATH", help="update the rows of the tests that ran in this JSON file")
    parser.addoption("--soak", type=float, metavar="SECONDS", help="let things come and go for so long in all")


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--faults-results")
    if path and not hasattr(config, "workerinput"):  # the workers of pytest-xdist send their reports to the controller
        config.pluginmanager.register(_Results(Path(path)), "faults-results")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    soak = config.getoption("--soak")
    for item in items:
        if _FOLDER in item.path.parents:
            item.add_marker(pytest.mark.faults)
            if soak:
                item.add_marker(pytest.mark.timeout(soak + 900), append=False)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print each growth of a soak with its limit."""
    reports = [each for group in ("passed", "failed") for each in terminalreporter.stats.get(group, ())]
    rows = [value for each in reports for name, value in each.user_properties if name == GROWTH]
    if rows and terminalreporter.config.getoption("--soak"):
        terminalreporter.section("growth in the second half of each run, of its limit")
        for row in [["", *HEAD], *rows]:
            terminalreporter.write_line("".join(f"{cell:<18}" for cell in row).rstrip())


class _Results:
    """Replaces the rows of the tests that ran, and keeps the others."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[str, list[dict[str, Any]]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            rows = [value for name, value in report.user_properties if name == PROPERTY]
            for row in rows:
                self._rows.setdefault(row["test"], []).append(row)

    def pytest_sessionfinish(self) -> None:
        known = json.loads(self._path.read_text(encoding="utf-8")) if self._path.exists() else {"rows": []}
        rows = [row for row in known["rows"] if row["test"] not in self._rows]
        rows += [row for found in self._rows.values() for row in found]
        rows.sort(key=lambda row: (row["topic"], row["test"], row["fault"]))
        # Each row has its own load and date, as the others may be of another run.
        described = {name: value for name, value in machine().items() if name not in {"Load average before", "Date"}}
        document = {"machine": described, "versions": versions(), "rows": rows}
        self._path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


@pytest.fixture
def table(request: pytest.FixtureRequest) -> Table:
    """Checks the outcomes of the test's faults, and makes rows of docs/reliability.md of them."""
    test = f"{request.path.relative_to(request.config.rootpath).as_posix()}::{request.node.name}"
    return Table(test, request.node.user_properties.append)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts measured programs, `start("--rate=2000", OTEL_…=…)`, each in a directory of its own."""
    with ExitStack() as services:
        count = 0

        def start(*options: str, **arguments: str) -> Service:
            nonlocal count
            count += 1
            return services.enter_context(running(tmp_path / f"service {count}", *options, **arguments))

        yield start


@pytest.fixture
def attack_on(start: Start) -> Iterator[Callable[..., Attacked]]:
    """Starts a service at work whose endpoint a test attacks."""
    with receiving(answer()) as receiver:

        def attack_on(**more: str) -> Attacked:
            # A push has as long as its interval, and the machine is busy.
            settings = {"OTEL_METRIC_EXPORT_INTERVAL": "5000", "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, **more}
            service = start("--rate=1000", **settings)
            service.wait_for_events(100)
            return Attacked(service, receiver)

        yield attack_on
