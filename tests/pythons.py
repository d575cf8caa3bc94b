"""Run the tests on other versions of Python, each in its own venv (.venv-3.12, …).

    python3 tests/pythons.py .venv "3.12 3.13" -m pytest tests/unit

An interpreter is looked for on PATH and among pyenv's versions. A version that this machine lacks is skipped with the
reason, and is an error if CI=true. The last line says which versions passed. Standard library only.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_ASK = "import platform, sys; print(sys.executable, platform.python_version(), sep='\\n')"


@dataclass(frozen=True)
class Interpreter:
    """A Python that has been run: its own path, not that of a shim, and its full version."""

    path: Path
    version: str


def main(venv: str, versions: str, *command: str) -> int:
    """Return 1 if a version fails, or is missing when CI=true."""
    found = {wanted: find(wanted) for wanted in versions.split()}
    missing = [wanted for wanted, interpreter in found.items() if interpreter is None]
    for wanted in missing:
        print(
            f"no python{wanted} on PATH or in pyenv; get it with `pyenv install {wanted}`, "
            f"or install your system's python{wanted} with its venv module",
            flush=True,
        )
    if missing and os.environ.get("CI", "").lower() == "true":
        print(f"Pythons: none ran, as CI=true needs them all; missing: {', '.join(missing)}", flush=True)
        return 1
    outcomes, code = [], 0
    for wanted, interpreter in found.items():
        if interpreter is None:
            outcomes.append(f"{wanted} skipped (not found)")
        elif _passes(interpreter, ROOT / f"{venv}-{wanted}", command):
            outcomes.append(f"{interpreter.version} passed")
        else:
            outcomes.append(f"{interpreter.version} failed")
            code = 1
    print(f"Pythons: {', '.join(outcomes)}", flush=True)
    return code


def find(wanted: str) -> Interpreter | None:
    """Find the interpreter of a minor version such as "3.12" and run it once, as a pyenv shim may exist and not run."""
    name = f"python{wanted}"
    for directory in os.get_exec_path():
        if interpreter := _run([str(Path(directory) / name)], wanted):
            return interpreter
    for version in _pyenv_versions(wanted):
        if interpreter := _run(["pyenv", "exec", name], wanted, PYENV_VERSION=version):
            return interpreter
    return None


def _run(command: list[str], wanted: str, **environment: str) -> Interpreter | None:
    try:
        done = subprocess.run(
            [*command, "-c", _ASK],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.splitlines()
    if done.returncode or len(lines) != 2 or not f"{lines[1]}.".startswith(f"{wanted}."):
        return None
    return Interpreter(Path(lines[0]), lines[1])


def _pyenv_versions(wanted: str) -> list[str]:
    """Return pyenv's versions of this minor version, newest first; virtual environments and variants are left out."""
    try:
        done = subprocess.run(["pyenv", "versions", "--bare"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    patches = re.findall(rf"^{re.escape(wanted)}\.(\d+)$", done.stdout, flags=re.MULTILINE)
    return [f"{wanted}.{patch}" for patch in sorted(map(int, patches), reverse=True)]


def _passes(interpreter: Interpreter, venv: Path, command: tuple[str, ...]) -> bool:
    print(f"Tests on Python {interpreter.version} ({interpreter.path})", flush=True)
    python = str(venv / "bin" / "python")
    # A venv of another patch version, or of one that has been uninstalled, is made again.
    fresh = [] if _run([python], interpreter.version) else ["--clear"]
    install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-c",
        "constraints.txt",
        "-e",
        ".[test]",
    ]
    steps = [[str(interpreter.path), "-m", "venv", *fresh, str(venv)], [python, *install], [python, *command]]
    return all(subprocess.run(step, cwd=ROOT, check=False).returncode == 0 for step in steps)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
