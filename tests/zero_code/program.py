"""A program that runs under one of the commands, and the metrics that it serves."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.servers.running import HOST, UNREACHABLE, free_ports, get

COMMANDS: dict[str, tuple[str, ...]] = {
    "opentelemetry-instrument": ("opentelemetry-instrument",),
    "otel-ha run": ("otel-ha", "run", "--"),
    "": (),
}
WITHIN = 45.0
_POLL = 0.1

Labels = frozenset[tuple[str, str]]


class Scrape(dict[tuple[str, Labels], float]):
    """The samples of one scrape, by name and labels."""

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the samples with this name and these labels; "source" stands for homeassistant_source."""
        wanted = set(labels.items())
        return sum(value for (found, has), value in self.items() if found == name and wanted <= _short(has))

    def account(self, source: str) -> dict[str, float]:
        """Return the account of a source: received, processed by outcome, discarded by reason, and in flight."""
        parts = {
            "received": ("homeassistant_event_received_total", ""),
            "processed": ("homeassistant_event_process_duration_seconds_count", "outcome"),
            "discarded": ("homeassistant_event_discarded_total", "discard_reason"),
            "in flight": ("homeassistant_event_in_flight", ""),
        }
        found: dict[str, float] = {}
        for part, (name, label) in parts.items():
            for (sample, has), value in self.items():
                if sample == name and value and dict(_short(has)).get("source") == source:
                    key = " ".join(filter(None, (part, dict(_short(has)).get(label))))
                    found[key] = found.get(key, 0.0) + value
        return found


def _short(labels: Labels) -> set[tuple[str, str]]:
    """Return labels with their names, and with these without the namespace."""
    return {*labels, *((name.removeprefix("homeassistant_"), value) for name, value in labels)}


class ProgramError(AssertionError):
    """A program ended or did not do as it should; holds its output."""


class Program:
    """A started program."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], directory: Path) -> None:
        [port] = free_ports(1)
        self.url = f"http://{HOST}:{environment.get('OTEL_EXPORTER_PROMETHEUS_PORT', port)}"
        ours = {
            "OTEL_EXPORTER_PROMETHEUS_PORT": str(port),
            "OTEL_METRICS_EXPORTER": "prometheus",
            "OTEL_HA_SYSTEM_METRICS": "false",
            "PYTHONUNBUFFERED": "1",
        }
        self._log = directory / f"{port}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=directory,
                env={**ours, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own, so that children that outlive it are ended too
            )

    @property
    def output(self) -> str:
        """Everything that the program has written, errors included."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def scrape(self) -> Scrape:
        """Return the metrics that the program serves now."""
        families = text_string_to_metric_families(get(f"{self.url}/metrics"))
        return Scrape(
            ((sample.name, frozenset(sample.labels.items())), sample.value)
            for family in families
            for sample in family.samples
        )

    def wait_for(self, condition: Callable[[Scrape], object], within: float = WITHIN) -> Scrape:
        """Scrape until the condition holds, and return that scrape."""
        deadline, last = time.monotonic() + within, Scrape()
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise ProgramError(f"the program ended with {self.process.returncode}:\n{self.output}")
            with contextlib.suppress(*UNREACHABLE):
                last = self.scrape()
                if condition(last):
                    return last
            time.sleep(_POLL)
        seen = "\n".join(f"{name}{dict(labels)} {value}" for (name, labels), value in last.items())
        raise ProgramError(f"still not so after {within:.0f} s:\n{seen}\nThe program's output:\n{self.output}")

    def wait_for_output(self, text: str, within: float = WITHIN) -> str:
        """Wait until the program has written a text, and return its output."""
        deadline = time.monotonic() + within
        while text not in self.output:
            if self.process.poll() is not None and text not in self.output:
                raise ProgramError(f"the program ended with {self.process.returncode}:\n{self.output}")
            if time.monotonic() > deadline:
                raise ProgramError(f"{text!r} was not written within {within:.0f} s:\n{self.output}")
            time.sleep(_POLL)
        return self.output

    def wait(self, within: float = WITHIN) -> int:
        """Wait until the program ends by itself, and return its exit code."""
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise ProgramError(f"the program still runs after {within:.0f} s:\n{self.output}") from None

    def stop(self, number: int = signal.SIGTERM, within: float = WITHIN) -> int:
        """Send a signal, wait for the end, and return the exit code."""
        self.process.send_signal(number)
        return self.wait(within)

    def kill(self) -> None:
        """End the program and its children, whatever they do."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(WITHIN)
