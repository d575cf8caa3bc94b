"""The pytest plugin, as a user's run of pytest loads it: what it captures, and what it leaves behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from otel_ha.testing import CapturedMetrics, Recorded
from tests.e2e.instrumented import PATIENT
from tests.pages import ROOT, appears, blocks

pytestmark = PATIENT
PAGE = ROOT / "docs" / "how-to" / "test-your-metrics.md"
OURS = ("-p", "no:otel_ha", "-p", "otel_ha.testing.plugin")  # this checkout's, whatever is installed
OTHERS = ("-p", "no:randomly", "-p", "no:asyncio", "-p", "no:anyio", "-p", "no:xdist")
LOOPS_MAY_LEAK = ("-W", "ignore::ResourceWarning")
SERVICE = """
from otel_ha import measured, setup_telemetry
from otel_ha.vocabulary import ingest

@measured(ingest.EVENT, source="mqtt")
def handle():
    ...

@measured(ingest.EVENT, source="mqtt")
async def handle_async():
    ...

def main():
    with setup_telemetry("service"):
        handle()

async def main_async():
    async with setup_telemetry("service"):
        await handle_async()
"""
# Fails a test that leaves something behind.
CONFTEST = """
import signal, threading
import psutil, pytest
from otel_ha.export.global_provider import CURRENT
from otel_ha.telemetry import running_telemetry

def state():
    process = psutil.Process()
    return {
        "threads": {thread.name for thread in threading.enumerate()},
        "sockets": {(each.family, each.type, each.laddr) for each in process.net_connections("inet")},
        "children": process.children(),
        "handlers": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "telemetry": running_telemetry(),
        "pipeline": CURRENT.pipeline,
    }

@pytest.fixture(autouse=True)
def nothing_is_left():
    before = state()
    yield
    after = state()
    assert after == before
"""
INI = """
[pytest]
filterwarnings = error
"""


class Run:
    """A finished run of pytest."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.output = done.stdout + done.stderr
        self.summary = self.output.strip().splitlines()[-1]

    @property
    def outcomes(self) -> dict[str, int]:
        """The number of tests by outcome."""
        return {outcome: int(number) for number, outcome in re.findall(r"(\d+) (passed|failed|error)", self.summary)}


@pytest.fixture
def run(tmp_path: Path):
    """Run pytest on a test file beside a service, with no other plugins than those that are named."""

    def run(
        tests: str,
        *arguments: str,
        conftest: str = CONFTEST,
        plugins: tuple[str, ...] = (),
        service: str = SERVICE,
        **variables: str,
    ):
        files = {"service.py": service, "conftest.py": conftest, "test_service.py": tests, "pytest.ini": INI}
        for name, text in files.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        without = [
            argument for argument in zip(OTHERS[::2], OTHERS[1::2], strict=True) if argument[1][3:] not in plugins
        ]
        command = [sys.executable, "-m", "pytest", "-q", *OURS, *sum(without, ()), *arguments]
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTEST_"))}
        environment = {**clean, "PYTHONPATH": str(ROOT), **variables}
        return Run(
            subprocess.run(
                command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=250
            )
        )

    return run


def test_loading_the_plugin_imports_none_of_our_modules_but_the_few_it_needs(run):
    tests = """
import sys

def test_what_is_loaded():
    ours = {name for name in sys.modules if name.split(".")[0] in {"otel_ha", "opentelemetry"}}
    names = {"", ".version", ".testing", ".testing.plugin", ".config", ".config.under_test"}
    assert ours == {f"otel_ha{name}" for name in names}
    assert not {"asyncio", "psutil"} & {*sys.modules}
"""
    assert run(tests, conftest="").outcomes == {"passed": 1}


