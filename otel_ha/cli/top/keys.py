"""The terminal in full-screen mode: keys and signals, without a thread, and the way back, however the program ends."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from types import FrameType
from typing import Any, Self

__all__ = ["Terminal"]

_OTHER_SCREEN = "\x1b[?1049h"
_MODES = "\x1b[?25l\x1b[?7l"
"""No cursor, and no wrapping: a character that is wider than expected must not move the lines below."""

_LEAVE = "\x1b[?7h\x1b[?25h\x1b[0m\x1b[?1049l"

_KEY = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)
_ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}
_NAMES = {
    "\x1b": "escape",
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\x08": "backspace",
    **{f"\x1b{start}{end}": name for start in "[O" for end, name in _ARROWS.items()},
}
_REST_OF_A_KEY = 0.05
"""Seconds within which the rest of a key's sequence follows its escape character."""

_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SIGNALS = (*_ENDS, signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)


class Terminal:
    """The terminal while a full screen is shown; a context manager that restores it.

    Signals do not interrupt the program; they arrive with the keys. Ctrl-Z restores the terminal and stops the process;
    once it continues, it takes the terminal again.
    """

    def __init__(self) -> None:
        self._input = sys.stdin.fileno()
        self._before: list[Any] = []
        self._is_taken = False
        self._handlers: dict[signal.Signals, Any] = {}
        self._signals, self._wake = os.pipe()

    def __enter__(self) -> Self:
        """Take the terminal."""
        self._before = termios.tcgetattr(self._input)
        os.set_blocking(self._wake, False)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        self._handlers = {each: signal.signal(each, _nothing) for each in _SIGNALS}
        self._take()
        return self

    def __exit__(self, *_: object) -> None:
        """Give the terminal back as it was."""
        self._give_back()
        for each, handler in self._handlers.items():
            signal.signal(each, handler)
        signal.set_wakeup_fd(-1)
        os.close(self._signals)
        os.close(self._wake)

    def wait(self, seconds: float, other: int) -> list[str]:
        """Wait for keys, signals or something to read from another file descriptor, at most so many seconds.

        Return the keys by name, or as their character: signals that end the program by
        theirs, such as "SIGTERM", and "eof" if the terminal is gone.
        """
        readable, _, _ = select.select([self._input, self._signals, other], [], [], max(0.0, seconds))
        found: list[str] = []
        if self._signals in readable:
            found += self._received()
        if self._input in readable:
            found += self._pressed()
        return found

    def _received(self) -> Iterator[str]:
        for number in set(os.read(self._signals, 1_024)):
            if number in _ENDS:
                yield signal.Signals(number).name
            elif number == signal.SIGTSTP:
                self._stop()
            elif number == signal.SIGCONT:  # the shell may have changed the terminal meanwhile
                self._take()

    def _stop(self) -> None:
        """Stop the process as Ctrl-Z does, with the terminal as it was; go on when the process continues."""
        self._give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, _nothing)
        self._take()

    def _pressed(self) -> Iterator[str]:
        text = self._read()
        if text.endswith(("\x1b", "\x1b[", "\x1bO")) and select.select([self._input], [], [], _REST_OF_A_KEY)[0]:
            text += self._read()
        if not text:
            yield "eof"
        for key in _KEY.findall(text):
            yield _NAMES.get(key, key)

    def _read(self) -> str:
        try:
            return os.read(self._input, 1_024).decode(errors="replace")
        except OSError:  # the terminal is gone
            return ""

    def _take(self) -> None:
        """Take the terminal, or, if it is taken, only its modes: entering twice would lose the cursor's place."""
        tty.setcbreak(self._input, termios.TCSADRAIN)
        _write(_MODES if self._is_taken else _OTHER_SCREEN + _MODES)
        self._is_taken = True

    def _give_back(self) -> None:
        self._is_taken = False
        try:
            _write(_LEAVE)
            termios.tcsetattr(self._input, termios.TCSADRAIN, self._before)
        except (OSError, termios.error):  # the terminal is gone
            pass


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the wake-up file descriptor tells the signal."""
