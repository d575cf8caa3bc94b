"""Get the servers that the tests need, into a cache outside the tree.

    python3 tests/servers/install.py [--all] [--list] [--strict] [NAME ...]

The Collector, Prometheus 3, VictoriaMetrics with vmalert, Alertmanager, Thanos, Jaeger and VictoriaLogs are built with
Go from pinned modules; mosquitto, influxdb and chromium come from Debian if this runs as root; Home Assistant comes
from PyPI, in a venv of its own. Alertmanager, Thanos, Jaeger, VictoriaLogs, chromium and Home Assistant are installed
only with --all, with CI=true, or by name.

A program on PATH, or one that its variable names (OTELCOL, PROMETHEUS, PROMTOOL, VICTORIA_METRICS, VMALERT,
VMALERT_TOOL, MOSQUITTO, INFLUXD, ALERTMANAGER, AMTOOL, THANOS, JAEGER, VICTORIA_LOGS, CHROMIUM, HASS), is used instead.
A server that is not available is reported in one line, and the others are still installed. Standard library only.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

if __name__ == "__main__":  # run as a script, the import path starts here, not at the top of the checkout
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.servers.build import build, sweep
from tests.servers.locate import (
    PROGRAMS,
    SERVERS,
    USUAL,
    DebianPackage,
    GoBuild,
    Missing,
    PythonVenv,
    cache,
    find,
    in_ci,
)
from tests.servers.venv import make_venv


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 also when something is missing (its tests are skipped), unless --strict."""
    options = _parser().parse_args(arguments)
    names = options.names or list(SERVERS if options.all or options.list or in_ci() else USUAL)
    if options.list:
        _list(names)
        return 0
    signal.signal(signal.SIGTERM, _terminated)  # so that an interrupted build cleans up
    with _alone():
        sweep()
        missing = [name for name in names if not _ensure(name)]
    return 1 if missing and options.strict else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Get the servers that the tests need, into a cache outside the tree.")
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *SERVERS], help=", ".join(SERVERS))
    parser.add_argument(
        "--all", action="store_true", help=f"also {', '.join(name for name in SERVERS if name not in USUAL)}"
    )
    parser.add_argument("--list", action="store_true", help="list the programs and their paths; install nothing")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if anything is not available")
    return parser


def _list(names: list[str]) -> None:
    for name in names:
        for program in _programs(name):
            found = find(program)
            print(f"{program:17} {found.reason if isinstance(found, Missing) else found}")


def _ensure(name: str) -> bool:
    """True when every program of this server can be run."""
    if _have(name):
        return True
    recipe = SERVERS[name]
    match recipe:
        case DebianPackage():
            got = _from_debian(name, recipe)
        case PythonVenv():
            got = make_venv(name, recipe)
        case GoBuild():
            got = build(name, recipe)
    if isinstance(got, Missing):
        print(f"{name}: not available: {got.reason}. Its tests will be skipped (with CI=true they fail).", flush=True)
        return False
    return _have(name)


def _have(name: str) -> bool:
    found = [find(program) for program in _programs(name)]
    if any(isinstance(each, Missing) for each in found):
        return False
    print(f"{name}: {', '.join(map(str, found))}", flush=True)
    return True


def _programs(name: str) -> list[str]:
    return [program.name for program in PROGRAMS.values() if program.server == name]


def _from_debian(name: str, recipe: DebianPackage) -> Path | Missing:
    if not shutil.which("apt-get"):
        return Missing("it is installed from Debian packages, and there is no apt-get")
    if os.geteuid():
        return Missing(f"it is installed from Debian packages, which needs root: apt-get install {recipe.package}")
    # With systemd, Debian starts the installed service: say so first.
    print(
        f"{name}: apt-get install {recipe.package} (on a machine with systemd this starts its service too)", flush=True
    )
    log = cache() / f"{name}.log"
    install = ["apt-get", "install", "--yes", "--no-install-recommends", recipe.package]
    with log.open("wb") as out:
        for command in (["apt-get", "update"], install):
            code = _apt(command, out.fileno())
    if code:
        return Missing(f"apt-get failed (exit {code}); see {log}")
    return log


def _apt(command: list[str], out: int) -> int:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(
        command, env=environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL, check=False
    ).returncode


@contextmanager
def _alone() -> Iterator[None]:
    """One run at a time: two builds of the same server would take twice as long. The lock ends with the process."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another run is installing servers: waiting for it to end", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _terminated(_number: int, _frame: FrameType | None) -> None:
    sys.exit(143)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
