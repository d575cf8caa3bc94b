"""Long runs in which things come and go without end: memory, descriptors and threads stay flat.

Entities come and go for two minutes if CI=true, else for 20 seconds. `make soak` (--soak SECONDS) gives them seven
tenths of its time and each other thing one tenth; it shows its progress, and at the end each growth with its limit.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.flatness import LEAST, MIB, Size, assert_flat, summary
from tests.faults.outcome import GROWTH, Outcome
from tests.faults.stored import Stored, in_pushes, in_text
from tests.receivers import answer, receiving
from tests.servers.locate import in_ci
from tests.servers.running import UNREACHABLE, eventually, get

pytestmark = pytest.mark.timeout(1500)

# Telemetry that is busy: it collects often, and entities expire as soon as they may.
BUSY = {
    "OTEL_HA_ENTITY_METRICS": "true",
    "OTEL_HA_ENTITY_EXPIRY": "1",
    "OTEL_HA_HISTORY_LENGTH": "5",
    "OTEL_HA_HISTORY_INTERVAL": "0.2",
    # A push has as long as its interval, and there is one in each cycle; the machine may be busy with other tests.
    "OTEL_METRIC_EXPORT_INTERVAL": "10000",
    "OTEL_HA_SHUTDOWN_TIMEOUT": "30",
    "OTEL_EXPORTER_PROMETHEUS_PORT": "0",
}
PAGES = ("/metrics", "/", "/?search=entity&range=5min", "/summary", "/healthz", "/metrics?name[]=up")
IS_COUNTED = "(later ones are counted, not logged)"
"""The end of the warnings of which there is one for each attribute beyond its budget."""

MOST_WARNINGS = 60
FULL = 600.0
"""Seconds of a soak from which on each thing has its least number of cycles; a shorter one has a part of them."""


@dataclass
class Run:
    """A program, and the sizes that it has reported."""

    kind: str
    process: subprocess.Popen[str]
    url: str | None
    log: Path
    record: Callable[[str, object], None]
    """Stores a property in the report of the test."""
    pausing: threading.Lock = field(default_factory=threading.Lock)
    """Is held while the program measures its size, and by a client during a request."""
    begin: float = field(default_factory=time.monotonic)
    sizes: list[Size] = field(default_factory=list)

    @property
    def came(self) -> int:
        return self.sizes[-1].came

    def finish(self) -> None:
        """Take the sizes until the program ends."""
        while self.process.stdout.readline():
            with self.pausing:
                self.process.stdin.write("\n")
                self.process.stdin.flush()
                self.sizes.append(Size(**json.loads(self.process.stdout.readline())))
            sys.stdout.write(f"{self.kind} {time.monotonic() - self.begin:.0f} s: {self.sizes[-1]}\n")
            sys.stdout.flush()
        assert self.process.wait(60) == 0, self.log.read_text()

    def row(self, fault: str, stored: Stored, events: int, *, busy: int = 0) -> Outcome:
        """Fail if the program has grown; return the row of the table."""
        if len(self.sizes) >= LEAST:
            self.record(GROWTH, [self.kind, *summary(self.sizes, busy=busy)])
        grown = assert_flat(self.sizes, busy=busy)
        ends = sum(stored.ends.values())
        lines = self.log.read_text().splitlines()
        counted = [line for line in lines if line.endswith(IS_COUNTED)]
        assert len(counted) < MOST_WARNINGS, counted
        half = self.came - self.sizes[len(self.sizes) // 2].came
        size = f"{grown['resident'] / MIB:+.1f} MiB and {grown['blocks']:+.0f} objects"
        note = f"{self.came:,} came and went; while the last {half:,} did, the program's size changed by {size}"
        return Outcome(
            fault=fault,
            topic="Long runs",
            recorded=events,
            lost=max(0, events - stored.received, events - ends),
            duplicated=max(0, stored.received - events, ends - events),
            log_lines=len(lines) - len(counted),
            note=note,
        )


@pytest.fixture
def churn(request, tmp_path: Path, record_property):
    """Starts a program of tests.faults.churning."""

    soak = request.config.getoption("--soak")

    @contextmanager
    def churn(kind: str, seconds: float, cycles: int, **more: str) -> Iterator[Run]:
        if soak:
            seconds = soak * (0.7 if kind == "entities" else 0.1)
            cycles = max(LEAST, round(cycles * min(1.0, soak / FULL)))
        passed_on = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        command = [sys.executable, "-m", "tests.faults.churning", kind, str(seconds), str(cycles)]
        log = tmp_path / "log"
        with (
            log.open("w") as errors,
            subprocess.Popen(
                command,
                env={**passed_on, **BUSY, **more},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            ) as process,
        ):
            try:
                line = process.stdout.readline()
                assert line, log.read_text()
                yield Run(kind, process, json.loads(line), log, record_property)
            finally:
                process.kill()

    return churn


@contextmanager
def looked_at(run: Run) -> Iterator[Mapping[str, int]]:
    """Ask for the pages of the service in turn; gives the number of answers of each."""
    ended, answers = threading.Event(), dict.fromkeys(PAGES, 0)

    def look() -> None:
        for page in itertools.cycle(PAGES):
            with suppress(*UNREACHABLE), run.pausing:
                get(run.url.removesuffix("/metrics") + page)
                answers[page] += 1
            if ended.wait(0.1):
                return

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield answers
    finally:
        ended.set()
        thread.join()


@pytest.mark.servers
def test_entities_that_come_and_go_leave_nothing_behind(churn, otelcol, table):
    with churn("entities", 120 if in_ci() else 20, 10, OTEL_EXPORTER_OTLP_ENDPOINT=otelcol.otlp_http_endpoint) as run:
        with looked_at(run) as answers:
            run.finish()
        assert min(answers.values()) > 0, answers
        events = 3 * run.came
        stored = eventually(lambda: in_text(otelcol.prometheus_url), lambda found: found.received >= events, timeout=60)
    # One reader or the other may still have a crowd of a thousand when the size is measured.
    table.add(run.row("Entities that come and go, with new values of all attributes", stored, events, busy=1_200))


@pytest.mark.parametrize(
    ("kind", "cycles", "events", "fault"),
    [
        ("connections", 12, 1, "Connections of instrumented MQTT clients"),
        ("setups", 20, 8, "Telemetry that is set up and shut down"),
        ("forks", 40, 2, "Forked children"),
    ],
)
def test_other_things_that_come_and_go_leave_nothing_behind(request, churn, table, kind, cycles, events, fault):
    broker = {}
    if kind == "connections":
        mosquitto = request.getfixturevalue("mosquitto")
        broker = {"BROKER": f"{mosquitto.host}:{mosquitto.port}"}
    with receiving(answer()) as receiver:
        with churn(kind, 0, cycles, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, **broker) as run:
            run.finish()
        stored = in_pushes([each.body for each in receiver.requests])
    table.add(run.row(fault, stored, events * run.came))
