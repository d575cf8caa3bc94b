"""A reader who follows a page to the letter: runs every block of it, and looks for the output that it shows."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.pages import ROOT, appears
from tests.servers.fixtures import needed
from tests.servers.running import eventually

STEP = re.compile(
    r"<!-- (start|stop): (\w+) -->|^```(\w+)\n(.*?)^```|^(?:Save this as|Replace) `([\w.]+)`", re.MULTILINE | re.DOTALL
)


@dataclass
class Reader:
    """A reader of the page: the folder, the environment, and the terminals with running programs."""

    folder: Path
    environment: dict[str, str]
    terminals: dict[str, tuple[subprocess.Popen[bytes], Path]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pwd = self.folder / ".pwd"

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
        typed = f"{commands}pwd > '{self.pwd}'\n"
        done = subprocess.run(
            ["bash", "-e", "-c", typed],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        if not done.returncode:
            self.folder = Path(self.pwd.read_text(encoding="utf-8").strip())
        return done.stdout if not done.returncode else f"{done.stdout}\nfailed: {done.stderr}"

    def sees(self, expected: str, commands: str, terminal: str | None) -> None:
        """Look until every line that is shown has appeared, in this order."""

        def look() -> str:
            if terminal is not None:
                return self.terminals[terminal][1].read_text(encoding="utf-8")
            return self.run(commands)

        eventually(look, lambda output: appears(output, expected), timeout=60)

    def follow(self, page: str) -> list[str]:
        """Do all that a page says, and return the languages of its blocks."""
        file = commands = ""
        starts = terminal = None
        kinds: list[str] = []
        for verb, name, language, block, named in STEP.findall(page):
            if verb == "start":
                starts = name
            elif verb == "stop":
                self.stop(name)
            elif named:
                file = named
            elif language in {"python", "yaml"}:
                (self.folder / file).write_text(block, encoding="utf-8")
            elif language == "sh" and starts:
                self.start(starts, block)
                starts, terminal = None, starts
            elif language == "sh":
                terminal, commands = None, block
                if not _shows_output(page, block):
                    assert "failed:" not in self.run(block)
            else:
                assert language == "text"
                self.sees(block, commands, terminal)
            kinds.append(language)
        return [kind for kind in kinds if kind]


@contextmanager
def reading(folder: Path, programs: Sequence[str]) -> Iterator[Reader]:
    """A reader in a folder with a clone, these servers on PATH, and no settings; at the end, nothing runs."""
    (folder / "otel-ha").symlink_to(ROOT)
    # The reader's python3 is one that suits: the one that runs this test.
    found = [str(Path(sys.executable).parent), *(str(needed(name).parent) for name in programs)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTHON"))}
    reader = Reader(folder, {**inherited, "PATH": os.pathsep.join([*found, os.environ.get("PATH", os.defpath)])})
    try:
        yield reader
    finally:
        for process, _ in reader.terminals.values():
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


def _shows_output(page: str, block: str) -> bool:
    """Whether a block of text, its output, is the next one on the page."""
    after = page.partition(f"```sh\n{block}```")[2]
    return re.match(r".*?^```(\w+)", after, re.MULTILINE | re.DOTALL)[1] == "text" if "```" in after else False
