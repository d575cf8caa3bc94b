"""Compile a server with Go in a temporary directory, and move it into place once it is complete."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tests.servers.locate import MANIFEST, GoBuild, Missing, cache, directory, dotted

_TELL_EVERY = 15.0
_BUILDING = ".building-"


def go_version() -> tuple[int, int] | None:
    """The installed Go, as (major, minor), or None."""
    try:
        done = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.match(r"go(\d+)\.(\d+)", done.stdout)
    return (int(found[1]), int(found[2])) if found else None


def build(server: str, recipe: GoBuild) -> Path | Missing:
    """Build and put in place. A build that fails or is interrupted leaves only its log."""
    have = go_version()
    if have is None:
        return Missing("it is built with Go, and there is no `go` on PATH")
    if have < recipe.go:
        return Missing(f"it needs Go {dotted(recipe.go)} or later, and `go` is {dotted(have)}")
    target = directory(server)
    log = cache() / f"{server}.log"
    print(f"{server}: building {recipe.module} {recipe.version} with Go into {target}", flush=True)
    print(f"{server}: {recipe.minutes} the first time; the log is {log}", flush=True)
    with _workplace(server) as place:
        began = time.monotonic()
        source = _manifest(place) if server == "otelcol" else _source(recipe, place)
        if isinstance(source, Missing):
            return source
        out = place / "out"
        out.mkdir()
        code = run(server, _command(server, recipe, out), source, log)
        if code:
            return Missing(f"the build failed (exit {code}); {log} ends with: {tail(log)}")
        # An earlier recipe for the same version may have built fewer programs.
        shutil.rmtree(target, ignore_errors=True)
        out.replace(target)
    print(f"{server}: built in {time.monotonic() - began:.0f} s", flush=True)
    return target


def sweep() -> None:
    """Remove the leftovers of a killed run. Call this under the lock: the directory of a live run looks the same."""
    for left in cache().glob(f"{_BUILDING}*"):
        shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _workplace(server: str) -> Iterator[Path]:
    # Inside the cache, so that the move into place is a rename within one file system.
    place = Path(tempfile.mkdtemp(prefix=f"{_BUILDING}{server}-", dir=cache()))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _source(recipe: GoBuild, place: Path) -> Path | Missing:
    """Unpack the module: built from within, its own exclude and replace apply, and its go.sum is checked."""
    command = ["go", "mod", "download", "-json", f"{recipe.module}@{recipe.version}"]
    done = subprocess.run(command, cwd=place, env=_environment(), capture_output=True, text=True, check=False)
    answer = json.loads(done.stdout or "{}")
    if "Zip" not in answer:
        return Missing(f"the download failed: {_last_line(answer.get('Error') or done.stderr)}")
    with zipfile.ZipFile(answer["Zip"]) as archive:
        archive.extractall(place)
    source = place / f"{recipe.module}@{recipe.version}"
    for path, text in recipe.adds.items():
        added = source / path
        added.parent.mkdir(parents=True, exist_ok=True)
        added.write_text(text, encoding="utf-8")
    return source


def _manifest(place: Path) -> Path:
    """The Collector's manifest, changed to build in the same place as the others."""
    manifest = MANIFEST.read_text(encoding="utf-8").replace("output_path: ./build", "output_path: ./out")
    (place / "builder.yaml").write_text(manifest, encoding="utf-8")
    return place


def _command(server: str, recipe: GoBuild, out: Path) -> list[str]:
    if server == "otelcol":
        return ["go", "run", f"{recipe.module}@{recipe.version}", "--config", "builder.yaml"]
    packages = [f"./{package}" for package in recipe.packages]
    # -v names each package as it is compiled, so that the log shows progress.
    return [
        "go",
        "build",
        "-v",
        "-trimpath",
        "-tags",
        recipe.tags,
        "-ldflags",
        recipe.ldflags,
        "-o",
        f"{out}/",
        *packages,
    ]


def _environment() -> dict[str, str]:
    # GOTOOLCHAIN=local: report that Go is too old instead of silently downloading another.
    # GOWORK, GO111MODULE, buildvcs: a user's workspace, or a home directory in git, must not interfere.
    ours = {
        "GOFLAGS": "-mod=mod -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
        "GOWORK": "off",
        "GO111MODULE": "on",
    }
    return {**os.environ, **ours}


def run(server: str, command: list[str], source: Path, log: Path) -> int:
    """Run to the end, and report progress. A separate process group, so that an abort ends the compilers too."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=source, env=_environment(), stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        return _wait(server, process, log)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(server: str, process: subprocess.Popen[bytes], log: Path) -> int:
    began = time.monotonic()
    while True:
        try:
            return process.wait(timeout=_TELL_EVERY)
        except subprocess.TimeoutExpired:
            print(f"{server}: {time.monotonic() - began:4.0f} s … {tail(log)}", flush=True)


def tail(log: Path) -> str:
    """The last line with text, cut to one line of a terminal."""
    return _last_line(log.read_text(encoding="utf-8", errors="replace"))


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip()[-160:] if lines else "(nothing yet)"
