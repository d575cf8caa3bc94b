"""The README: its programs run, its output is real, and its tables agree with the code."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from otel_ha.config.settings import settings
from otel_ha.config.telemetry_config import TelemetryConfig
from tests.pages import ROOT, appears, blocks, run

PAGE = ROOT / "README.md"
TEXT = PAGE.read_text(encoding="utf-8")
START = """
from otel_ha import measured, setup_telemetry
from otel_ha.vocabulary import ingest
telemetry = setup_telemetry("ha-ingestor")
seen_before, message = lambda message: True, "on"
"""
# The first program runs alone; two others continue one that has started.
PROGRAMS = list(zip(["", START, "", START], blocks(PAGE), strict=True))


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_each_block_of_python_is_a_program(number):
    before, block = PROGRAMS[number]
    run(before + block)


def test_the_three_lines_are_numbered_in_order():
    assert re.findall(r"# (\d): ", blocks(PAGE)[0]) == ["1", "2", "3"]


def test_the_three_lines_make_the_metrics_that_are_shown():
    (expected,) = (block for block in blocks(PAGE, "text") if block.startswith("homeassistant_"))
    output = run(f"{blocks(PAGE)[0]}print(telemetry.prometheus_text())")
    numbers = re.compile(r" 0\.22$", re.MULTILINE)  # CPU time varies
    for line in numbers.sub(" …", expected).splitlines():
        assert appears(output, line), line


def test_both_discards_of_the_queue_are_counted():
    look = "telemetry.history.collect(); print(telemetry.history.totals(ingest.DISCARDED, ingest.REASON))"
    assert run(START + blocks(PAGE)[1] + look).strip() == "{'overflow': 1.0, 'duplicate': 1.0}"


def test_the_demo_prints_lines_of_the_form_that_is_shown():
    (expected,) = (block for block in blocks(PAGE, "text") if "It adds up." in block)
    command = [sys.executable, "-m", "examples.demo", "--port", "0", "--duration", "5"]
    environment = {"PATH": os.environ["PATH"], "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr
    printed = f"{done.stderr}\n{done.stdout}"
    for line in expected.splitlines():
        form = re.sub(r"(?:\d[\d,.]*|-)(?= |\)|/|:|,|$)(?: (?:µs|ms|s|MiB)\b)?", "…", line)
        form = re.sub(r"\[ +…", "[…", form)
        assert appears(printed, form), form


def test_the_defaults_in_the_table_are_those_of_the_code():
    known = {name: one for one in settings(TelemetryConfig).values() for name in one.variables}
    rows = re.findall(r"^\| `(OTEL_\w+)`(?:, `(_\w+)`)? \| (.*?) \|", TEXT, re.MULTILINE)
    assert len(rows) == 6
    for name, _, default in rows:
        one = known[name]
        value = ",".join(one.default) if isinstance(one.default, tuple) else one.default
        value = f"{value * 1000:g}" if isinstance(value, float) else str(value).lower()
        assert value in default or default.strip("`") in one.default_text, name


def test_the_first_screen_is_short():
    assert TEXT[: TEXT.index("## Features")].count("\n") <= 75