def test_code_that_sets_telemetry_up_in_any_way_is_captured_and_leaves_nothing(run):
    tests = """
import asyncio, threading, unittest
import pytest
from otel_ha import ConfigError
from service import *

def test_code_that_only_records(metrics):
    handle()
    metrics.assert_recorded(ingest.RECEIVED)

def test_another_test_starts_from_zero(metrics):
    metrics.assert_nothing_recorded(ingest.RECEIVED)

def test_telemetry_that_is_shut_down(metrics):
    main()
    metrics.assert_recorded(ingest.RECEIVED)

def test_telemetry_that_is_set_up_several_times(metrics):
    main()
    main()
    metrics.assert_recorded(ingest.RECEIVED, 2)

def test_telemetry_that_is_not_shut_down(metrics):
    setup_telemetry("service", catalog=ingest.CATALOG)
    handle()
    metrics.assert_recorded(ingest.RECEIVED)

def test_telemetry_that_another_thread_does_not_shut_down(metrics):
    thread = threading.Thread(target=lambda: (setup_telemetry("service"), handle()))
    thread.start()
    thread.join()
    metrics.assert_recorded(ingest.RECEIVED)

def test_telemetry_of_a_loop(metrics):
    asyncio.run(main_async())
    metrics.assert_recorded(ingest.RECEIVED)

def test_telemetry_that_a_loop_does_not_shut_down(metrics):
    async def run():
        setup_telemetry("service")
        await handle_async()

    asyncio.run(run())
    metrics.assert_recorded(ingest.RECEIVED)

def test_a_second_set_up_with_other_settings_is_the_error_that_it_is_in_a_service(metrics):
    setup_telemetry("service")
    with pytest.raises(ConfigError, match="service_name"):
        setup_telemetry("other")
    handle()
    metrics.assert_recorded(ingest.RECEIVED)

@pytest.mark.parametrize("times", [1, 2, 3])
def test_each_parameter(metrics, times):
    for _ in range(times):
        handle()
    metrics.assert_recorded(ingest.RECEIVED, times)

class TestClass:
    def test_a_method(self, metrics):
        main()
        metrics.assert_recorded(ingest.RECEIVED)

class Case(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _take(self, metrics):
        self.metrics = metrics

    def test_a_method_of_a_test_case(self):
        main()
        self.metrics.assert_recorded(ingest.RECEIVED)

@pytest.fixture
def service_within(metrics):
    with setup_telemetry("service"):
        yield

def test_telemetry_of_a_fixture_within_the_capture(service_within, metrics):
    handle()
    metrics.assert_recorded(ingest.RECEIVED)

def test_code_that_fails(metrics):
    setup_telemetry("service")
    raise ValueError("as the service does")
"""
    ended = run(tests)
    assert ended.outcomes == {"failed": 1, "passed": 15}, ended.output
    assert "ValueError: as the service does" in ended.output


EARLIER = """
import pytest
from service import *

{earlier}

def test_telemetry_that_runs_before_is_captured(metrics):
    handle()
    assert metrics.telemetry is telemetry()
    metrics.assert_recorded(ingest.RECEIVED)

def test_it_is_captured_again(metrics):
    handle()
    metrics.assert_recorded(ingest.RECEIVED)

def test_it_goes_on_after_a_capture():
    before = telemetry().summary()["accounts"]["total"]["received"]
    handle()
    assert telemetry().summary()["accounts"]["total"]["received"] == before + 1

def test_it_may_end_in_a_capture(metrics):
    handle()
    telemetry().shutdown()
    metrics.assert_recorded(ingest.RECEIVED)

def test_it_exports_nothing():
    assert telemetry().metrics_url is None
    assert telemetry().config.metrics_exporters == ()
"""


@pytest.mark.parametrize(
    "earlier",
    [
        pytest.param("running = setup_telemetry('early')\ntelemetry = lambda: running", id="at import"),
        pytest.param(
            "@pytest.fixture(scope='session', autouse=True)\n"
            "def running():\n"
            "    global telemetry\n"
            "    with setup_telemetry('early') as found:\n"
            "        telemetry = lambda: found\n"
            "        yield\n",
            id="in a session fixture",
        ),
    ],
)
def test_telemetry_that_was_set_up_before_a_test_is_captured(run, earlier):
    ended = run(EARLIER.format(earlier=earlier), conftest="")
    assert ended.outcomes == {"passed": 5}, ended.output


