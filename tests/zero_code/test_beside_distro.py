"""Selectors, with opentelemetry-distro installed next to otel-ha."""

from __future__ import annotations

import pytest

OURS, OTHER = "otel_ha", "opentelemetry.sdk"
# Neither the other distro's exporters nor its receivers.
QUIET = {"OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}
STABLE = "names=http,database"


@pytest.fixture
def beside(make_environment):
    return make_environment("distro")


def shown(environment, command: str, **selectors: str) -> tuple[str, bool, str]:
    """The package of the provider that a program finds, whether our distro chose the names, and its output."""
    program = environment.start(command, "counting.py", **QUIET, **selectors)
    output = program.wait_for_output("loaded:")
    (provider,) = [line for line in output.splitlines() if line.startswith("provider=")]
    found = OURS if f"provider={OURS}" in provider else OTHER if f"provider={OTHER}" in provider else provider
    return found, STABLE in provider, output


def test_otel_ha_run_selects_ours(beside):
    provider, is_our_distro, output = shown(beside, "otel-ha run")
    assert (provider, is_our_distro) == (OURS, True)
    assert "Traceback" not in output


@pytest.mark.parametrize("distro", ["otel_ha", "distro"])
@pytest.mark.parametrize("configurator", ["otel_ha", "configurator"])
def test_each_selector_does_what_it_says(beside, command, distro, configurator):
    selectors = {"OTEL_PYTHON_DISTRO": distro, "OTEL_PYTHON_CONFIGURATOR": configurator}
    provider, is_our_distro, output = shown(beside, command, **selectors)
    assert provider == (OURS if configurator == "otel_ha" else OTHER)
    assert is_our_distro == (distro == "otel_ha")
    others = {name for name, value in selectors.items() if value != "otel_ha"}
    assert output.count("wins") == (1 if others and command == "otel-ha run" else 0)
    assert "Traceback" not in output


@pytest.mark.parametrize("variable", ["OTEL_PYTHON_DISTRO", "OTEL_PYTHON_CONFIGURATOR"])
def test_a_selector_that_is_not_set_is_ours_under_our_command(beside, variable):
    other = {"OTEL_PYTHON_DISTRO": "distro", "OTEL_PYTHON_CONFIGURATOR": "configurator"}[variable]
    provider, is_our_distro, _ = shown(beside, "otel-ha run", **{variable: other})
    expected = (OURS, False) if variable == "OTEL_PYTHON_DISTRO" else (OTHER, True)
    assert (provider, is_our_distro) == expected


def test_host_and_process_are_measured_once_by_whichever_distro(beside, command):
    selectors = {
        "OTEL_PYTHON_DISTRO": "distro",
        "OTEL_PYTHON_CONFIGURATOR": "otel_ha",
        "OTEL_HA_SYSTEM_METRICS": "true",
    }
    exporters = {**QUIET, "OTEL_METRICS_EXPORTER": "prometheus"}
    program = beside.start(command, "counting.py", **exporters, **selectors)
    scrape = program.wait_for(lambda scrape: scrape.total("process_memory_usage_bytes"))
    assert not [labels for _, labels in scrape if "otel_scope_name" in dict(labels)]
