"""Children: modules that are run in fresh processes, and say what they found in the last line that they print."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def start(module: str, *arguments: object, **environ: str) -> subprocess.Popen[str]:
    """Start a module of this package in a fresh process, with these variables and no other settings of telemetry.

    What is imported may be compiled, as what is installed is, even where the environment says otherwise.
    """
    kept = os.environ.keys() - {"PYTHONDONTWRITEBYTECODE"}
    inherited = {name: os.environ[name] for name in kept if not name.startswith("OTEL_")}
    return subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)],
        cwd=ROOT,
        env={**inherited, **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], *, timeout: float = 300) -> Any:
    """Return what the process found; raise RuntimeError if it fails, and end it if it takes too long."""
    try:
        output, _ = process.communicate(timeout=timeout)
    finally:
        process.kill()
    if process.returncode:
        raise RuntimeError(f"{process.args!r} failed with status {process.returncode}")
    return json.loads(output.rstrip().rpartition("\n")[2])


def run(module: str, *arguments: object, **environ: str) -> Any:
    """Run a module in a fresh process and return what it found."""
    return finish(start(module, *arguments, **environ))


def say(found: object) -> None:
    """Print what was found, as the line that the parent reads."""
    print(json.dumps(found), flush=True)


def progress(text: str) -> None:
    """Tell who waits what is going on."""
    print(f"  {text}", file=sys.stderr, flush=True)
