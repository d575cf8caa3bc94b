"""Which servers the tests run, at which versions, and where each is found.

Standard library only: the installer runs before there is any venv.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = ROOT / "collector-config" / "otelcol" / "builder.yaml"

# Daemons live in sbin, which an ordinary user's PATH often lacks.
_SBIN = os.pathsep.join(("/usr/local/sbin", "/usr/sbin", "/sbin"))


@dataclass(frozen=True)
class GoBuild:
    """A server that is compiled from pinned Go modules."""

    module: str
    version: str
    packages: tuple[str, ...]
    go: tuple[int, int]  # the oldest Go that the module's own go.mod accepts
    minutes: str  # from nothing, on two cores; told to who waits
    tags: str = ""
    ldflags: str = "-s -w"


@dataclass(frozen=True)
class DebianPackage:
    """A server that Debian (and what derives from it) packages as it is needed here."""

    package: str


@dataclass(frozen=True)
class Program:
    """An executable: the variable that names one's own, and what to ask it before one found on PATH is trusted."""

    name: str
    variable: str
    server: str
    ask: tuple[str, ...] = ()
    answer: str = ""  # a pattern that the output must hold
    needs: str = ""


@dataclass(frozen=True)
class Missing:
    """Why a program cannot be run here: one line, for whoever reads a skipped test."""

    reason: str


# Every version in one place; the Collector's modules are pinned in its manifest, which is the user's file too.
SERVERS: dict[str, GoBuild | DebianPackage] = {
    "otelcol": GoBuild(
        "go.opentelemetry.io/collector/cmd/builder", "v0.159.0", packages=(), go=(1, 25), minutes="about 4 minutes"
    ),
    "prometheus": GoBuild(
        "github.com/prometheus/prometheus",
        "v0.316.0",
        packages=("cmd/prometheus", "cmd/promtool"),
        go=(1, 25),
        minutes="about 3 minutes",
        tags="netgo,remove_all_sd",  # no cloud SDKs: the tests list their targets
        ldflags="-s -w -X github.com/prometheus/common/version.Version=3.16.0",
    ),
    "victoria-metrics": GoBuild(
        "github.com/VictoriaMetrics/VictoriaMetrics",
        "v1.150.0",
        packages=("app/victoria-metrics",),
        go=(1, 26),
        minutes="under a minute",
        tags="netgo",
    ),
    "mosquitto": DebianPackage("mosquitto"),
    "influxdb": DebianPackage("influxdb"),
}

PROGRAMS = {
    program.name: program
    for program in (
        Program(
            "otelcol",
            "OTELCOL",
            "otelcol",
            ask=("components",),
            answer=r"(?s)otlp_http.*file_storage|file_storage.*otlp_http",
            needs="the components otlp_http and file_storage",
        ),
        Program(
            "prometheus", "PROMETHEUS", "prometheus", ("--version",), r"version ([3-9]|\d\d)\.", "version 3 or later"
        ),
        Program("promtool", "PROMTOOL", "prometheus", ("--version",), r"version ([3-9]|\d\d)\.", "version 3 or later"),
        Program("victoria-metrics", "VICTORIA_METRICS", "victoria-metrics"),
        Program("mosquitto", "MOSQUITTO", "mosquitto"),
        Program("influxd", "INFLUXD", "influxdb", ("version",), r"InfluxDB v1\.", "version 1.x"),
    )
}


def cache() -> Path:
    """The directory that holds what was built: outside the tree, so that a clean checkout costs no rebuild."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "otel-ha" / "servers"


def directory(server: str) -> Path:
    """Where a built server lives; another version, or another manifest, is another directory."""
    build = SERVERS[server]
    if isinstance(build, DebianPackage):
        raise TypeError(f"{server} is Debian's: it has no directory of its own")
    mark = _manifest_hash() if server == "otelcol" else build.version
    return cache() / f"{server}-{mark}"


def _manifest_hash() -> str:
    """Of what the manifest says, not of its comments: a better comment is no reason to build for minutes."""
    lines = (line.split(" #")[0].rstrip() for line in MANIFEST.read_text(encoding="utf-8").splitlines())
    said = "\n".join(line for line in lines if line and not line.lstrip().startswith("#"))
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def find(name: str) -> Path | Missing:
    """The program to run: the one its variable names, else a suitable one on PATH, else the one that was built."""
    program = PROGRAMS[name]
    named = os.environ.get(program.variable)
    if named:
        path = Path(named).expanduser()
        usable = path.is_file() and os.access(path, os.X_OK)
        return path if usable else Missing(f"{program.variable}={named} names no executable file")
    reason = f"{name}: not on PATH, {program.variable} is not set"
    on_path = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), _SBIN)))
    if on_path:
        if suits(program, Path(on_path)):
            return Path(on_path)
        reason = f"{name}: {on_path} is not {program.needs}"
    return _built(program) or Missing(f"{reason}; `make servers` gets it")


def suits(program: Program, path: Path) -> bool:
    """Ask the program itself; one that does not answer within seconds will not do."""
    if not program.ask:
        return True
    try:
        done = subprocess.run([path, *program.ask], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return re.search(program.answer, done.stdout + done.stderr) is not None


def _built(program: Program) -> Path | None:
    if isinstance(SERVERS[program.server], DebianPackage):
        return None
    path = directory(program.server) / program.name
    return path if path.is_file() else None
