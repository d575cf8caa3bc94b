"""Take the README's picture of the status page from the demo: `python -m docs.picture [SECONDS [FILE]]`.

Needs the extra `dev` and Chromium, as the tests do.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.browser import launched, opened
from tests.servers.locate import ROOT, Missing, find

PICTURE = ROOT / "docs" / "images" / "status-page.png"
SECONDS = 60.0
"""Seconds of the demo that the charts show."""

WIDTH = 1400
LOWEST = 1400
"""The picture ends before the first section that reaches below this line, in pixels."""
MARGIN = 16


@contextmanager
def demo(seconds: float) -> Iterator[str]:
    """Run the demo, and yield the URL of its page."""
    settings = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONUNBUFFERED": "1",
        "OTEL_METRICS_EXPORTER": "prometheus",
        "OTEL_HA_HISTORY_INTERVAL": "1",
    }
    command = [sys.executable, "-m", "examples.demo", "--port", "0", "--duration", str(seconds + 60)]
    with subprocess.Popen(command, cwd=ROOT, env=settings, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield address(process)
        finally:
            process.terminate()
            process.communicate()


def address(process: subprocess.Popen[str]) -> str:
    """Return the address that the demo prints."""
    for line in process.stdout or ():
        found = re.search(r"http://[\w.]+:\d+/", line)
        if found:
            return found[0]
    raise SystemExit("picture: the demo has ended without an address; see what it says above")


def take(url: str, program: Path, file: Path) -> None:
    """Take a picture of the upper part of the page, down to the end of a section."""
    with launched(program) as browser, opened(browser, url, width=WIDTH, color_scheme="light") as sight:
        ends = sight.page.locator("main > section").evaluate_all(
            "all => all.map(each => each.getBoundingClientRect().bottom + scrollY)"
        )
        height = max((end + MARGIN for end in ends if end <= LOWEST), default=LOWEST)
        sight.page.screenshot(path=file, full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": height})


def main(arguments: list[str]) -> None:
    """Run the demo, wait, and take the picture."""
    program = find("chromium")
    if isinstance(program, Missing):
        raise SystemExit(f"picture: {program.reason}")
    seconds = float(arguments[0]) if arguments else SECONDS
    file = Path(arguments[1]) if arguments[1:] else PICTURE
    with demo(seconds) as url:
        time.sleep(seconds)
        take(url, program, file)
    sys.stdout.write(f"{file}: {file.stat().st_size / 1000:.0f} kB\n")


if __name__ == "__main__":
    main(sys.argv[1:])
