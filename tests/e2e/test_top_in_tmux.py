"""`otel-ha top` in a real terminal, that of tmux: it fits, follows the window, and gives the terminal back."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.started import service
from tests.servers.running import eventually

TMUX = shutil.which("tmux")
pytestmark = pytest.mark.skipif(TMUX is None, reason="tmux is not installed")
PROMPT = "the-prompt>"


class Tmux:
    """A shell in a tmux of its own, of 80x24."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(socket.parent)}
        self._run("-f", os.devnull, "new-session", "-d", "-x", "80", "-y", "24", "sh")
        self.type(f"PS1='{PROMPT} '\n")
        self.until(lambda screen: screen.rstrip().endswith(PROMPT))

    def _run(self, *arguments: str) -> str:
        command = [TMUX, "-u", "-S", str(self._socket), *arguments]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=True).stdout

    def type(self, text: str) -> None:
        self._run("send-keys", "-l", text)

    def press(self, key: str) -> None:
        self._run("send-keys", key)

    def resize(self, width: int, height: int) -> None:
        self._run("resize-window", "-x", str(width), "-y", str(height))

    @property
    def lines(self) -> list[str]:
        return self._run("capture-pane", "-p").removesuffix("\n").split("\n")

    def until(self, condition: Callable[[str], bool]) -> list[str]:
        """Wait until the screen meets a condition, and return its lines."""

        seen: list[str] = []

        def met() -> bool:
            seen[:] = self.lines
            return condition("\n".join(seen))

        try:
            eventually(met)
        except AssertionError as error:
            raise AssertionError("the screen is:\n" + "\n".join(seen)) from error
        return seen

    def end(self) -> None:
        self._run("kill-server")


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    terminal = Tmux(tmp_path / "tmux")
    yield terminal
    terminal.end()


@pytest.fixture
def top(tmux: Tmux) -> Iterator[Tmux]:
    """A screen of a real service, with a line of the shell before it."""
    with service("wait", "http://127.0.0.1:9", OTEL_METRICS_EXPORTER="prometheus") as process:
        tmux.type("echo before\n")
        tmux.type(f"{sys.executable} -m otel_ha.cli top --interval 0.2 {process.metrics_url}\n")
        tmux.until(lambda screen: "test-service  ok" in screen and "q quit" in screen)
        yield tmux


def is_a_shell_again(screen: str) -> bool:
    return "before" in screen and "q quit" not in screen and screen.rstrip().endswith(PROMPT)


def test_it_fits_80x24_from_the_first_line_to_the_last(top):
    lines = top.lines
    assert len(lines) == 24
    assert lines[0].startswith("test-service  ok")
    assert re.search(r"\d\d:\d\d:\d\d$", lines[0])
    assert lines[-1].startswith("q quit")


def test_it_follows_the_size_of_the_window(top):
    for width, height in ((120, 40), (40, 10), (80, 24)):
        top.resize(width, height)
        lines = top.until(
            lambda screen, above=height - 1: re.match(rf"test-service  ok(.*\n){{{above}}}q quit", screen) is not None
        )
        assert len(lines) == height


def test_q_gives_the_terminal_back_with_what_was_on_it(top):
    top.press("q")
    top.until(is_a_shell_again)
    top.type("stty -a | grep -o '.icanon\\|.echo '\n")
    # On a busy machine, the shell shows its prompt after the command has been typed.
    top.until(lambda screen: re.search(rf"^({PROMPT} )? icanon$", screen, re.MULTILINE) is not None)


def test_ctrl_z_gives_the_terminal_back_and_fg_takes_it_again(top):
    top.press("C-z")
    top.until(is_a_shell_again)
    top.type("fg\n")
    lines = top.until(lambda screen: screen.startswith("test-service  ok") and "q quit" in screen)
    assert len(lines) == 24
    top.press("q")
    top.until(is_a_shell_again)
