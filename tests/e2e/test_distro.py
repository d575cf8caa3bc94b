"""Telemetry that starts before the program, under `opentelemetry-instrument` and `otel-ha run`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.e2e.instrumented import BOTH, PATIENT, run_code
from tests.receivers import answer, receiving

pytestmark = PATIENT
OURS = "otel-ha run"
RUNNING = "from otel_ha.telemetry import running_telemetry; telemetry = running_telemetry()\n"
SET_UP = "from otel_ha import setup_telemetry\n"
NEVER = str(3600 * 1000)


def seen(command: str, code: str, **environment: str) -> object:
    """Return the output of the code as a Python value; it logs nothing."""
    done = run_code(command, code, **environment)
    assert done.stderr == ""
    return ast.literal_eval(done.stdout)


# Start and taking over


@BOTH
def test_telemetry_runs_provisionally_before_the_first_line(command):
    code = f"{RUNNING}print((telemetry.is_provisional, telemetry.config.service_name, bool(telemetry.metrics_url)))"
    assert seen(command, code, OTEL_SERVICE_NAME="kitchen") == (True, "kitchen", True)


@BOTH
def test_a_set_up_of_the_program_with_equal_settings_keeps_what_runs(command):
    code = f"{RUNNING}{SET_UP}print((setup_telemetry() is telemetry, telemetry.is_provisional))"
    assert seen(command, code) == (True, False)


@BOTH
def test_a_set_up_of_the_program_with_other_settings_takes_over(command):
    code = f"{RUNNING}{SET_UP}own = setup_telemetry('own')\nprint((own is telemetry, running_telemetry() is own))"
    assert seen(command, code) == (False, True)


def test_what_gives_way_pushes_nothing_in_a_name_that_the_service_does_not_have():
    with receiving(answer()) as receiver:
        push = {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
        count = "ingest.RECEIVED.add(1, source='mqtt')"
        code = f"from otel_ha.vocabulary import ingest\n{count}\n{SET_UP}setup_telemetry('own')\n{count}"
        assert run_code(OURS, code, **push, OTEL_METRIC_EXPORT_INTERVAL=NEVER).stderr == ""
        bodies = b"".join(request.body for request in receiver.requests)
    assert b"own" in bodies
    assert b"unknown_service" not in bodies


def test_a_set_up_before_the_instrumentation_stays():
    code = f"""{SET_UP}
own = setup_telemetry("own")
from opentelemetry.instrumentation.auto_instrumentation import initialize
initialize()
from otel_ha.telemetry import running_telemetry
print(running_telemetry() is own)
"""
    # The first start is off; the program then turns it on.
    code = f"import os\ndel os.environ['OTEL_SDK_DISABLED']\n{code}"
    assert run_code(OURS, code, OTEL_SDK_DISABLED="true").stdout == "True\n"


# The variables that OpenTelemetry specifies


@BOTH
def test_telemetry_that_is_switched_off_loads_no_sdk(command):
    code = "import sys\nprint([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'otel_ha.tele'))])"
    done = run_code(command, code, OTEL_SDK_DISABLED="True ")
    assert done.stdout == "[]\n"
    assert done.stderr.count("\n") == (1 if command == OURS else 0)  # test_run.py has the line


@pytest.mark.parametrize(("given", "expected"), [("", "http,database"), ("http/dup", "http/dup")])
def test_http_libraries_use_the_current_names_unless_others_are_chosen(given, expected):
    code = "import os\nprint([os.environ['OTEL_SEMCONV_STABILITY_OPT_IN']])"
    assert seen(OURS, code, OTEL_SEMCONV_STABILITY_OPT_IN=given) == [expected]


# Instrumentors: those of other packages, each in a distribution of its own


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH with a distribution whose instrumentors are alpha, broken and omega, in this order."""
    (tmp_path / "acme.py").write_text(
        """
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

done = []

class Base:
    def instrumentation_dependencies(self): return ()
    def _uninstrument(self, **_): pass
    def _instrument(self, **_): done.append(type(self).__name__)

class Alpha(Base, BaseInstrumentor): pass

class Omega(Base, BaseInstrumentor): pass

class Broken(Base, BaseInstrumentor):
    def _instrument(self, **_): raise ValueError("no\\nluck")
"""
    )
    metadata = tmp_path / "acme-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(
        "[opentelemetry_instrumentor]\nalpha = acme:Alpha\nbroken = acme:Broken\nomega = acme:Omega\n"
    )
    return tmp_path


