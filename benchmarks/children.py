"""Child processes: run a module in a fresh process, and read its result from the last line that it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def start(module: str, *arguments: object, **environ: str) -> subprocess.Popen[str]:
    """Start a module of this package in a fresh process, with these variables as its only telemetry settings.

    Imports may write compiled files, as an installed package has them, even if the environment forbids it. The time at
    which a series was created, which costs prometheus_client a line in a scrape, is off: otel-ha has no such line.
    """
    kept = os.environ.keys() - {"PYTHONDONTWRITEBYTECODE"}
    inherited = {name: os.environ[name] for name in kept if not name.startswith("OTEL_")}
    return subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)],
        cwd=ROOT,
        env={**inherited, "PROMETHEUS_DISABLE_CREATED_SERIES": "true", **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], *, timeout: float = 300) -> Any:
    """Return the result of the process; raise RuntimeError if it fails, and kill it if it takes too long."""
    try:
        output, _ = process.communicate(timeout=timeout)
    finally:
        process.kill()
    if process.returncode:
        raise RuntimeError(f"{process.args!r} failed with status {process.returncode}")
    return json.loads(output.rstrip().rpartition("\n")[2])


def heard(process: subprocess.Popen[str], *, timeout: float = 300) -> Any:
    """Return what the process says next; raise RuntimeError if it ends before, and kill it if it takes too long."""
    assert process.stdout is not None
    killing = threading.Timer(timeout, process.kill)
    killing.start()
    try:
        line = process.stdout.readline()
    finally:
        killing.cancel()
    if not line:
        raise RuntimeError(f"{process.args!r} said nothing more: it ended, or was killed after {timeout:g} s")
    return json.loads(line)


def run(module: str, *arguments: object, **environ: str) -> Any:
    """Run a module in a fresh process and return its result."""
    return finish(start(module, *arguments, **environ))


def say(result: object) -> None:
    """Print the result, as the line that the parent reads."""
    print(json.dumps(result), flush=True)


def progress(text: str) -> None:
    """Print a line about the progress to standard error."""
    print(f"  {text}", file=sys.stderr, flush=True)
