"""Runs programs that do not know of telemetry under the two commands, in the environment of the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages import ROOT

BIN = Path(sys.executable).parent
OURS = (sys.executable, "-m", "otel_ha.cli", "run")
COMMANDS = {"opentelemetry-instrument": (str(BIN / "opentelemetry-instrument"),), "otel-ha run": OURS}
# Each test starts several processes in turn, on a machine that may be busy.
PATIENT = pytest.mark.timeout(300)
BOTH = pytest.mark.parametrize("command", COMMANDS)


def variables(**environment: str) -> dict[str, str]:
    """The variables of a process: none of the user's, quick settings, and those that are given."""
    return {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "LANG": "C.UTF-8",
        "OTEL_METRICS_EXPORTER": "prometheus",
        "OTEL_EXPORTER_PROMETHEUS_PORT": "0",
        "OTEL_HA_SYSTEM_METRICS": "false",
        **environment,
    }


def run(
    command: str, *program: str, path: Path = ROOT, stdin: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end under a command."""
    return subprocess.run(
        [*COMMANDS[command], *program],
        env=variables(**environment),
        cwd=path,
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=240,
    )


def run_code(command: str, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python's code under a command."""
    return run(command, "python", "-c", code, **environment)
