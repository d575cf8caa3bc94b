"""The parts of the home stack as child processes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from examples.stack import commands
from examples.stack.commands import Addresses
from tests.servers.flags import SCRAPE
from tests.servers.locate import ROOT, Missing, find
from tests.servers.running import Server, get


class StackError(Exception):
    """The stack cannot run; the message names the remedy."""


class StoppedError(Exception):
    """The user stopped the stack while it was starting."""


@dataclass(frozen=True)
class Settings:
    """Where the parts listen, the files that Alertmanager and vmalert read, and the signal to stop."""

    at: Addresses
    alertmanager_config: Path
    rules: Path
    traces_logs: bool = False
    stopping: threading.Event = field(default_factory=threading.Event)


class Part(Server):
    """A process that is ready when it answers at a URL."""

    # Ctrl-C in the terminal reaches only the stack, which ends its parts in order.
    process_group = 0

    def __init__(
        self,
        directory: Path,
        name: str,
        command: Sequence[str],
        url: str,
        stopping: threading.Event,
        variables: Mapping[str, str],
    ) -> None:
        self.name = name
        super().__init__(Path(command[0]), directory)
        self._command = list(command)
        self._url = url
        self._stopping = stopping
        self._variables = variables

    def command(self) -> Sequence[str]:
        """Return the command line."""
        return self._command

    def environment(self) -> Mapping[str, str]:
        """Return no settings of the user."""
        return {**super().environment(), "PYTHONPATH": str(ROOT), **self._variables}

    def ready(self) -> bool:
        """Whether it answers. Raises StoppedError if the user stops the stack meanwhile."""
        if self._stopping.is_set():
            raise StoppedError
        return bool(get(self._url))


def parts_of(settings: Settings, directory: Path) -> list[Part]:
    """Return the parts in the order in which they start. The last one is the service."""
    at, more = settings.at, settings.traces_logs
    scrape = directory / "scrape.yml"
    scrape.write_text(at.in_text(SCRAPE.read_text(encoding="utf-8")), encoding="utf-8")
    store = commands.victoria_metrics(at, directory / "victoria-metrics", scrape)
    alerts = commands.alertmanager(at, directory / "alertmanager", settings.alertmanager_config)
    rules = commands.vmalert(at, settings.rules)
    demo = [sys.executable, "-m", "examples.demo", *commands.service(at)]

    def part(name: str, command: Sequence[str], url: str, variables: Mapping[str, str] | None = None) -> Part:
        return Part(directory, name, command, f"http://{url}", settings.stopping, variables or {})

    parts = [
        part("victoria-metrics", [program("victoria-metrics"), *store], f"{at.victoria_metrics}/health"),
        part("alertmanager", [program("alertmanager"), *alerts], f"{at.alertmanager}/-/ready"),
        part("vmalert", [program("vmalert"), *rules], f"{at.vmalert}/health"),
    ]
    if more:
        logs = commands.victoria_logs(at, directory / "victoria-logs")
        traces = commands.jaeger_variables(at, directory / "jaeger")
        parts += [
            part("victoria-logs", [program("victoria-logs"), *logs], f"{at.victoria_logs}/health"),
            part("jaeger", [program("jaeger"), f"--config={commands.JAEGER}"], f"{at.jaeger}/api/services", traces),
        ]
    return [*parts, part("service", demo, f"{at.service}/metrics", commands.service_variables(at, traces_logs=more))]


def program(name: str) -> str:
    """Return the path of a server's program."""
    found = find(name)
    if isinstance(found, Missing):
        raise StackError(found.reason)
    return str(found)
