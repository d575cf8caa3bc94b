"""The summary agrees with its schema, and the reference with the code."""

import json
import re
import subprocess
import sys
from dataclasses import asdict, fields
from pathlib import Path

import jsonschema
import pytest

from otel_ha import measured, setup_telemetry
from otel_ha.declare.instruments import GROUPS
from otel_ha.history import BusinessMetrics, PerformanceMetrics, SystemMetrics
from otel_ha.serve.summary.reference import render_page, render_schema
from otel_ha.serve.summary.summary import FACTS, SCHEMA_VERSION, summary, system_info
from otel_ha.vocabulary import ingest
from tests.history import run
from tests.unit.conftest import config

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
METRICS = {"system": SystemMetrics, "performance": PerformanceMetrics, "business": BusinessMetrics}


@measured(ingest.EVENT, source="mqtt", domain="light", entity=lambda: "light.hall")
def handle() -> None:
    """Do nothing."""


def valid(summary: dict) -> dict:
    """Return the summary as a reader of JSON gets it, after validation."""
    sent = json.loads(json.dumps(summary))
    jsonschema.Draft202012Validator(json.loads(render_schema())).validate(sent)
    return sent


def test_a_summary_is_valid_by_its_schema():
    settings = config(system_metrics=True, entity_metrics=True, history_interval=0.1)
    with setup_telemetry("test", config=settings) as telemetry:
        handle()
        summary = valid(telemetry.summary())
        assert summary["schema_version"] == SCHEMA_VERSION
        assert summary["current"]["business"]["events_by_entity"] == {"light.hall": 1}
        assert summary["current"]["system"]["memory_percent"] > 0
        assert [of_minute["business"]["total_events_processed"] for of_minute in summary["roll_ups"]["1h"]] == [1]


def test_a_summary_without_a_history_is_valid_by_its_schema():
    with setup_telemetry("test", config=config(history_length=0)) as telemetry:
        assert valid(telemetry.summary())["roll_ups"] is None


def test_a_summary_lists_the_groups_that_are_on():
    with setup_telemetry(config=config(business_metrics=False)) as telemetry:
        assert telemetry.summary()["groups"] == ["operations", "performance"]


def test_each_part_of_a_summary_agrees_with_the_history():
    with run() as recorded:
        for _ in range(3):
            handle()
            recorded.collect(100)
        handle()
        found = summary(recorded.history, service="test", groups=GROUPS)
        history = recorded.history
        assert found["current"] == {
            "window": 300,
            "system": asdict(history.system()),
            "performance": asdict(history.performance(300)),
            "business": asdict(history.business()),
        }
        for part in ("system", "performance", "business"):
            assert found["history"][part] == [asdict(getattr(each, part)) for each in history.intervals()]
        for name, period in (("1min", 60), ("5min", 300), ("1h", 3600)):
            assert found["roll_ups"][name] == [asdict(each) for each in history.roll_up(period)]
        assert found["current"]["business"]["total_events_processed"] == 4


SERVICE = """
import os, sys, urllib.request
from pathlib import Path
import psutil
from otel_ha import TelemetryConfig, setup_telemetry
root = Path(sys.argv[1])
for entry in Path("/proc").iterdir():
    if entry.name != "meminfo":
        (root / entry.name).symlink_to(entry)
if sys.argv[2] == "a directory":
    (root / "meminfo").mkdir()
elif sys.argv[2] != "missing":
    (root / "meminfo").write_text(sys.argv[2])
psutil.PROCFS_PATH = str(root)
settings = TelemetryConfig(metrics_exporters=("prometheus",), prometheus_port=0, environ={})
with setup_telemetry("test", config=settings) as telemetry:
    with urllib.request.urlopen(telemetry.metrics_url.replace("/metrics", "/summary"), timeout=30) as response:
        sys.stdout.buffer.write(response.read())
"""


@pytest.mark.parametrize("meminfo", ["missing", "a directory", "", "MemTotal: many kB"])
def test_a_fact_that_cannot_be_read_is_absent_and_the_rest_is_served(tmp_path, meminfo):
    command = [sys.executable, "-c", SERVICE, str(tmp_path), meminfo]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=50)
    found = valid(json.loads(done.stdout))
    assert "memory_total_gb" not in found["system_info"]
    assert {"hostname", "process_id", "cpu_count", "otel_ha_version"} <= found["system_info"].keys()
    assert found["current"]["system"]["memory_percent"] == 0
    assert found["current"]["system"]["disk_usage_percent"] > 0


@pytest.mark.parametrize("name", FACTS)
def test_each_fact_may_fail(name):
    def fail():
        raise OSError(5, "Input/output error")

    assert system_info({**FACTS, name: fail}).keys() == FACTS.keys() - {name}
    assert name not in system_info({**FACTS, name: lambda: None})


def test_the_schema_rejects_a_summary_of_another_shape():
    with setup_telemetry(config=config()) as telemetry:
        summary = telemetry.summary()
    del summary["current"]["system"]["cpu_percent"]
    with pytest.raises(jsonschema.ValidationError, match="not valid"):
        valid(summary)


@pytest.mark.parametrize(("section", "cls"), METRICS.items())
def test_the_page_describes_every_field(section, cls):
    (table,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", render_page(), re.MULTILINE | re.DOTALL)
    assert re.findall(r"^\| `(\w+)` \| .+ \|$", table, re.MULTILINE) == [field.name for field in fields(cls)]


def test_the_page_on_disk_is_up_to_date():
    assert (REFERENCE / "summary.md").read_text(encoding="utf-8") == render_page(), "run `make docs`"


def test_the_schema_on_disk_is_up_to_date():
    assert (REFERENCE / "summary.schema.json").read_text(encoding="utf-8") == render_schema(), "run `make docs`"


@pytest.mark.parametrize(("arguments", "rendered"), [((), render_page), (("schema",), render_schema)])
def test_running_the_module_prints_the_reference(arguments, rendered):
    command = [sys.executable, "-m", "otel_ha.serve.summary.reference", *arguments]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == rendered()