def with_acme(folder: Path, **environment: str):
    code = "import acme\nprint(acme.done)"
    return run_code(OURS, code, PYTHONPATH=f"{folder}:{Path.cwd()}", **environment)


def test_an_instrumentor_that_raises_is_one_line_and_ends_no_other(acme):
    done = with_acme(acme)
    assert ast.literal_eval(done.stdout) == ["Alpha", "Omega"]
    assert done.stderr == "broken is not instrumented (ValueError: no luck)\n"


@pytest.mark.parametrize(("disabled", "expected"), [("broken, omega", ["Alpha"]), ("*", [])])
def test_instrumentors_that_are_disabled_are_left_out(acme, disabled, expected):
    done = with_acme(acme, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=disabled)
    assert (ast.literal_eval(done.stdout), done.stderr) == (expected, "")


@BOTH
@pytest.mark.parametrize(
    ("name", "meant"), [("paho", "paho-mqtt"), ("Hass", "hass-client"), ("aiohttp", "homeassistant-aiohttp")]
)
def test_a_name_to_leave_out_that_no_instrumentor_has_is_one_line_for_all_processes(command, name, meant):
    code = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'print(1)'], check=True)"
    done = run_code(command, code, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=f"aiomqtt, {name}")
    assert (done.stdout, done.stderr.count("\n")) == ("1\n", 1)
    assert f"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS names '{name}', which no installed" in done.stderr
    assert done.stderr.endswith(f"{meant}?\n")


@pytest.mark.parametrize("names", ["", " ,", "*", "paho,*", "aiomqtt,paho-mqtt,", "system_metrics"])
def test_names_to_leave_out_that_are_known_need_no_warning(names):
    assert run_code(OURS, "", OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=names).stderr == ""


@BOTH
def test_host_and_process_are_measured_once(command):
    code = f"{RUNNING}print([each for each in telemetry.prometheus_text().splitlines() if 'scope_name=' in each])"
    assert seen(command, code, OTEL_HA_SYSTEM_METRICS="true") == []


@BOTH
def test_logging_stays_as_the_program_finds_it_without_telemetry(command):
    done = run_code(command, "import logging\nlogging.warning('mine')\nprint(logging.getLogger().handlers)")
    assert done.stderr == "WARNING:root:mine\n"
    assert done.stdout.count("Handler") == 1


# Mistakes


@BOTH
def test_the_program_runs_without_telemetry_if_its_configuration_file_needs_a_package(command, tmp_path):
    file = tmp_path / "otel.yaml"
    file.write_text('file_format: "1.0"\n')
    done = run_code(command, "print('ran')", OTEL_CONFIG_FILE=str(file))
    assert done.stderr.count("\n") == 1
    assert "pip install opentelemetry-configuration" in done.stderr
    assert done.stdout == ("ran\n" if command == "opentelemetry-instrument" else "")


def test_a_wrong_setting_is_one_line_and_the_program_goes_on():
    wrong = {"OTEL_EXPORTER_PROMETHEUS_PORT": "http", "OTEL_METRIC_EXPORT_INTERVAL": "30s"}
    done = run_code("opentelemetry-instrument", "print('ran')", **wrong)
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert done.stderr.count("\n") == 1
    assert all(name in done.stderr for name in wrong)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "9" * 5000),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "hunter2!"),
        ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", ""),
        ("OTEL_TRACES_SAMPLER", "hunter2!"),
    ],
    ids=lambda text: text[:40],
)
def test_a_mistake_in_a_variable_of_the_sdk_is_one_line_and_the_program_goes_on(variable, value):
    both = {"OTEL_TRACES_EXPORTER": "console", "OTEL_LOGS_EXPORTER": "console"}
    done = run_code("opentelemetry-instrument", "print('ran')", **both, **{variable: value})
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (0, "ran\n", 1)
    assert variable in done.stderr
    assert not value or value not in done.stderr


