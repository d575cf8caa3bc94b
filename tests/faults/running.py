"""The measured program as a process, and the difference between its own counts and those that were stored."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.faults.outcome import Outcome
from tests.faults.stored import Stored
from tests.faults.tally import Tallies
from tests.servers.running import ServerError, eventually

ENDS_WITHIN = 60.0
_LINE = re.compile(r"(DEBUG|INFO|WARNING|ERROR|CRITICAL) (\S+): (.*)")


@dataclass(frozen=True)
class Account:
    """The program's own figures at its end."""

    begun: Mapping[str, int]
    ended: Mapping[str, int]
    returncode: int
    shutdown: float | None
    loop_delay: float | None

    @property
    def recorded(self) -> int:
        """The events that were recorded for certain."""
        return sum(self.ended.values())

    def lost(self, stored: Stored) -> int:
        """The recorded events that are not stored."""
        return missing(self.ended, stored)

    def duplicated(self, stored: Stored) -> int:
        """The stored events that were never recorded."""
        return surplus(self.begun, stored)

    def outcome(self, fault: str, topic: str, stored: Stored, *, log_lines: int, **more: Any) -> Outcome:
        """The row of a fault whose events were stored like this at the end."""
        return Outcome(
            fault=fault,
            topic=topic,
            recorded=self.recorded,
            lost=self.lost(stored),
            duplicated=self.duplicated(stored),
            log_lines=log_lines,
            shutdown=self.shutdown,
            loop_delay=self.loop_delay,
            **more,
        )


def missing(recorded: Mapping[str, int], stored: Stored) -> int:
    """The recorded events that are not stored: those that are not received, or, if these are more, have no end."""
    ends = sum(max(0, count - stored.ends.get(outcome, 0)) for outcome, count in recorded.items())
    return max(0, sum(recorded.values()) - stored.received, ends)


def surplus(recorded: Mapping[str, int], stored: Stored) -> int:
    """The stored events that were not recorded."""
    ends = sum(max(0, count - recorded.get(outcome, 0)) for outcome, count in stored.ends.items())
    return max(0, stored.received - sum(recorded.values()), ends)


class Service:
    """The running program. Its counts and its log can be read at any moment, also after it was killed."""

    def __init__(self, process: subprocess.Popen[str], directory: Path) -> None:
        self.process = process
        self.directory = directory
        self.metrics_url = ""
        self._tally = Tallies(directory)

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def target(self) -> str:
        """The host and port to scrape."""
        return self.metrics_url.split("/")[2]

    def recorded(self) -> int:
        """The events that have been recorded so far."""
        return sum(self._tally.ended().values())

    def wait_for(self, condition: Callable[[], object], timeout: float = 60.0) -> None:
        """Wait until the condition holds. Fails if it does not in time, or if the program ends meanwhile."""
        eventually(lambda: self._must_run() and condition(), timeout=timeout)

    def wait_for_events(self, count: int, timeout: float = 60.0) -> None:
        """Wait until so many more events have been recorded."""
        goal = self.recorded() + count
        self.wait_for(lambda: self.recorded() >= goal, timeout)

    def check_now(self, read: Callable[[], Stored]) -> Stored:
        """Return the stored events. Fails if more are stored than were recorded until now."""
        stored = read()
        assert surplus(self._tally.begun(), stored) == 0, f"{stored} is more than {self._tally.begun()}"
        return stored

    def wait_for_log(self, pattern: str) -> None:
        """Wait until a log line matches."""
        self.wait_for(lambda: any(re.search(pattern, line) for line in self.log_lines()))

    def log_lines(self) -> list[str]:
        """Lines of level WARNING and above, and lines that are not log records, such as those of a traceback."""
        lines = self.log().splitlines()
        found = [(line, _LINE.fullmatch(line)) for line in lines]
        return [line for line, match in found if match is None or match[1] not in {"DEBUG", "INFO"}]

    def log(self) -> str:
        """All that the program has written to standard error."""
        return (self.directory / "log").read_text(encoding="utf-8")

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def pause(self) -> None:
        """Let the program stop handling events; it still pushes and is scraped."""
        self.send(signal.SIGUSR1)
        self.wait_for((self.directory / "paused").exists)

    def stop(self, *numbers: signal.Signals) -> Account:
        """Send the signals, SIGTERM by default, one at once after the other; return the account at the end.

        A signal's default action ends a program in the middle of its work, and without telemetry it would do so at
        once. Then the events until the signal count as recorded, those that follow during the last push may be stored
        as well, and the shutdown is the time from the signal to the end. Fails if the program ends in another way.
        """
        numbers = numbers or (signal.SIGTERM,)
        until_signal, sent = self._tally.ended(), time.perf_counter()
        for number in numbers:
            self.send(number)
        account = self.end()
        assert account.returncode in {0, *(-number for number in numbers)}, f"it failed:\n{self.log()}"
        if account.returncode >= 0:
            return account
        return replace(account, ended=until_signal, shutdown=time.perf_counter() - sent)

    def end(self) -> Account:
        """Wait for the end of the program, and return its account."""
        returncode = self.process.wait(ENDS_WITHIN)
        path = self.directory / "account.json"
        said = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return Account(
            self._tally.begun(), self._tally.ended(), returncode, said.get("shutdown"), said.get("loop_delay")
        )

    def _must_run(self) -> bool:
        assert self.process.poll() is None, f"the program ended:\n{self.log()}"
        return True


@contextmanager
def running(
    directory: Path, *options: str, module: str = "tests.faults.service", **environment: str
) -> Iterator[Service]:
    """The program, ready; killed at the end if it still runs. The options are its own, such as `--rate=2000`."""
    directory.mkdir(parents=True, exist_ok=True)
    variables = {
        "PATH": os.environ["PATH"],
        "OTEL_EXPORTER_PROMETHEUS_PORT": "0",
        "OTEL_HA_SYSTEM_METRICS": "false",
        # Often, but with the time limit that a push has by default; else that would be as short as the interval.
        "OTEL_METRIC_EXPORT_INTERVAL": "200",
        "OTEL_METRIC_EXPORT_TIMEOUT": "30000",
        **environment,
    }
    if "PYTHONPATH" in os.environ:
        variables["PYTHONPATH"] = os.environ["PYTHONPATH"]
    command = [sys.executable, "-m", module, str(directory), *options]
    with (
        (directory / "log").open("w", encoding="utf-8") as log,
        subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        service = Service(process, directory)
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line.startswith("ready"):
                process.wait(ENDS_WITHIN)
                raise ServerError(service.log())
            service.metrics_url = line.split()[1]
            yield service
        finally:
            process.kill()
