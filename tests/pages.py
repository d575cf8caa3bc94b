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


def shown(output: str, page: str) -> bool:
    """Whether an output has the lines that a page shows of it, in this order; "…" on the page stands for anything."""
    lines = ("^" + "[^\n]*".join(map(re.escape, line.split("…"))) + "$" for line in page.splitlines())
    return re.search(".*".join(lines), output, re.MULTILINE | re.DOTALL) is not None


def broken_links(page: Path) -> list[str]:
    """The links of a page that lead to no file, or to no heading of one."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    return [link for link in links if not _leads_somewhere(page, link)]


def _leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not anchor or anchor in _anchors(target))


def _anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    anchors = Anchors()
    return {anchors.of(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
