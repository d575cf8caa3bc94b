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
    *(Path("cli/doctor/spelling.py"), Path("testing/other_code.py"), Path("testing/reader.py")),
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


LIGHT = f"from otel_ha import {', '.join(sorted({*otel_ha.__all__} - {'Telemetry', 'setup_telemetry'}))}"
"""The names by which a module declares and measures."""


def test_importing_the_package_imports_none_of_its_modules_and_no_library():
    code = """
import __future__, importlib, sys, typing
before = {*sys.modules}
import otel_ha
print(sorted({*sys.modules} - before))
"""
    assert run(code) == "['otel_ha', 'otel_ha.version']"


def test_declaring_and_measuring_import_neither_the_sdk_nor_an_exporter():
    unwanted = ("opentelemetry.sdk", "opentelemetry.exporter", "prometheus_client")
    assert run(f"import sys\n{LIGHT}\nprint([m for m in sys.modules if m.startswith({unwanted})])") == "[]"


def test_importing_every_public_name_starts_no_thread():
    assert run("from otel_ha import *; import threading; print(threading.active_count())") == "1"


def test_declaring_and_measuring_read_no_environment():
    code = f"""
import os, opentelemetry.metrics
class Watched(dict):
    def __getitem__(self, key): raise SystemExit("read " + key)
    get = __contains__ = __getitem__
import dataclasses, asyncio, logging, inspect, base64, urllib.parse
os.environ = Watched()
{LIGHT}
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


def test_each_public_name_is_imported_from_the_module_that_type_checkers_see():
    (typed,) = [node for node in ast.parse((PACKAGE / "__init__.py").read_text()).body if isinstance(node, ast.If)][:1]
    seen = {alias.name: node.module for node in typed.body for alias in node.names}
    assert seen == otel_ha._HOMES
    assert {*seen, "__version__"} == {*otel_ha.__all__}


def test_public_names_are_listed_before_they_are_imported():
    code = "import otel_ha; print({*otel_ha.__all__} <= {*dir(otel_ha)}, 'measured' in vars(otel_ha))"
    assert run(code) == "True False"


def test_a_star_imports_every_public_name():
    assert run("import otel_ha; from otel_ha import *; print({*otel_ha.__all__} - {*globals()})") == "set()"


def test_a_name_that_does_not_exist_is_an_error():
    with pytest.raises(ImportError, match="cannot import name 'nonsense' from 'otel_ha'"):
        exec("from otel_ha import nonsense")
    with pytest.raises(AttributeError, match="module 'otel_ha' has no attribute 'nonsense'"):
        otel_ha.nonsense  # noqa: B018


@pytest.mark.parametrize("module", [m for m in MODULES if m.name == "__init__.py"], ids=str)
def test_packages_hold_no_code_of_their_own(module):
    statements = ast.parse((PACKAGE / module).read_text()).body
    own = [node for node in statements if not isinstance(node, ast.Import | ast.ImportFrom | ast.Expr)]
    allowed = {"__all__", "_HOMES"}
    if module in {Path("__init__.py"), Path("testing/__init__.py")}:  # imports what takes time on first use
        own = [node for node in own if not isinstance(node, ast.If | ast.FunctionDef)]
    assert {target.id for node in own for target in node.targets} <= allowed
