"""The pages of the documentation: the blocks of code in them, and running these as their readers would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from otel_ha.render.markdown import Anchors

ROOT = Path(__file__).parents[1]
QUIET = {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": "0"}


def blocks(page: Path, language: str = "python") -> list[str]:
    """The blocks of one language, in the order of the page."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def run(code: str) -> str:
    """Run a program on a free port, without a push; it may neither fail nor warn. Returns its output."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(
        command, env={**os.environ, **QUIET}, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def appears(output: str, page: str) -> bool:
    """Whether an output has the lines that a page shows of it, in this order; "…" on the page stands for anything."""
    lines = ("^" + "[^\n]*".join(map(re.escape, line.split("…"))) + "$" for line in page.splitlines())
    return re.search(".*".join(lines), output, re.MULTILINE | re.DOTALL) is not None


def anchors(page: str) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    made = Anchors()
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", page, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {made.of(heading) for heading in headings}
