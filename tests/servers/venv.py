"""Install a server that is written in Python, in a venv of its own."""

from __future__ import annotations

import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tests.pythons import find
from tests.servers.build import run, tail
from tests.servers.locate import Missing, PythonVenv, cache, directory


def make_venv(server: str, recipe: PythonVenv) -> Path | Missing:
    """Make the venv. It is complete once it has the server's program, which pip installs after what that needs."""
    python = find(recipe.python)
    if python is None:
        return Missing(f"it needs Python {recipe.python}, which is neither on PATH nor in pyenv")
    target, log = directory(server), cache() / f"{server}.log"
    print(f"{server}: installing {recipe.package} {recipe.version} into {target}", flush=True)
    print(f"{server}: {recipe.minutes} the first time; the log is {log}", flush=True)
    began = time.monotonic()
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=cache()) as place:
        for step in _steps(recipe, python.path, target, Path(place)):
            if code := run(server, step, Path(place), log):
                return Missing(f"the installation failed (exit {code}); {log} ends with: {tail(log)}")
    print(f"{server}: installed in {time.monotonic() - began:.0f} s", flush=True)
    return target


def _steps(recipe: PythonVenv, python: Path, target: Path, place: Path) -> Iterator[list[str]]:
    """Yield the commands, each of which must have succeeded before the next is asked for."""
    pip = [str(target / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    yield [str(python), "-m", "venv", str(target)]
    yield [*pip, "download", "--no-deps", "--dest", str(place), f"{recipe.package}=={recipe.version}"]
    (wheel,) = place.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        constraints = archive.extract(recipe.constraints, place)
    yield [*pip, "install", "-c", constraints, *recipe.extras, str(wheel)]