def test_telemetry_that_an_earlier_test_has_left_names_the_fixture(run):
    tests = """
import pytest
from otel_ha import ConfigError, setup_telemetry

def test_without_the_fixture():
    setup_telemetry("a")

def test_it_is_still_set_up():
    with pytest.raises(ConfigError, match="already set up, .*; in pytest, the fixture `metrics` isolates each test$"):
        setup_telemetry("b")

def test_the_fixture_does_not_need_the_advice(metrics):
    setup_telemetry("b")
    with pytest.raises(ConfigError, match="or shut the first one down$"):
        setup_telemetry("c")
"""
    assert run(tests, conftest="").outcomes == {"passed": 3}


def test_telemetry_that_a_conftest_sets_up_exports_nothing(run):
    conftest = "from otel_ha import setup_telemetry\ntelemetry = setup_telemetry('early')"
    tests = """
from conftest import telemetry

def test_exporters():
    assert telemetry.config.metrics_exporters == ()
"""
    assert run(tests, conftest=conftest).outcomes == {"passed": 1}


def test_exporters_that_an_argument_or_a_variable_names_export(run):
    tests = """
from urllib.request import urlopen
from otel_ha import TelemetryConfig, setup_telemetry

def scraped(telemetry):
    with telemetry, urlopen(telemetry.metrics_url, timeout=30) as response:
        return response.status

def test_a_variable():
    assert scraped(setup_telemetry("service")) == 200

def test_an_argument(monkeypatch):
    monkeypatch.delenv("OTEL_METRICS_EXPORTER")
    assert scraped(setup_telemetry("service", config=TelemetryConfig(metrics_exporters=["prometheus"]))) == 200

def test_neither(monkeypatch):
    monkeypatch.delenv("OTEL_METRICS_EXPORTER")
    with setup_telemetry("service") as telemetry:
        assert telemetry.metrics_url is None
"""
    named = {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": "0"}
    ended = run(tests, conftest="", **named)
    assert ended.outcomes == {"passed": 3}, ended.output


def test_the_catalog_and_the_settings_are_fixtures_to_override(run):
    tests = """
import pytest
from otel_ha import Attribute, Catalog, Counter

ROOM = Attribute("acme.room", "The room.", budget=5)
HEATED = Counter("acme.heated", unit="{start}", description="Starts of heating.", attributes=[ROOM])

@pytest.fixture
def metrics_catalog():
    return Catalog(HEATED)

@pytest.fixture
def metrics_settings():
    return {"service_name": "heating"}

def test_a_metric_of_ones_own(metrics):
    HEATED.add(2, room="hall")
    metrics.assert_recorded(HEATED, 2, room="hall")
    assert metrics.telemetry.config.service_name == "heating"
"""
    ended = run(tests)
    assert ended.outcomes == {"passed": 1}, ended.output


def test_a_fixture_of_wider_scope_may_capture_around_a_test(run):
    tests = """
import pytest
from otel_ha.testing import captured_metrics
from service import *

@pytest.fixture(scope="session")
def of_all_tests():
    with captured_metrics() as captured:
        handle()
        yield captured

@pytest.mark.parametrize("number", [1, 2])
def test_each(of_all_tests, metrics, number):
    handle()
    metrics.assert_recorded(ingest.RECEIVED, 1)
    of_all_tests.assert_recorded(ingest.RECEIVED, 1)
"""
    ended = run(tests, conftest="")
    assert ended.outcomes == {"passed": 2}, ended.output


def test_a_fixture_of_wider_scope_cannot_use_it(run):
    tests = """
import pytest

@pytest.fixture(scope="session")
def wide(metrics):
    ...

def test_wide(wide):
    ...
"""
    ended = run(tests)
    assert ended.outcomes == {"error": 1}
    assert "ScopeMismatch: You tried to access the function scoped fixture metrics" in ended.output


ASYNC = """
import pytest
from service import *

async def test_code_that_only_records(metrics):
    await handle_async()
    metrics.assert_recorded(ingest.RECEIVED)

async def test_telemetry_that_is_shut_down(metrics):
    await main_async()
    await metrics.wait_for_async(ingest.RECEIVED, within=30)

async def test_telemetry_that_is_not_shut_down(metrics):
    setup_telemetry("service")
    await handle_async()
    metrics.assert_recorded(ingest.RECEIVED)

async def test_nothing_comes_from_the_tests_before(metrics):
    metrics.assert_nothing_recorded(ingest.RECEIVED)
"""


@pytest.mark.parametrize("scope", ["function", "session"])
def test_async_tests_of_pytest_asyncio(run, scope):
    # Earlier versions of pytest-asyncio leave a loop of their own open.
    settings = ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function", *LOOPS_MAY_LEAK)
    ended = run(ASYNC, *settings, "-o", f"asyncio_default_test_loop_scope={scope}", plugins=("asyncio",), conftest="")
    assert ended.outcomes == {"passed": 4}, ended.output


def test_async_tests_of_anyio(run):
    tests = f"""{ASYNC}
pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""
    ended = run(tests, plugins=("anyio",), conftest="")
    assert ended.outcomes == {"passed": 4}, ended.output


def test_a_run_within_a_run_restores_what_it_found(run):
    tests = """
import pytest
from otel_ha.config.under_test import DEFAULTS
from service import *

pytest_plugins = ["pytester"]

def test_a_run_within(pytester, metrics):
    handle()
    pytester.makepyfile(
        "from otel_ha.config.under_test import DEFAULTS\\n"
        "from otel_ha.vocabulary import ingest\\n"
        "def test_it(metrics):\\n"
        "    assert DEFAULTS.exports_metrics is False\\n"
        "    ingest.RECEIVED.add(1, source='mqtt')\\n"
        "    metrics.assert_recorded(ingest.RECEIVED)\\n"
    )
    pytester.runpytest_inprocess("-p", "no:otel_ha", "-p", "otel_ha.testing.plugin").assert_outcomes(passed=1)
    assert DEFAULTS.exports_metrics is False
    metrics.assert_recorded(ingest.RECEIVED)
"""
    ended = run(tests)
    assert ended.outcomes == {"passed": 1}, ended.output


def test_a_run_that_ends_restores_the_defaults(tmp_path):
    (tmp_path / "test_nothing.py").write_text("def test_nothing(): ...", encoding="utf-8")
    code = f"""
import pytest
from otel_ha.config.under_test import DEFAULTS
arguments = ["-q", *{OURS!r}]
assert pytest.main(arguments) == 0
assert DEFAULTS.exports_metrics
assert pytest.main([*arguments, "nowhere"]) != 0
assert DEFAULTS.exports_metrics
"""
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=250
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_blocks_of_the_page_are_tests_that_pass(run, tmp_path):
    found = {re.match(r"# (\w+\.py)\n", block)[1]: block for block in blocks(PAGE)}
    assert len(found) == len(blocks(PAGE)) >= 10
    service, mqtt = found.pop("service.py"), found.pop("test_mqtt.py")  # tests.zero_code has a broker
    for name, text in found.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    ended = run(found["test_service.py"], conftest="", service=service)
    assert ended.outcomes == {"passed": "".join(found.values()).count("def test_")}, ended.output
    assert mqtt.count("def test_") == 1


def test_the_page_shows_the_failure_that_pytest_shows(run):
    (service, test), (shown,) = blocks(PAGE)[:2], blocks(PAGE, "text")
    ended = run(test.replace("duplicate", "filtered"), conftest="", service=service)
    assert ended.outcomes == {"failed": 1}
    assert appears(ended.output, shown)


def test_the_page_names_every_question_and_assertion():
    text = PAGE.read_text(encoding="utf-8")
    names = [name for of in (CapturedMetrics, Recorded) for name in vars(of) if not name.startswith("_")]
    assert [name for name in names if f".{name}" not in text and f"{name}()" not in text] == []
