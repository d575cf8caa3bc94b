"""The Python that a command runs, as far as it can be known, and whether telemetry can start in it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

__all__ = ["Interpreter", "interpreter_of", "start_folder"]

_NAME: Final = re.compile(r"(python|pypy)[\d.]*")
_STARTER: Final = "opentelemetry.instrumentation.auto_instrumentation"
# It prints the folder of the module that starts telemetry, or nothing if the environment cannot do that.
_LOOK: Final = f"""
import importlib.util, os
found = importlib.util.find_spec("otel_ha") and importlib.util.find_spec("{_STARTER}")
print(os.path.dirname(found.origin) if found else "")
"""
_LOOKING: Final = 20.0
_LONG: Final = re.compile(r"'''exec' (?P<interpreter>.+) \"\$0\" \"\$@\"")
"""The second line of a console script whose interpreter's path has a space, or is too long for the first line."""


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """An interpreter of Python, as a command or a script's first line names it, and the options it gets."""

    path: str
    options: Sequence[str]

    @property
    def ignoring(self) -> str | None:
        """The option that makes it ignore PYTHONPATH, or run no start-up module; None if there is none."""
        options = iter(self.options)
        for option in options:
            if not option.startswith("-") or option == "-":
                return None
            if option.startswith("--"):
                next(options, None)  # the only long option has a value
                continue
            for place, letter in enumerate(option[1:], 2):
                if letter in "IES":
                    return f"-{letter}"
                if letter in "cm":
                    return None
                if letter in "WX":
                    if place == len(option):
                        next(options, None)
                    break
        return None

    @property
    def is_ours(self) -> bool:
        """Whether it belongs to the environment of this command."""
        ours = Path(sys.executable)
        # An environment's interpreter is a link, as those of other environments, and a folder may have several ones.
        same_folder = Path(self.path).parent.absolute() == ours.parent.absolute()
        return same_folder and Path(self.path).resolve() == ours.resolve()

    def start_folder(self, environment: Mapping[str, str]) -> str | None:
        """Return the folder of the start-up module in its environment; None if otel-ha is not installed there."""
        if self.is_ours:
            return start_folder()
        variables = {**environment, "OTEL_SDK_DISABLED": "true"}
        command = [self.path, "-c", _LOOK]
        try:
            done = subprocess.run(  # noqa: S603 - the user's own interpreter
                command, env=variables, check=False, capture_output=True, text=True, timeout=_LOOKING
            )
        except (OSError, subprocess.TimeoutExpired, UnicodeError):
            return None
        return done.stdout.rstrip("\n") or None if done.returncode == 0 else None


def start_folder() -> str:
    """Return the folder whose sitecustomize module starts telemetry before a program, in this environment."""
    found = find_spec(_STARTER)
    assert found is not None, _STARTER  # noqa: S101 - it is a dependency
    assert found.origin is not None, _STARTER  # noqa: S101
    return str(Path(found.origin).parent)


def interpreter_of(command: Sequence[str], path: str) -> Interpreter | None:
    """Return the Python that a command runs: it is one, or a script of one; None if that cannot be known.

    `path` is the value of PATH by which a name without a slash is found.
    """
    program = shutil.which(command[0], path=path)
    if program is None:
        return None
    if _NAME.fullmatch(Path(program).name):
        return Interpreter(path=program, options=command[1:])
    words = _first_words(program)
    if words and Path(words[0]).name == "env":
        words = [word for word in words[1:] if word not in {"-S", "--split-string"}]
        words[:1] = [shutil.which(words[0], path=path) or ""] if words else []
    if words and _NAME.fullmatch(Path(words[0]).name):
        return Interpreter(path=words[0], options=words[1:])
    return None


def _first_words(program: str) -> list[str]:
    """Return the words of a script's first line, after #!; nothing for any other file."""
    try:
        with open(program, "rb") as stream:  # noqa: PTH123 - a path of any shape
            first, second = (os.fsdecode(stream.readline(4096)).strip() for _ in range(2))
        if not first.startswith("#!"):
            return []
        long = _LONG.fullmatch(second)
        return shlex.split(long["interpreter"] if long else first[2:])
    except (OSError, ValueError):  # it cannot be read, or its quotes do not match
        return []
