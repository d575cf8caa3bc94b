"""The check of the distributions: which contents it refuses, and that a fault fails the build."""

import io
import re
import tarfile
import tomllib
import zipfile

import pytest

from tests import package

README = (package.ROOT / "README.md").read_text(encoding="utf-8")
INFO = "otel_ha-0.1.0.dist-info"


def wheel(folder, leave_out=(), add=(), readme=README):
    """Make a wheel that is complete but for `leave_out`."""
    path = folder / "otel_ha-0.1.0-py3-none-any.whl"
    texts = dict.fromkeys(package._files_of_the_package(), "")
    texts |= {f"{INFO}/METADATA": f"Name: otel-ha\n\n{readme}", f"{INFO}/RECORD": "", f"{INFO}/WHEEL": ""}
    texts |= {f"{INFO}/entry_points.txt": ""}
    texts |= {f"{INFO}/licenses/LICENSE": "", **dict.fromkeys(add, "")}
    with zipfile.ZipFile(path, "w") as archive:
        for name in texts.keys() - set(leave_out):
            archive.writestr(name, texts[name])
    return path


def sdist(folder, leave_out=(), add=()):
    path = folder / "otel_ha-0.1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in (package._files_of_the_package() | package.BESIDES | set(add)) - set(leave_out):
            archive.addfile(tarfile.TarInfo(f"otel_ha-0.1.0/{name}"), io.BytesIO())
    return path


def test_complete_distributions_pass(tmp_path):
    package.check_wheel(wheel(tmp_path))
    package.check_sdist(sdist(tmp_path))


@pytest.mark.parametrize(
    "name", ["otel_ha/py.typed", "otel_ha/telemetry.py", f"{INFO}/licenses/LICENSE", f"{INFO}/entry_points.txt"]
)
def test_a_wheel_that_lacks_a_file_is_refused(tmp_path, name):
    with pytest.raises(package.PackageError, match=f"lacks .*{re.escape(name.rpartition('/')[2])}"):
        package.check_wheel(wheel(tmp_path, leave_out=[name]))


@pytest.mark.parametrize("name", ["tests/unit/test_config.py", "examples/demo.py", "otel_ha/left_over.txt"])
def test_a_wheel_with_a_stray_file_is_refused(tmp_path, name):
    with pytest.raises(package.PackageError, match=f"has besides .*{re.escape(name)}"):
        package.check_wheel(wheel(tmp_path, add=[name]))


def test_a_wheel_without_the_readme_is_refused(tmp_path):
    with pytest.raises(package.PackageError, match=r"README\.md"):
        package.check_wheel(wheel(tmp_path, readme=""))


@pytest.mark.parametrize("name", ["LICENSE", "README.md", "pyproject.toml", "otel_ha/py.typed"])
def test_an_sdist_that_lacks_a_file_is_refused(tmp_path, name):
    with pytest.raises(package.PackageError, match=f"lacks .*{re.escape(name)}"):
        package.check_sdist(sdist(tmp_path, leave_out=[name]))


@pytest.mark.parametrize("name", ["collector-config/README.md", "tests/conftest.py"])
def test_an_sdist_with_a_stray_file_is_refused(tmp_path, name):
    with pytest.raises(package.PackageError, match=f"has besides .*{re.escape(name)}"):
        package.check_sdist(sdist(tmp_path, add=[name]))


def test_a_fault_fails_the_build_and_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("CI", raising=False)
    made = wheel(tmp_path, leave_out=["otel_ha/py.typed"]), sdist(tmp_path)
    monkeypatch.setattr(package, "build", lambda *_: made)
    assert package.main(".venv", "") == 1
    assert "lacks ['otel_ha/py.typed']" in capsys.readouterr().out


def a_command(folder, code, text):
    """Make an environment whose command fails in this way."""
    script = folder / "bin" / "otel-ha"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\necho {text!r} >&2\nexit {code}\n", encoding="utf-8")
    script.chmod(0o755)
    return folder


@pytest.mark.parametrize(("code", "text"), [(0, package.WITHOUT_THE_EXTRA.strip()), (2, "Traceback"), (2, "")])
def test_a_command_that_does_not_name_its_extra_is_refused(tmp_path, code, text):
    with pytest.raises(package.PackageError, match="otel-ha --version gives"):
        package.check_command(a_command(tmp_path, code, text.replace("'", "")), wheel(tmp_path))


def test_a_missing_python_is_an_error_in_ci(monkeypatch, capsys):
    monkeypatch.setenv("CI", "true")
    assert package.main(".venv", "3.99") == 1
    assert "missing: 3.99" in capsys.readouterr().out


def test_readme_installs_every_dependency_but_grpc_in_some_way():
    project = tomllib.loads((package.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {re.split("[<>=]", each)[0] for each in project["dependencies"]}
    found = set(package.without_grpcio(README))
    assert found < wanted
    # These need them: both exporters the API and the SDK, one exporter prometheus-client, the system metrics the rest.
    indirect = {
        "opentelemetry-api",
        "opentelemetry-instrumentation",
        "opentelemetry-sdk",
        "prometheus-client",
        "psutil",
    }
    assert wanted - found - indirect == {"opentelemetry-exporter-otlp-proto-grpc"}


def test_ci_builds_the_package():
    assert "make package" in (package.ROOT / ".ci" / "run").read_text(encoding="utf-8")