def test_an_error_that_is_not_of_a_setting_is_one_line_and_the_program_goes_on():
    # The API logs that there is no entry point of this name, with a traceback, and raises StopIteration.
    done = run_code("opentelemetry-instrument", "print('ran')", OTEL_PYTHON_METER_PROVIDER="acme")
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert "StopIteration(); the program goes on without telemetry" in done.stderr
    assert "Failed to auto initialize" not in done.stderr


def test_a_wrong_setting_does_not_stand_in_the_way_of_the_programs_own():
    code = """
from otel_ha import TelemetryConfig, setup_telemetry
from otel_ha.vocabulary import ingest
ingest.RECEIVED.add(2, source="mqtt")
telemetry = setup_telemetry("own", config=TelemetryConfig(prometheus_port=0))
ingest.RECEIVED.add(1, source="mqtt")
lines = telemetry.prometheus_text().splitlines()
print([line.split()[-1] for line in lines if line.startswith("homeassistant_event_received_total")])
"""
    done = run_code("opentelemetry-instrument", code, OTEL_EXPORTER_PROMETHEUS_PORT="http")
    assert ast.literal_eval(done.stdout) == ["1.0"]


# Event loops

# A block is a step of the clock: the machine may be busy, and delay a loop as well.
DELAYS = f"""{RUNNING}
import time
from types import SimpleNamespace
from otel_ha.sources import event_loop
BELOW = 'asyncio_eventloop_delay_seconds_bucket{{le="5.5"}}'
skipped = [0]
event_loop.time = SimpleNamespace(perf_counter=lambda: time.perf_counter() + skipped[0])
def block():
    skipped[0] += 1000
def counted():
    lines = telemetry.prometheus_text().splitlines()
    (count,) = [line.split()[-1] for line in lines if line.startswith("asyncio_eventloop_delay_seconds_count")] or ["0"]
    return float(count)
def blocked():
    lines = telemetry.prometheus_text().splitlines()
    (below,) = [line.split()[-1] for line in lines if line.startswith(BELOW)]
    return counted() - float(below)
"""


@BOTH
def test_the_delay_of_each_loop_is_measured_in_turn_and_in_threads(command):
    code = f"""{DELAYS}
import asyncio, threading
asyncio.run(asyncio.sleep(0.3))
first = counted()
thread = threading.Thread(target=asyncio.run, args=[asyncio.sleep(0.3)])
thread.start(); thread.join()
second = counted()
asyncio.run(asyncio.sleep(0.3))
print(0 < first < second < counted())
"""
    assert seen(command, code) is True


def test_a_block_of_the_loop_is_seen_and_the_time_between_two_runs_is_none():
    code = f"""{DELAYS}
import asyncio
async def main(event):
    await asyncio.sleep(0.1)
    event()
    await asyncio.sleep(0.1)
loop = asyncio.new_event_loop()
loop.run_until_complete(main(bool))
block()
loop.run_until_complete(main(bool))
before = blocked()
loop.run_until_complete(main(block))
print((before, blocked()))
"""
    assert seen(OURS, code) == (0.0, 1.0)


def test_a_program_that_watches_its_loop_itself_counts_a_block_once():
    code = f"""{DELAYS}
import asyncio
async def main():
    async with telemetry:
        await asyncio.sleep(0.1)
        block()
        await asyncio.sleep(0.1)
        print(blocked())
asyncio.run(main())
"""
    assert seen(OURS, code) == 1.0


def test_an_exception_of_a_loop_passes_through():
    code = """
import asyncio
async def main(): raise KeyError("mine")
try:
    asyncio.run(main())
except KeyError as error:
    print([str(error)])
"""
    assert seen(OURS, code) == ["'mine'"]


def test_loops_are_not_watched_if_their_delay_is_not_measured():
    code = "import asyncio\nprint(hasattr(asyncio.BaseEventLoop.run_forever, '__wrapped__'))"
    assert seen(OURS, code, OTEL_HA_PERFORMANCE_METRICS="false") is False


def test_the_delay_of_a_loop_of_uvloop_is_measured_once():
    pytest.importorskip("uvloop")
    code = f"""{DELAYS}
import uvloop, asyncio
async def main():
    await asyncio.sleep(0.1)
    block()
    await asyncio.sleep(0.1)
uvloop.run(main())
print((counted() > 1, blocked()))
"""
    assert seen(OURS, code) == (True, 1.0)
