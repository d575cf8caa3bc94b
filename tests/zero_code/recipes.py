"""The environments in which unmodified programs run: the packages of each, taken from pyproject.toml."""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
import tomllib
from dataclasses import dataclass

from packaging.requirements import Requirement

from otel_ha.instrumentation.instrumentor import LibraryInstrumentor
from tests.servers.locate import ROOT

NEWEST, OLDEST = "newest", "oldest"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTEST = ("anyio>=4", "paho-mqtt>=2", "pytest-asyncio>=1.0", "pytest-randomly>=3.15", "pytest-xdist>=3.6")
BESIDE = {
    "distro": ("opentelemetry-distro>=0.66b0,<1",),
    "configuration": ("opentelemetry-configuration>=0.66b0,<1",),
    "gunicorn": ("gunicorn>=23",),
    "paho-mqtt==2.0.0": ("paho-mqtt==2.0.0",),  # aiomqtt's oldest version needs a later one than we do
    "pytest-8": ("pytest>=8.3,<8.4", *PYTEST),
    "pytest-9": ("pytest>=9,<10", *PYTEST),
}
"""Environments with other packages beside ours."""


@dataclass(frozen=True)
class Recipe:
    """The packages of an environment, the versions that they are held to, and the environment that it builds upon."""

    name: str
    requirements: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    upon: Recipe | None = None

    @property
    def key(self) -> str:
        """The name and a hash, which changes with the packages and the Python."""
        parts = (sys.version, sys.base_prefix, self.requirements, self.constraints, self.upon and self.upon.key)
        return f"{self.name}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:12]}"


def recipe(name: str) -> Recipe:
    """Return the recipe of an environment.

    "newest" has the newest version of each instrumented library; everything else is as constraints.txt pins it.
    "oldest" has the oldest version of each, and of our dependencies. The others do without the instrumented libraries:
    "appdaemon" and those of BESIDE.
    """
    if name == OLDEST:
        libraries = tuple(f"{each.name}=={oldest(each)}" for each in instrumented())
        return Recipe(name, (*ours(), *libraries), held("constraints-floor.txt"))
    pins = held("constraints.txt")
    base = Recipe("base", ours(), pins)
    if name == "appdaemon":  # it pins many packages itself
        return Recipe(name, (*ours(), "appdaemon>=4.5,<5"), upon=base)
    added = tuple(str(each) for each in instrumented()) if name == NEWEST else BESIDE[name]
    return Recipe(name, (*ours(), *added), _free(pins, added), upon=base)


def ours() -> tuple[str, ...]:
    """Return what the wheel requires, with the extras that a service may use."""
    extras = PROJECT["optional-dependencies"]
    return (*PROJECT["dependencies"], *extras["cli"], *extras["logs"])


def held(file: str) -> tuple[str, ...]:
    """Return the pins in a file of constraints."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


def instrumented() -> list[Requirement]:
    """Return the libraries that the instrumentors support, with their versions."""
    return [Requirement(each.library) for each in instrumentors().values()]


def instrumentors() -> dict[str, type[LibraryInstrumentor]]:
    """Return the instrumentors that pyproject.toml names."""
    found = {}
    for name, target in PROJECT["entry-points"]["opentelemetry_instrumentor"].items():
        module, _, attribute = target.partition(":")
        found[name] = getattr(importlib.import_module(module), attribute)
    return found


def oldest(requirement: Requirement) -> str:
    """Return the oldest version that a requirement allows."""
    (version,) = (each.version for each in requirement.specifier if each.operator == ">=")
    # aiomqtt 2.3 requires this one; paho-mqtt 2.0.0 has an environment of its own.
    return "2.1.0" if requirement.name == "paho-mqtt" else version


def _free(pins: tuple[str, ...], requirements: tuple[str, ...]) -> tuple[str, ...]:
    names = {_normal(Requirement(each).name) for each in requirements}
    return tuple(pin for pin in pins if _normal(Requirement(pin).name) not in names)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
