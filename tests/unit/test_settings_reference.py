"""The reference of the settings: complete, and the same on disk as in the code."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from otel_ha.config.reference import render_settings
from otel_ha.config.settings import settings
from otel_ha.config.telemetry_config import TelemetryConfig

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"
SETTINGS = settings(TelemetryConfig)


def row(name: str) -> str:
    """Return the one row of the page that is about a setting."""
    (found,) = (line for line in render_settings().splitlines() if line.startswith(f"| `{name}` |"))
    return found


def test_the_page_on_disk_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_settings(), "run `make docs`"


def test_running_the_module_prints_the_page() -> None:
    command = [sys.executable, "-m", "otel_ha.config.reference"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    assert printed == render_settings()


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_has_a_row_with_its_variables_and_allowed_values(name: str) -> None:
    known = SETTINGS[name]
    for text in (*known.variables, known.kind.allowed, known.kind.allowed_in_variable):
        assert text in row(name)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_has_a_variable_and_a_help_that_is_a_sentence(name: str) -> None:
    known = SETTINGS[name]
    assert known.variables
    assert known.help[0].isupper()
    assert known.help.endswith(".")


def test_every_argument_is_a_setting_or_says_where_settings_are_read() -> None:
    arguments = {field.name for field in dataclasses.fields(TelemetryConfig) if field.init}
    assert arguments - {"env_file", "environ"} == set(SETTINGS)


def test_no_variable_belongs_to_two_settings() -> None:
    variables = [variable for known in SETTINGS.values() for variable in known.variables]
    assert len(variables) == len(set(variables))


def test_every_row_has_the_five_cells_of_the_head() -> None:
    rows = [line for line in render_settings().splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {6}


def test_defaults_are_shown_as_in_the_environment() -> None:
    assert "| `otlp,prometheus` |" in row("metrics_exporters")
    assert "| `true` |" in row("enabled")
    assert "| 30 s |" in row("export_interval")
    assert "| none |" in row("otlp_certificate")
