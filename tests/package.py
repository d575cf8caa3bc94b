"""Build the wheel and the sdist, check their contents, and install and run them outside the repository.

    python3 -m tests.package .venv "3.12 3.13"

The wheel is installed into a new environment of this Python and of each version that is found (as `tests/pythons.py`
does), without and with the extra of the command `otel-ha`; the sdist, and the wheel without grpcio as README says, into
one of this Python. Standard library only.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from tests import pythons

ROOT = Path(__file__).resolve().parents[1]
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")
# Files of an sdist besides those of the package; hatchling adds .gitignore and PKG-INFO.
BESIDES = {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", ".gitignore", "PKG-INFO"}
WITHOUT_THE_EXTRA = "otel-ha: click is missing; install the extra cli: pip install 'otel-ha[cli]'\n"
WITHOUT_GRPCIO = re.compile(r"^pip install (opentelemetry-[^`]+?)\npip install --no-deps \.\n```", flags=re.MULTILINE)


class PackageError(Exception):
    """The package has a fault."""


def main(venv: str, versions: str) -> int:
    """Return 1 if a distribution has a fault, or if a version of Python is missing when CI=true."""
    found = {wanted: pythons.find(wanted) for wanted in versions.split()}
    missing = [wanted for wanted, interpreter in found.items() if interpreter is None]
    if missing and os.environ.get("CI", "").lower() == "true":
        print(f"Package: nothing was built, as CI=true needs every Python; missing: {', '.join(missing)}")
        return 1
    others = [interpreter.path for interpreter in found.values() if interpreter]
    this = Path(sys.executable)
    with tempfile.TemporaryDirectory(prefix="otel-ha-package-") as folder:
        outside = Path(folder)
        try:
            wheel, sdist = build(ROOT / f"{venv}-package", outside)
            check_wheel(wheel)
            check_sdist(sdist)
            for number, python in enumerate((this, *others)):
                run(python, outside / f"wheel-{number}", [[str(wheel)]])
                check_command(outside / f"wheel-{number}", wheel)
            run(this, outside / "sdist", [[str(sdist)]])
            packages = without_grpcio((ROOT / "README.md").read_text(encoding="utf-8"))
            run(this, outside / "http", [packages, ["--no-deps", str(wheel)]], "without-grpcio")
        except (PackageError, subprocess.CalledProcessError) as error:
            print(f"Package: {error}", flush=True)
            return 1
    skipped = f"; not found: {', '.join(missing)}" if missing else ""
    print(f"Package: wheel and sdist are complete and work ({1 + len(others)} versions of Python{skipped})", flush=True)
    return 0


def build(venv: Path, outside: Path) -> tuple[Path, Path]:
    """Build the sdist, and the wheel from it."""
    _python(Path(sys.executable), "-m", "venv", str(venv))
    _python(venv / "bin" / "python", *PIP, "install", "build")
    _python(venv / "bin" / "python", "-m", "build", "--outdir", str(outside), str(ROOT), quiet=True)
    (wheel,), (sdist,) = outside.glob("*.whl"), outside.glob("*.tar.gz")
    return wheel, sdist


def check_wheel(wheel: Path) -> None:
    """Raise PackageError unless the wheel has all files of the package, its license and README, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith(".dist-info/METADATA"))).decode()
    info = {name.partition(".dist-info/")[2] for name in names if ".dist-info/" in name}
    _compare(wheel, _files_of_the_package(), {name for name in names if ".dist-info/" not in name})
    _compare(wheel, {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}, info)
    if (ROOT / "README.md").read_text(encoding="utf-8").strip() not in metadata:
        raise PackageError(f"{wheel.name} does not have README.md as its description")


def check_sdist(sdist: Path) -> None:
    """Raise PackageError unless the sdist has the files that build the wheel, README, license, and nothing else."""
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    _compare(sdist, _files_of_the_package() | BESIDES, names)


def without_grpcio(readme: str) -> list[str]:
    """Return the packages that README installs beside this one if grpcio cannot be installed."""
    found = WITHOUT_GRPCIO.search(readme)
    if found is None:
        raise PackageError("README.md does not say how to install without grpcio")
    return found[1].replace("\\\n", " ").split()


def run(python: Path, venv: Path, installs: Iterable[list[str]], *arguments: str) -> None:
    """Install into a new environment, and run the smoke test there, outside the repository."""
    _python(python, "-m", "venv", str(venv))
    installed = venv / "bin" / "python"
    for packages in installs:
        _python(installed, *PIP, "install", "-c", str(ROOT / "constraints.txt"), *packages)
    program = venv / "smoke.py"
    shutil.copy(ROOT / "tests" / "smoke.py", program)
    _python(installed, "-I", str(program), *arguments, within=venv)


def check_command(venv: Path, wheel: Path) -> None:
    """Raise PackageError unless the command names its extra where that is missing, and works where it is installed."""
    version = wheel.name.split("-")[1]
    _expect(venv, ["--version"], (2, "", WITHOUT_THE_EXTRA))
    _python(venv / "bin" / "python", *PIP, "install", "-c", str(ROOT / "constraints.txt"), f"{wheel}[cli]")
    _expect(venv, ["--version"], (0, f"otel-ha {version}\n", ""))
    catalog = _output(venv, ["catalog", "--json"])
    if catalog[0] != 0 or '"homeassistant_event_received_total"' not in catalog[1]:
        raise PackageError(f"otel-ha catalog --json gives {catalog}")


def _expect(venv: Path, arguments: list[str], expected: tuple[int, str, str]) -> None:
    found = _output(venv, arguments)
    if found != expected:
        raise PackageError(f"otel-ha {' '.join(arguments)} gives {found}, not {expected}")


def _output(venv: Path, arguments: list[str]) -> tuple[int, str, str]:
    command = [str(venv / "bin" / "otel-ha"), *arguments]
    done = subprocess.run(command, cwd=venv, env=_environment(), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def _files_of_the_package() -> set[str]:
    found = (path for path in (ROOT / "otel_ha").rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(ROOT).as_posix() for path in found}


def _compare(archive: Path, expected: set[str], found: set[str]) -> None:
    lacks, has = sorted(expected - found), sorted(found - expected)
    if lacks or has:
        raise PackageError(f"{archive.name} lacks {lacks} and has besides {has}")


def _python(python: Path, *arguments: str, within: Path | None = None, quiet: bool = False) -> None:
    output = subprocess.DEVNULL if quiet else None
    subprocess.run([python, *arguments], cwd=within, env=_environment(), check=True, stdout=output)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "OTEL_"))}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
