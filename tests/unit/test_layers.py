"""Rules that import-linter cannot express: which modules may import the SDK, and the side effects of imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import otel_ha

PACKAGE = Path(otel_ha.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
# The history's reader is a MetricReader, the gate and collected name SDK types, setup_telemetry() takes Views, and the
# doctor asks the SDK for the names of its variables. The test kit reads a pipeline by a MetricReader of its own.
MAY = {
    *(Path("history/reader.py"), Path("record/gate.py"), Path("record/collected.py"), Path("telemetry.py")),
    *(Path("cli/doctor/spelling.py"), Path("testing/reader.py")),
}
SDK = ("opentelemetry.sdk", "opentelemetry.exporter")


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


@pytest.mark.parametrize(
    "module",
    [m for m in MODULES if m.parts[0] != "export" and m.parts[:2] != ("record", "journal") and m not in MAY],
    ids=str,
)
def test_only_export_and_the_journal_import_the_sdk_and_the_exporters(module):
    assert not [name for name in imports(PACKAGE / module) if name.startswith(SDK)]


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_importing_the_package_imports_neither_the_sdk_nor_an_exporter():
    unwanted = ("opentelemetry.sdk", "opentelemetry.exporter", "prometheus_client")
    assert run(f"import otel_ha, sys; print([m for m in sys.modules if m.startswith({unwanted})])") == "[]"


def test_importing_the_package_starts_no_thread():
    assert run("import otel_ha, threading; print(threading.active_count())") == "1"


def test_importing_the_package_reads_no_environment():
    code = """
import os, opentelemetry.metrics
class Watched(dict):
    def __getitem__(self, key): raise SystemExit(f"read {key}")
    get = __contains__ = __getitem__
import dataclasses, asyncio, logging, inspect, base64, urllib.parse
os.environ = Watched()
import otel_ha
print("read nothing")
"""
    assert run(code) == "read nothing"


def test_a_service_without_an_event_loop_need_not_load_asyncio():
    code = """
import sys, otel_ha
config = otel_ha.TelemetryConfig(environ={}, prometheus_port=0, system_metrics=False)
telemetry = otel_ha.setup_telemetry("test", config=config)
telemetry.prometheus_text()
print("asyncio" in sys.modules)
telemetry.shutdown(0)
"""
    assert run(code) == "False"


@pytest.mark.parametrize("name", otel_ha.__all__)
def test_every_public_name_exists(name):
    assert getattr(otel_ha, name) is not None


@pytest.mark.parametrize("module", [m for m in MODULES if m.name == "__init__.py"], ids=str)
def test_packages_hold_no_code_of_their_own(module):
    statements = ast.parse((PACKAGE / module).read_text()).body
    own = [node for node in statements if not isinstance(node, ast.Import | ast.ImportFrom | ast.Expr)]
    allowed = {"__all__"}
    if module in {Path("__init__.py"), Path("testing/__init__.py")}:  # imports what takes time on first use
        own = [node for node in own if not isinstance(node, ast.If | ast.FunctionDef)]
    assert {target.id for node in own for target in node.targets} <= allowed
