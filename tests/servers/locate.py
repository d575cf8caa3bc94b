"""The servers that the tests run: their versions, and where each is found.

Standard library only: the installer runs before there is any venv.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
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
    minutes: str  # from nothing, on two cores; shown while the user waits
    tags: str = ""
    ldflags: str = "-s -w"
    adds: Mapping[str, str] = field(default_factory=dict)  # files that the published module lacks, by their path


@dataclass(frozen=True)
class PythonVenv:
    """A server in Python, installed in a venv of its own with the versions that its own constraints pin."""

    package: str
    version: str
    python: str
    extras: tuple[str, ...]  # what the server would install itself when it starts
    constraints: str  # the path of the file in the server's wheel
    minutes: str


@dataclass(frozen=True)
class DebianPackage:
    """A server whose package in Debian and its derivatives suits the tests."""

    package: str


@dataclass(frozen=True)
class Version:
    """A version that is new enough, and not of a later series that works differently."""

    oldest: tuple[int, int]
    pattern: str  # its groups are the major and the minor version
    below: tuple[int, int] | None = None

    def objection(self, answer: str) -> str | None:
        """Return the reason why a program that answered so will not do."""
        found = re.search(self.pattern, answer)
        if not found:
            return f"states no version ({self} is needed)"
        version = (int(found[1]), int(found[2]))
        fits = version >= self.oldest and (self.below is None or version < self.below)
        return None if fits else f"is version {dotted(version)} ({self} is needed)"

    def __str__(self) -> str:
        return f"{dotted(self.oldest)} or later" + (f", below {dotted(self.below)}" if self.below else "")


@dataclass(frozen=True)
class Components:
    """Components that a Collector must be built with."""

    names: tuple[str, ...]

    def objection(self, answer: str) -> str | None:
        """Return the reason why a program that answered so will not do."""
        missing = [name for name in self.names if not re.search(rf"\b{name}\b", answer)]
        return f"lacks the components {', '.join(missing)}" if missing else None


@dataclass(frozen=True)
class Program:
    """An executable: the variable that names the user's own, and the question that one found on PATH must answer."""

    name: str
    variable: str
    server: str
    ask: tuple[str, ...]
    needs: Version | Components


@dataclass(frozen=True)
class Missing:
    """The reason why a program cannot be run here, in one line for the report of a skipped test."""

    reason: str


# Every version in one place; the Collector's modules are pinned in its manifest, which is the user's file too.
SERVERS: dict[str, GoBuild | PythonVenv | DebianPackage] = {
    "otelcol": GoBuild(
        "go.opentelemetry.io/collector/cmd/builder", "v0.159.0", packages=(), go=(1, 25), minutes="about 4 minutes"
    ),
    "prometheus": GoBuild(
        "github.com/prometheus/prometheus",
        "v0.316.0",
        packages=("cmd/prometheus", "cmd/promtool"),
        go=(1, 26),
        minutes="about 3 minutes",
        tags="netgo,remove_all_sd",  # no cloud SDKs: the tests list their targets
        ldflags="-s -w -X github.com/prometheus/common/version.Version=3.16.0",
    ),
    "victoria-metrics": GoBuild(
        "github.com/VictoriaMetrics/VictoriaMetrics",
        "v1.150.0",
        packages=("app/victoria-metrics", "app/vmalert", "app/vmalert-tool"),
        go=(1, 26),
        minutes="about a minute",
        tags="netgo",
        ldflags="-s -w -X github.com/VictoriaMetrics/VictoriaMetrics/lib/buildinfo.Version=victoria-metrics-v1.150.0",
    ),
    "mosquitto": DebianPackage("mosquitto"),
    "influxdb": DebianPackage("influxdb"),
    "alertmanager": GoBuild(
        "github.com/prometheus/alertmanager",
        "v0.34.2",
        packages=("cmd/alertmanager", "cmd/amtool"),
        go=(1, 26),
        minutes="about 3 minutes",
        tags="netgo",
        ldflags="-s -w -X github.com/prometheus/common/version.Version=0.34.2",
        adds={"ui/app/dist/index.html": "<p>This build of Alertmanager has no pages, only its API.</p>\n"},
    ),
    "thanos": GoBuild(
        "github.com/thanos-io/thanos",
        "v0.42.0",
        packages=("cmd/thanos",),
        go=(1, 26),
        minutes="about 3 minutes",
        tags="netgo,slicelabels",  # without slicelabels, a receiver panics when a querier asks it
        ldflags="-s -w -X github.com/prometheus/common/version.Version=0.42.0",
    ),
    "jaeger": GoBuild(
        "github.com/jaegertracing/jaeger",
        "v1.76.0",
        packages=("cmd/jaeger",),  # Jaeger 2.13: the module has both; version 1 (cmd/all-in-one) is not maintained
        go=(1, 24),
        minutes="about 5 minutes",
        tags="netgo",
        ldflags="-s -w -X github.com/jaegertracing/jaeger/internal/version.latestVersion=v2.13.0",
    ),
    "victoria-logs": GoBuild(
        "github.com/VictoriaMetrics/VictoriaLogs",
        "v1.52.1",
        packages=("app/victoria-logs",),
        go=(1, 26),
        minutes="about half a minute",
        tags="netgo",
        ldflags="-s -w -X github.com/VictoriaMetrics/VictoriaMetrics/lib/buildinfo.Version=victoria-logs-v1.52.1",
    ),
    "chromium": DebianPackage("chromium"),
    "home-assistant": PythonVenv(
        "homeassistant",
        "2025.4.4",
        python="3.13",
        extras=("home-assistant-frontend", "PyNaCl"),
        constraints="homeassistant/package_constraints.txt",
        minutes="about 2 minutes",
    ),
}
# The servers that everyone's `make test` gets. The others take longer, and CI gets them.
USUAL = ("otelcol", "prometheus", "victoria-metrics", "mosquitto", "influxdb")

