"""What import-linter cannot say: who may know the SDK, and what an import costs and does."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import otel_ha

PACKAGE = Path(otel_ha.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
ONLY_THE_PIPELINE = ("opentelemetry.sdk", "opentelemetry.exporter")


def imports(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    found = [[a.name for a in n.names] if isinstance(n, ast.Import) else [n.module or ""] for n in nodes if isinstance(n, ast.Import | ast.ImportFrom)]  # fmt: skip
    return {name for names in found for name in names}


@pytest.mark.parametrize("module", [m for m in MODULES if m.parts[0] != "pipeline"], ids=str)
def test_only_the_pipeline_imports_the_sdk_and_the_exporters(module):
    assert not [name for name in imports(PACKAGE / module) if name.startswith(ONLY_THE_PIPELINE)]


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_importing_the_package_imports_neither_the_sdk_nor_an_exporter():
    loaded = run("import otel_ha, sys; print([m for m in sys.modules if m.startswith(('opentelemetry.sdk', 'opentelemetry.exporter', 'prometheus_client'))])")  # fmt: skip
    assert loaded == "[]"


def test_importing_the_package_starts_no_thread():
    assert run("import otel_ha, threading; print(threading.active_count())") == "1"


def test_importing_the_package_reads_no_environment():
    code = """
import os, opentelemetry.metrics
class Watched(dict):
    def __getitem__(self, key): raise SystemExit(f"read {key}")
    get = __contains__ = __getitem__
import attrs, asyncio, logging, inspect, base64, urllib.parse
os.environ = Watched()
import otel_ha
print("read nothing")
"""
    assert run(code) == "read nothing"


@pytest.mark.parametrize("name", otel_ha.__all__)
def test_every_public_name_is_there(name):
    assert getattr(otel_ha, name) is not None
