"""Private names of libraries: each is used in one module, and telemetry is right in a version that lacks it.

Not counted are names that subclasses are documented to override, such as MetricReader._receive_metrics.
"""

import ast
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import otel_ha

PACKAGE = Path(otel_ha.__file__).parent

API = ("_RUNTIME_CONTEXT", "_current_context")
SDK = (
    "_ExplicitBucketHistogramAggregation",
    "_LastValueAggregation",
    "_SumAggregation",
    "_attributes",
    "_attributes_aggregation",
    "_create_aggregation",
    "_daemon_thread",
    "_disabled",
    "_instrument_view_instrument_matches",
    "_is_enabled",
    "_lock",
    "_match",
    "_max",
    "_measurement_consumer",
    "_min",
    "_previous_collection_start_nano",
    "_reader_storages",
    "_reservoir",
    "_reset_on_collect",
    "_sample_exemplar",
    "_set_meter_configurator",
    "_shutdown",
    "_start_time_unix_nano",
    "_sum",
    "_value",
)
# Of the providers for traces and logs.
OF_SIGNALS = ("_active_loggers_lock", "_logger_cache_lock", "_tracers_lock")
USED_IN = {
    **dict.fromkeys(API, "declare/context.py"),
    **dict.fromkeys(SDK, "record/journal/sdk.py"),
    "_internal": "record/journal/sdk.py",
}
OF_LIBRARIES = set(USED_IN.values())
# Of the libraries that are instrumented: each is read in one module, and its lack costs measurements only; without that
# of pytest, the first import under it is slower.
INSTRUMENTED = {
    "_must_rewrite": "testing/plugin.py",
    "_on_message_filtered": "instrumentation/mqtt/receiving.py",
    **dict.fromkeys(("_client", "_queue"), "instrumentation/aiomqtt.py"),
    "_disposable": "instrumentation/influxdb/hooks.py",
    "_response": "instrumentation/home_assistant/sockets.py",
    "_subscriptions": "instrumentation/hass_client.py",
    "_uri": "instrumentation/over_websockets.py",
}
# Of the standard library: documented in spite of their names, and three that are read with a fallback.
OF_PYTHON = {"_exception", "_exit", "_getframe", "_initializing", "_replace", "_sighandler_noop"}


def exported(name: str = "") -> dict[str, object]:
    """Return the exports of a service on libraries in which `name` is another."""
    environ = os.environ | {"OTEL_EXPORTER_OTLP_HEADERS": "x-theirs=1"}
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        environ.pop(proxy, None)
    command = [sys.executable, "-W", "error", "-m", "tests.e2e.renamed", *([name] if name else [])]
    done = subprocess.run(command, env=environ, check=False, timeout=60, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@cache
def as_expected() -> dict[str, object]:
    return exported()


def test_nothing_is_renamed_without_a_name():
    found = as_expected()
    assert found["flushed"]
    assert found["headers"] == ["x-mine"]
    assert found["history"] == {"ok": 5, "error": 1}
    assert found["processed"] == 6
    assert found["scraped"][0] == found["scraped"][1]
    scraped, pushed = found["scraped"][0], found["pushed"]
    received = {"mqtt": 6, "websocket": 5}
    for source, count in received.items():
        assert scraped[f'homeassistant_event_received_total{{homeassistant_source="{source}"}}'] == count
        assert pushed[f"homeassistant.event.received{{homeassistant.source={source}}}"] == count
    assert pushed["homeassistant.queue.size{homeassistant.queue=ingest}"] == 7
    assert pushed["homeassistant.batch.size{}"] == 5  # the user's View drops its attributes


@pytest.mark.parametrize("name", [*API, *SDK])
def test_without_a_private_name_the_scrape_and_the_push_are_as_with_it(name):
    assert exported(name) == as_expected()


def signals(name: str = "") -> tuple[dict[str, list[str]], str]:
    """Return the spans and the records of a service on libraries in which `name` is another, and its log."""
    environ = {each: value for each, value in os.environ.items() if not each.lower().endswith("_proxy")}
    command = [sys.executable, "-W", "error", "-m", "tests.e2e.renamed_signals", *([name] if name else [])]
    done = subprocess.run(command, env=environ, check=False, timeout=60, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.mark.parametrize("name", ["", *OF_SIGNALS, "_disabled"])
def test_without_a_private_name_spans_and_records_arrive_as_with_it(name):
    assert signals(name)[0] == {"spans": ["work"] * 2, "records": ["failed"] * 2}


@pytest.mark.parametrize(
    ("name", "warning"),
    [("_logs", "is not supported for logs, which are off"), ("_log_encoder", "failed: ModuleNotFoundError")],
)
def test_without_a_private_name_of_logs_only_records_are_missing_and_a_warning_says_so(name, warning):
    found, log = signals(name)
    assert found == {"spans": ["work"] * 2, "records": []}
    assert warning in log


def private_names() -> set[tuple[str, str]]:
    """Return the private names that the package uses of libraries, each with its module.

    In the modules that may use them, every private name counts that is not an attribute of `self`; elsewhere, every one
    that the module does not define itself.
    """
    trees = {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}
    used: set[tuple[str, str]] = set()
    for module, tree in trees.items():
        defined = {name for node in ast.walk(tree) for name in _defined(node)}
        names = {name for node in ast.walk(tree) for name in _used(node)}
        used |= {(name, module) for name in names if module in OF_LIBRARIES or name not in defined}
    return {(name, module) for name, module in used if re.fullmatch("_[a-zA-Z].*", name)}


def _defined(node: ast.AST) -> set[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Attribute(attr=name, ctx=ast.Store()) | ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
            return {name}
    return set()


def _used(node: ast.AST) -> set[str]:
    match node:
        case ast.Attribute(value=ast.Name(id="self" | "cls" | "other")):
            return set()
        case ast.Attribute(attr=name):
            return {name}
        case ast.ImportFrom(module=source, names=names) if not (source or "").startswith("otel_ha"):
            return {*(source or "").split("."), *(alias.name for alias in names)}
        case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str() as name), *_]):
            return {name}
    return set()


def test_private_names_of_a_library_are_used_in_one_module():
    assert {(name, module) for name, module in private_names() if name not in OF_PYTHON} <= {
        *USED_IN.items(),
        *INSTRUMENTED.items(),
    }


def test_the_modules_that_may_use_private_names_do_so():
    assert {module for _, module in private_names()} >= OF_LIBRARIES
