"""OTEL_HA_TOPIC_PARSER in programs that do not know of telemetry: it is looked at when they import an MQTT library."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.instrumented import BOTH, run

pytest.importorskip("paho.mqtt.client")

MQTT = "import paho.mqtt.client\n"
PARSE = "def parse(topic, payload): return 'lock'\n"
ASK = """
from otel_ha.instrumentation.topics.parser import topic_parser
print(topic_parser().parse("x", b"").domain)
"""


def run_program(folder: Path, command: str, program: str, parser: str, *arguments: str):
    (folder / "app.py").write_text(program)
    return run(command, "python", *(arguments or ["app.py"]), path=folder, OTEL_HA_TOPIC_PARSER=parser)


@BOTH
@pytest.mark.parametrize("parser", ["nomod:parse", "topics:nothing", "topics.deep:parse", "raising:parse", "ending:x"])
def test_a_parser_that_cannot_be_imported_is_said_before_a_message(command, parser, tmp_path):
    (tmp_path / "topics.py").write_text(PARSE)
    (tmp_path / "raising.py").write_text("raise ValueError('no\\nluck')")
    (tmp_path / "ending.py").write_text("raise SystemExit(3)")
    done = run_program(tmp_path, command, f"{MQTT}print('ran')", parser)
    assert (done.stdout, done.returncode, done.stderr.count("\n")) == ("ran\n", 0, 1)
    assert f"OTEL_HA_TOPIC_PARSER is '{parser}', which cannot be imported" in done.stderr
    assert "allowed: module:function" in done.stderr


@BOTH
def test_a_parser_beside_the_program_is_imported_once_with_the_library(command, tmp_path):
    (tmp_path / "topics.py").write_text(f"{MQTT}print('topics')\n{PARSE}")
    done = run_program(tmp_path, command, f"print('app')\n{MQTT}print('ran'){ASK}", "topics:parse")
    assert (done.stdout, done.stderr) == ("app\ntopics\nran\nlock\n", "")


def test_a_program_without_mqtt_does_not_import_the_parser(tmp_path):
    done = run_program(tmp_path, "otel-ha run", "print('ran')", "nomod:parse")
    assert (done.stdout, done.stderr) == ("ran\n", "")


@pytest.mark.parametrize("arguments", [("app.py",), ("-m", "app")], ids=" ".join)
def test_a_parser_in_the_program_itself_does_not_run_it_twice(arguments, tmp_path):
    done = run_program(tmp_path, "otel-ha run", f"print('ran')\n{MQTT}{PARSE}{ASK}", "app:parse", *arguments)
    assert (done.stdout, done.stderr) == ("ran\nlock\n", "")


def test_a_parser_in_a_package_that_imports_the_library_first_is_not_half_imported(tmp_path):
    package = tmp_path / "ingestor"
    package.mkdir()
    (package / "__init__.py").write_text(f"{MQTT}NAME = 'lock'\n")
    (package / "topics.py").write_text("from ingestor import NAME\ndef parse(topic, payload): return NAME\n")
    done = run_program(tmp_path, "otel-ha run", f"import ingestor{ASK}", "ingestor.topics:parse")
    assert (done.stdout, done.stderr) == ("lock\n", "")
