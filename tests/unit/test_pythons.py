"""Running the tests on other versions of Python: how an interpreter is found, and the summary in the last line."""

import re
import tomllib
from pathlib import Path

import pytest

from tests import pythons

ROOT = Path(__file__).parents[2]

# A fake Python: it states its version, makes a "venv" with a copy of itself, and runs "tests" that pass if the patch
# version is even.
PYTHON = """#!/bin/sh
case "$1 $2" in
  "-c "*) echo "$0"; echo {version} ;;
  "-m venv") for target; do :; done; mkdir -p "$target/bin"; cp "$0" "$target/bin/python" ;;
  "-m pip") ;;
  *) echo "testing on {version}"; exit $(({patch} % 2)) ;;
esac
"""

# A shim answers only if PYENV_VERSION lists its version; `pyenv exec` asks the shim.
SHIM = """#!/bin/sh
case ":$PYENV_VERSION:" in
  *":{version}:"*) exec "{real}" "$@" ;;
esac
echo "pyenv: $0: command not found" >&2
exit 127
"""
PYENV = """#!/bin/sh
case "$1" in
  versions) printf '%s\\n' {versions} ;;
  exec) shift; exec "$@" ;;
esac
"""


class Machine:
    """A machine whose PATH has only the shell's programs and the fakes that a test adds."""

    def __init__(self, directory, monkeypatch):
        self.directory = directory
        self.bin = directory / "bin"
        self.bin.mkdir()
        for name in ("sh", "cp", "mkdir"):
            (self.bin / name).symlink_to(f"/bin/{name}")
        monkeypatch.setenv("PATH", str(self.bin))
        monkeypatch.delenv("PYENV_VERSION", raising=False)
        monkeypatch.delenv("CI", raising=False)

    def python(self, version, *, within="bin"):
        minor, _, patch = version.rpartition(".")
        return self._program(Path(within) / f"python{minor}", PYTHON.format(version=version, patch=patch))

    def pyenv(self, *versions):
        for version in versions:
            real = self.python(version, within=f"pyenv/{version}")
            self._program(Path("bin") / real.name, SHIM.format(version=version, real=real))
        self._program(Path("bin") / "pyenv", PYENV.format(versions=" ".join((*versions, "3.12.9/envs/other", "3.13t"))))

    def run(self):
        return pythons.main(str(self.directory / "venv"), "3.12 3.13", "-m", "pytest")

    def _program(self, path, script):
        path = self.directory / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(script, encoding="utf-8")
        path.chmod(0o755)
        return path


@pytest.fixture
def machine(tmp_path, monkeypatch):
    return Machine(tmp_path, monkeypatch)


def last_line(capfd):
    return capfd.readouterr().out.splitlines()[-1]


def test_an_interpreter_on_path_is_found(machine):
    path = machine.python("3.12.4")
    assert pythons.find("3.12") == pythons.Interpreter(path, "3.12.4")


def test_a_shim_that_refuses_is_asked_again_with_a_version_that_pyenv_has(machine):
    machine.pyenv("3.12.4")
    found = pythons.find("3.12")
    assert found == pythons.Interpreter(machine.directory / "pyenv/3.12.4/python3.12", "3.12.4")


def test_a_later_interpreter_on_path_is_found_behind_a_shim_that_refuses(machine, monkeypatch):
    machine.pyenv("3.12.4")
    later = machine.python("3.12.6", within="later")
    monkeypatch.setenv("PATH", f"{machine.bin}:{later.parent}")
    assert pythons.find("3.12") == pythons.Interpreter(later, "3.12.6")


def test_the_newest_of_pyenvs_versions_is_tried_first(machine):
    machine.pyenv("3.13.2", "3.13.10")
    assert pythons._pyenv_versions("3.13") == ["3.13.10", "3.13.2"]


def test_an_interpreter_of_another_version_than_its_name_is_passed_over(machine):
    machine.python("3.12.4").rename(machine.bin / "python3.13")
    assert pythons.find("3.13") is None


def test_the_last_line_says_which_versions_passed(machine, capfd):
    machine.python("3.12.4")
    machine.pyenv("3.13.2")
    assert machine.run() == 0
    said = capfd.readouterr().out.splitlines()
    assert [line for line in said if line.startswith("testing")] == ["testing on 3.12.4", "testing on 3.13.2"]
    assert said[-1] == "Pythons: 3.12.4 passed, 3.13.2 passed"


def test_a_version_that_fails_does_not_keep_the_next_from_running(machine, capfd):
    machine.python("3.12.1")
    machine.python("3.13.0")
    assert machine.run() == 1
    assert last_line(capfd) == "Pythons: 3.12.1 failed, 3.13.0 passed"


def test_a_missing_version_is_skipped_with_the_reason(machine, capfd):
    machine.python("3.13.0")
    assert machine.run() == 0
    said = capfd.readouterr().out.splitlines()
    assert said[0].startswith("no python3.12 on PATH or in pyenv; get it with `pyenv install 3.12`")
    assert said[-1] == "Pythons: 3.12 skipped (not found), 3.13.0 passed"


def test_a_missing_version_is_an_error_in_ci_before_anything_runs(machine, capfd, monkeypatch):
    monkeypatch.setenv("CI", "true")
    machine.python("3.12.4")
    assert machine.run() == 1
    said = capfd.readouterr().out.splitlines()
    assert said[0].startswith("no python3.13 on PATH or in pyenv; get it with `pyenv install 3.13`")
    assert said[1:] == ["Pythons: none ran, as CI=true needs them all; missing: 3.13"]


def test_a_venv_of_another_patch_version_is_made_again(machine, capfd):
    machine.python("3.13.0")
    for version in ("3.12.2", "3.12.4"):
        machine.python(version)
        assert machine.run() == 0
        assert f"testing on {version}" in capfd.readouterr().out


def test_every_version_that_the_package_claims_is_tested():
    """`make test` runs the oldest, `make pythons` the others."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    claimed = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    oldest = project["requires-python"].removeprefix(">=")
    assert f"command -v python{oldest} " in makefile
    assert claimed == [oldest, *re.search(r"^PYTHONS := (.+)$", makefile, flags=re.MULTILINE)[1].split()]
