"""The tutorial, followed to the letter: every block of it runs, and the output that it shows appears."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.pages import ROOT, appears
from tests.servers.fixtures import needed
from tests.servers.running import eventually, free_ports

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

PAGE = ROOT / "docs" / "tutorial.md"
STEP = re.compile(
    r"<!-- (start|stop): (\w+) -->|^```(\w+)\n(.*?)^```|^(?:Save this as|Replace) `([\w.]+)`", re.MULTILINE | re.DOTALL
)


@dataclass
class Reader:
    """A reader of the page: the folder, the environment, and the terminals with running programs."""

    folder: Path
    environment: dict[str, str]
    terminals: dict[str, tuple[subprocess.Popen[bytes], Path]] = field(default_factory=dict)

    def start(self, name: str, command: str) -> None:
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", command],
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.terminals[name] = process, log

    def stop(self, name: str) -> None:
        """Press Ctrl-C."""
        process, log = self.terminals.pop(name)
        os.killpg(process.pid, signal.SIGINT)
        process.wait(20)
        assert "Traceback" not in log.read_text(encoding="utf-8")

    def run(self, commands: str) -> str:
        """Type some lines, and stay in the folder that they changed to."""
        typed = f"{commands}pwd > '{self.folder}/../pwd'\n"
        done = subprocess.run(
            ["bash", "-e", "-c", typed],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        if (self.folder / "../pwd").exists():
            self.folder = Path((self.folder / "../pwd").read_text(encoding="utf-8").strip())
        return done.stdout if not done.returncode else f"{done.stdout}\nfailed: {done.stderr}"

    def sees(self, expected: str, commands: str, terminal: str | None) -> None:
        """Look until every line that is shown has appeared, in this order."""

        def look() -> str:
            if terminal is not None:
                return self.terminals[terminal][1].read_text(encoding="utf-8")
            return self.run(commands)

        eventually(look, lambda output: appears(output, expected), timeout=60)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    (tmp_path / "otel-ha").symlink_to(ROOT)
    # The reader's python3 is one that suits: the one that runs this test.
    programs = [str(Path(sys.executable).parent), *(str(needed(name).parent) for name in ("prometheus", "promtool"))]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTHON"))}
    path = os.pathsep.join([*programs, os.environ.get("PATH", os.defpath)])
    reader = Reader(tmp_path, {**inherited, "PATH": path})
    with ExitStack() as ended:
        ended.enter_context(_all_stopped(reader))
        yield reader


@contextmanager
def _all_stopped(reader: Reader) -> Iterator[None]:
    try:
        yield
    finally:
        for process, _ in reader.terminals.values():
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


def test_following_the_tutorial_leads_to_numbers_in_prometheus(reader):
    scraped, asked = map(str, free_ports(2))
    reader.environment["OTEL_EXPORTER_PROMETHEUS_PORT"] = scraped
    page = PAGE.read_text(encoding="utf-8").replace("9464", scraped).replace("9090", asked)
    file = commands = ""
    starts = terminal = None
    kinds: list[str] = []
    for verb, name, language, block, named in STEP.findall(page):
        if verb == "start":
            starts = name
        elif verb == "stop":
            reader.stop(name)
        elif named:
            file = named
        elif language in {"python", "yaml"}:
            (reader.folder / file).write_text(block, encoding="utf-8")
        elif language == "sh" and starts:
            reader.start(starts, block)
            starts, terminal = None, starts
        elif language == "sh":
            terminal, commands = None, block
            if not _shows_output(page, block):
                assert "failed:" not in reader.run(block)
        else:
            assert language == "text"
            reader.sees(block, commands, terminal)
        kinds.append(language)
    assert (kinds.count("python"), kinds.count("yaml")) == (2, 1)
    assert kinds.count("text") >= 8
    assert reader.terminals == {}


def _shows_output(page: str, block: str) -> bool:
    """Whether a block of text, its output, is the next one on the page."""
    after = page.partition(f"```sh\n{block}```")[2]
    return re.match(r".*?^```(\w+)", after, re.MULTILINE | re.DOTALL)[1] == "text" if "```" in after else False