# The oldest versions that the tests pass with. Prometheus: promtool knows fuzzy_compare since 3.5, and prometheus.yml
# needs 3.1. VictoriaMetrics: -opentelemetry.promoteScopeMetadata came with 1.145. InfluxDB and Mosquitto: as Debian 12
# has them. The Collector: otlp_http has this name since 0.144. Nothing older was tried of
# Alertmanager, Thanos, Jaeger, VictoriaLogs and Chromium.
PROGRAMS = {
    program.name: program
    for program in (
        Program("otelcol", "OTELCOL", "otelcol", ("components",), Components(("otlp_http", "file_storage", "filter"))),
        Program("prometheus", "PROMETHEUS", "prometheus", ("--version",), Version((3, 5), r"version (\d+)\.(\d+)")),
        Program("promtool", "PROMTOOL", "prometheus", ("--version",), Version((3, 5), r"version (\d+)\.(\d+)")),
        Program(
            "victoria-metrics",
            "VICTORIA_METRICS",
            "victoria-metrics",
            ("--version",),
            # victoria-metrics-20261015-101010-tags-v1.150.0-0-g0123456789; Debian's states none.
            Version((1, 145), r"\bv(\d+)\.(\d+)"),
        ),
        Program("vmalert", "VMALERT", "victoria-metrics", ("--version",), Version((1, 145), r"\bv(\d+)\.(\d+)")),
        # It states no version, so that the built one is run and not one on PATH.
        Program("vmalert-tool", "VMALERT_TOOL", "victoria-metrics", ("--help",), Version((1, 145), r"\bv(\d+)\.(\d+)")),
        # It has no --version; -h says it, before the usage.
        Program("mosquitto", "MOSQUITTO", "mosquitto", ("-h",), Version((2, 0), r"mosquitto version (\d+)\.(\d+)")),
        Program(
            "influxd", "INFLUXD", "influxdb", ("version",), Version((1, 6), r"InfluxDB v(\d+)\.(\d+)", below=(2, 0))
        ),
        Program(
            "alertmanager", "ALERTMANAGER", "alertmanager", ("--version",), Version((0, 34), r"version (\d+)\.(\d+)")
        ),
        Program("amtool", "AMTOOL", "alertmanager", ("--version",), Version((0, 34), r"version (\d+)\.(\d+)")),
        Program("thanos", "THANOS", "thanos", ("--version",), Version((0, 42), r"version (\d+)\.(\d+)")),
        # {"gitCommit":"","gitVersion":"v2.13.0","buildDate":""}
        Program("jaeger", "JAEGER", "jaeger", ("version",), Version((2, 13), r"[vV]ersion\W+v(\d+)\.(\d+)")),
        Program(
            "victoria-logs", "VICTORIA_LOGS", "victoria-logs", ("--version",), Version((1, 52), r"\bv(\d+)\.(\d+)")
        ),
        Program("chromium", "CHROMIUM", "chromium", ("--version",), Version((120, 0), r"Chromium (\d+)\.(\d+)")),
        # The blueprint's words for triggers and actions came with 2024.10.
        Program("hass", "HASS", "home-assistant", ("--version",), Version((2024, 10), r"^(\d+)\.(\d+)")),
    )
}


def in_ci() -> bool:
    """Whether every server is needed: a missing one then fails its tests instead of skipping them."""
    return os.environ.get("CI", "").lower() == "true"


def cache() -> Path:
    """The directory of built servers: outside the tree, so that a clean checkout needs no rebuild."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "otel-ha" / "servers"


def directory(server: str) -> Path:
    """The directory of a built server; it changes with the version or the manifest."""
    build = SERVERS[server]
    if isinstance(build, DebianPackage):
        raise TypeError(f"{server} is Debian's: it has no directory of its own")
    mark = _manifest_hash() if server == "otelcol" else build.version
    return cache() / f"{server}-{mark}"


def _manifest_hash() -> str:
    """A hash of the manifest without its comments, so that a changed comment causes no rebuild."""
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
    reason = "not on PATH"
    on_path = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), _SBIN)))
    if on_path:
        objection = _objection(program, Path(on_path))
        if objection is None:
            return Path(on_path)
        reason = f"{on_path} {objection}"
    getting = "make servers" if program.server in USUAL else "make servers ALL=1"
    return _built(program) or Missing(f"{name}: {reason}, {program.variable} is not set; `{getting}` gets it")


def _objection(program: Program, path: Path) -> str | None:
    """Ask the program itself and return the reason why it will not do."""
    try:
        done = subprocess.run([path, *program.ask], capture_output=True, text=True, timeout=20, check=False)
    except OSError as error:
        return f"cannot be run ({error.strerror})"
    except subprocess.TimeoutExpired:
        return "does not answer"
    return program.needs.objection(done.stdout + done.stderr)


def dotted(version: tuple[int, int]) -> str:
    """A version as it is usually written."""
    return ".".join(map(str, version))


def _built(program: Program) -> Path | None:
    if isinstance(SERVERS[program.server], DebianPackage):
        return None
    folder = directory(program.server)
    path = (folder / "bin" if isinstance(SERVERS[program.server], PythonVenv) else folder) / program.name
    return path if path.is_file() else None
