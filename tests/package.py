"""Build the wheel and the sdist, check their contents, and install and run them outside the repository.

    python3 -m tests.package .venv "3.12 3.13"

The wheel is installed into a new environment of this Python and of each version that is found (as `tests/pythons.py`
does); the sdist, and the wheel without grpcio as README says, into one of this Python. Standard library only.
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
    _compare(wheel, {"METADATA", "RECORD", "WHEEL", "licenses/LICENSE"}, info)
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


def _files_of_the_package() -> set[str]:
    found = (path for path in (ROOT / "otel_ha").rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(ROOT).as_posix() for path in found}


def _compare(archive: Path, expected: set[str], found: set[str]) -> None:
    lacks, has = sorted(expected - found), sorted(found - expected)
    if lacks or has:
        raise PackageError(f"{archive.name} lacks {lacks} and has besides {has}")


def _python(python: Path, *arguments: str, within: Path | None = None, quiet: bool = False) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "OTEL_"))}
    output = subprocess.DEVNULL if quiet else None
    subprocess.run([python, *arguments], cwd=within, env=environment, check=True, stdout=output)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
