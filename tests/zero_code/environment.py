"""A virtual environment with the built wheel, in which a test runs unmodified programs.

Its dependencies are installed once into the cache of the servers. For each run of the tests, the wheel of this checkout
is built and installed into a new environment, which finds the dependencies by a `.pth` file.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.build import tail
from tests.servers.locate import ROOT, Missing, cache
from tests.zero_code.program import COMMANDS, Program
from tests.zero_code.recipes import Recipe, recipe

BUILD = Recipe("build", ("hatchling>=1.26",), ())
PROGRAMS = Path(__file__).parent / "programs"


@dataclass
class Environment:
    """A virtual environment. Programs that it starts are ended at the end of the test."""

    directory: Path
    logs: Path
    programs: list[Program] = field(default_factory=list)

    @property
    def bin(self) -> Path:
        """The folder of its commands."""
        return self.directory / "bin"

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.bin / "python"

    def start(self, command: str, program: str, *arguments: str, **environment: str) -> Program:
        """Start a program under a command: "opentelemetry-instrument", "otel-ha run", or "" for none.

        The program is a file of the folder `programs`, a path, or a command of the environment such as "appdaemon". It
        serves its metrics at `url` and does not push, unless the variables that are given say otherwise.
        """
        started = Program(self._command_line(command, program, arguments), self.variables(**environment), self.logs)
        self.programs.append(started)
        return started

    def type(self, lines: str, **environment: str) -> Program:
        """Start what a reader types in a shell, in the folder of the test; see start()."""
        started = Program(["bash", "-c", lines], self.variables(**environment), self.logs)
        self.programs.append(started)
        return started

    def variables(self, **environment: str) -> dict[str, str]:
        """Return the variables of a process in this environment: none of the user's, and those that are given."""
        return {"PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}", "HOME": str(self.logs), **environment}

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment to its end."""
        return subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            env=self.variables(**environment),
            cwd=self.logs,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def stop(self) -> None:
        """Kill what still runs."""
        for program in self.programs:
            program.kill()

    def _command_line(self, command: str, program: str, arguments: tuple[str, ...]) -> list[str]:
        if (self.bin / program).is_file():
            target = [str(self.bin / program)]
        else:
            target = [str(self.python), str(PROGRAMS / program)]
        before = COMMANDS[command]
        return [*(str(self.bin / each) for each in before[:1]), *before[1:], *target, *arguments]


def made(name: str, shared: Path) -> Path | Missing:
    """Return the environment of this name, made once for all workers in a directory that they share.

    If that fails, no worker tries again.
    """
    place = shared / name.replace("==", "-")
    failed = _beside(place, "failed")
    with _alone(_beside(place, "lock")):
        if failed.exists():
            return Missing(failed.read_text(encoding="utf-8"))
        found = _once(place, lambda: _make(place, recipe(name)))
        if isinstance(found, Missing):
            failed.write_text(f"the environment {name!r} cannot be made: {found.reason}", encoding="utf-8")
    return found


def _make(target: Path, wanted: Recipe) -> Missing | None:
    wheel, dependencies = _wheel(target.parent / "wheel"), _dependencies(wanted)
    if isinstance(wheel, Missing):
        return wheel
    if isinstance(dependencies, Missing):
        return dependencies
    log = _beside(target, "log")
    if missing := _run(log, sys.executable, "-m", "venv", "--without-pip", str(target)):
        return missing
    for each in dependencies:
        _build_upon(each, target)
    return _run(log, *pip(target), "--no-deps", "--no-index", str(wheel))


def pip(target: Path) -> tuple[str, ...]:
    """Return the command that installs packages into an environment, which needs no pip of its own."""
    command = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")
    return (*command, "--python", str(target / "bin" / "python"), "install")


def _build_upon(base: Path, target: Path) -> None:
    """Let an environment find the packages of another, and give it their commands."""
    (packages,), (own,) = (each.glob("lib/python*/site-packages") for each in (base, target))
    with (own / "dependencies.pth").open("a", encoding="utf-8") as paths:
        paths.write(f"{packages}\n")
    for script in (base / "bin").iterdir():
        text = "" if script.is_symlink() else script.read_text(encoding="utf-8", errors="replace")
        if text.startswith(f"#!{base}"):
            copy = target / "bin" / script.name
            copy.write_text(text.replace(str(base), str(target), 1), encoding="utf-8")
            copy.chmod(0o755)


def _dependencies(wanted: Recipe) -> tuple[Path, ...] | Missing:
    """Return the environments in the cache that have the packages of a recipe, but not ours, the last one first."""
    before = _dependencies(wanted.upon) if wanted.upon else ()
    if isinstance(before, Missing):
        return before
    target = cache() / "environments" / wanted.key
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(_beside(target, "lock")):
        found = _once(target, lambda: _install(target, wanted, before))
    return found if isinstance(found, Missing) else (found, *before)


def _install(target: Path, wanted: Recipe, before: tuple[Path, ...]) -> Missing | None:
    log, constraints = _beside(target, "log"), _beside(target, "txt")
    constraints.write_text("\n".join(wanted.constraints), encoding="utf-8")
    if missing := _run(log, sys.executable, "-m", "venv", "--without-pip", str(target)):
        return missing
    for each in before:
        _build_upon(each, target)
    return _run(log, *pip(target), "-c", str(constraints), *wanted.requirements)


def _wheel(target: Path) -> Path | Missing:
    """Return the wheel of this checkout."""
    with _alone(_beside(target, "lock")):
        builder = _dependencies(BUILD)
        if isinstance(builder, Missing):
            return builder
        command = (str(builder[0] / "bin" / "python"), "-m", "hatchling", "build", "-t", "wheel", "-d", str(target))
        found = _once(target, lambda: _run(_beside(target, "log"), *command))
    return found if isinstance(found, Missing) else next(found.glob("*.whl"))


def _run(log: Path, *command: str) -> Missing | None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "OTEL_"))}
    with log.open("ab") as out:
        code = subprocess.run(command, cwd=ROOT, env=clean, stdout=out, stderr=out, check=False).returncode
    return Missing(f"`{' '.join(command[1:5])} …` failed (exit {code}): {tail(log)}") if code else None


def _once(target: Path, make: Callable[[], Missing | None]) -> Path | Missing:
    """Make a directory, unless it is complete."""
    complete = target / ".complete"
    if not complete.exists():
        shutil.rmtree(target, ignore_errors=True)
        if missing := make():
            return missing
        complete.touch()
    return target


def _beside(directory: Path, suffix: str) -> Path:
    return directory.parent / f"{directory.name}.{suffix}"


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time go on; the lock ends with the process."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
