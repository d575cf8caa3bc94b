"""A command in a pseudo terminal. Run as a module, it makes its standard input the terminal that controls it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from typing import Self

WITHIN = 30.0
HOME = "\x1b[H"
STYLE = re.compile(r"\x1b\[[0-9;]*m")


class Terminal:
    """A command in a pseudo terminal of a size; a context manager that ends it."""

    def __init__(self, command: Sequence[str], size: tuple[int, int] = (80, 24), **environment: str) -> None:
        self._controller, self._terminal = pty.openpty()
        self.resize(*size)
        self.before = termios.tcgetattr(self._terminal)
        self.written = ""
        variables = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8", **environment}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.terminal", *command],
            env=variables,
            stdin=self._terminal,
            stdout=self._terminal,
            stderr=self._terminal,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._terminal)
        os.close(self._controller)

    def resize(self, width: int, height: int) -> None:
        """Change the size, as a person does with a window; the command gets SIGWINCH."""
        termios.tcsetwinsize(self._controller, (height, width))

    def press(self, keys: str) -> None:
        os.write(self._controller, keys.encode())

    def until(self, condition: Callable[[str], bool] | str) -> str:
        """Wait until the screen has a text or meets a condition, and return it."""
        meets = condition if callable(condition) else lambda screen: condition in screen
        until = time.monotonic() + WITHIN
        while not meets(self.screen):
            if time.monotonic() > until or not self._read(until - time.monotonic()):
                raise AssertionError(f"the screen has not {condition!r} but {self.written[-6_000:]!r}")
        return self.screen

    def until_written(self, text: str) -> None:
        """Wait until the command has written a text, wherever."""
        until = time.monotonic() + WITHIN
        while text not in self.written:
            if time.monotonic() > until or not self._read(until - time.monotonic()):
                raise AssertionError(f"the terminal has not {text!r} but {self.written[-6_000:]!r}")

    def end(self) -> int:
        """Wait until the command ends and return its exit code."""
        until = time.monotonic() + WITHIN
        while self.process.poll() is None and time.monotonic() < until:
            self._read(0.05)
        while self._read(0.05):
            pass
        return self.process.wait(timeout=0.1)

    @property
    def screen(self) -> str:
        """The newest drawing that is complete, without styles: another one, or the end, follows it."""
        drawn = STYLE.sub("", self.written).split(HOME)
        return drawn[-2] if len(drawn) > 2 else ""

    @property
    def is_restored(self) -> bool:
        """Whether the terminal is in the state in which the command found it: its modes, the screen and the cursor."""
        modes = termios.tcgetattr(self._terminal) == self.before
        places = [self.written.rfind(each) for each in ("\x1b[?1049l", "\x1b[?25h", "\x1b[?7h")]
        taken = [self.written.rfind(each) for each in ("\x1b[?1049h", "\x1b[?25l", "\x1b[?7l")]
        return modes and all(given > took >= 0 for given, took in zip(places, taken, strict=True))

    def _read(self, seconds: float) -> bool:
        """Read what the command writes; return False if it writes nothing for so long."""
        if not select.select([self._controller], [], [], max(0.0, seconds))[0]:
            return False
        self.written += os.read(self._controller, 65_536).decode(errors="replace")
        return True


if __name__ == "__main__":
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.execvp(sys.argv[1], sys.argv[1:])
