"""The doctor on settings and versions, as a process with its own variables."""

import json

import pytest

from tests.integration.doctor import SCRAPE_ONLY, doctor, run, service, url_of

pytestmark = pytest.mark.timeout(120)

# Nothing is asked over the network.
ALONE = {"OTEL_METRICS_EXPORTER": "none"}


def causes_of_settings(report):
    return [step["cause"] for step in report.findings if step["id"].startswith("settings.")]


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("OTEL_EXPORTER_OTLP_ENPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("OTEL_METRIC_EXPORTER", "OTEL_METRICS_EXPORTER"),
        ("OTEL_HA_ENTITY_METRIC", "OTEL_HA_ENTITY_METRICS"),
        ("otel_service_name", "OTEL_SERVICE_NAME"),
    ],
)
def test_a_misspelt_variable_is_named_with_the_one_that_was_meant(variable, meant):
    report = doctor(**{variable: "value"}, **SCRAPE_ONLY)
    found = report.findings[0]
    assert (found["cause"], found["facts"]) == ("unknown_variable", {"variable": variable, "meant": meant})
    assert found["remedy"] == f"did you mean {meant}?"


def test_a_misspelt_variable_in_the_env_file_is_found_there(tmp_path):
    file = tmp_path / "service.env"
    file.write_text("OTEL_EXPORTER_OTLP_ENPOINT=http://collector:4318\n")
    found = doctor("--env-file", str(file), **ALONE).findings[0]
    assert found["cause"] == "unknown_variable"
    assert str(file) in found["found"]


def test_a_wrong_value_is_a_finding_and_the_other_settings_are_used():
    with service() as telemetry:
        variables = {
            "OTEL_METRIC_EXPORT_INTERVAL": "30s",
            "OTEL_HA_HISTORY_LENGTH": "-1",
            "OTEL_EXPORTER_PROMETHEUS_PORT": telemetry.metrics_url.rpartition(":")[2].partition("/")[0],
        }
        report = doctor(**variables, **SCRAPE_ONLY)
    assert report.causes == ["wrong_setting", "wrong_setting"]
    assert {step["facts"]["setting"] for step in report.findings} == {"export_interval", "history_length"}
    assert "OTEL_METRIC_EXPORT_INTERVAL is '30s'" in report.findings[0]["found"]
    assert report.step("endpoint.address")["result"] == "ok"


@pytest.mark.parametrize(
    ("variables", "not_tried"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, ["collector.address", "collector.push"]),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http"}, ["collector.address"]),
        ({"OTEL_EXPORTER_PROMETHEUS_PORT": "94640"}, ["endpoint.address"]),
    ],
    ids=lambda given: next(iter(given), ""),
)
def test_no_default_is_tried_instead_of_a_wrong_address(variables, not_tried):
    report = doctor(**variables)
    assert report.causes[0] == "wrong_setting"
    for name in not_tried:
        step = report.step(name)
        assert step["result"] == "skipped"
        assert "Every setting has an allowed value" in step["found"]


def test_a_wrong_setting_is_named_with_its_origin(tmp_path):
    file = tmp_path / "service.env"
    file.write_text("OTEL_METRIC_EXPORT_INTERVAL=30s\n")
    [found] = doctor("--env-file", str(file), **ALONE).findings[:1]
    assert f"correct OTEL_METRIC_EXPORT_INTERVAL ({file})" in found["remedy"]


def test_a_combination_that_is_refused_is_a_finding():
    report = doctor(OTEL_HA_ENDPOINT_USERNAME="me", **SCRAPE_ONLY)
    assert report.causes[0] == "wrong_setting"
    assert "OTEL_HA_ENDPOINT_PASSWORD" in report.findings[0]["found"]


def test_an_env_file_that_cannot_be_read_is_a_finding(tmp_path):
    report = doctor("--env-file", str(tmp_path / "missing.env"), **ALONE)
    assert report.causes[0] == "env_file_unreadable"


def test_settings_are_shown_with_their_origin_and_without_secrets(tmp_path):
    file = tmp_path / "service.env"
    file.write_text("OTEL_SERVICE_NAME=from-the-file\nOTEL_METRIC_EXPORT_INTERVAL=5000\n")
    variables = {
        "OTEL_SERVICE_NAME": "from-the-environment",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20abcdefghijklmnop,x-key=hunter2hunter2",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "https://user:swordfish@otlp.example/v1/metrics?token=topsecret",
        "OTEL_HA_ENDPOINT_USERNAME": "me",
        "OTEL_HA_ENDPOINT_PASSWORD": "correct horse",
    }
    for done in (run("--json", "--env-file", str(file), **variables, **SCRAPE_ONLY),
                 run("--env-file", str(file), **variables, **SCRAPE_ONLY)):  # fmt: skip
        for secret in ("abcdefghijklmnop", "hunter2", "swordfish", "topsecret", "horse"):
            assert secret not in done.stdout + done.stderr
    report = doctor("--env-file", str(file), **variables, **SCRAPE_ONLY)
    shown = report.step("settings.non_default")["facts"]["settings"]
    assert shown["service_name"] == {
        "value": "'from-the-environment'",
        "variable": "OTEL_SERVICE_NAME",
        "origin": "environment",
    }
    assert shown["export_interval"]["origin"] == str(file)
    assert shown["export_interval"]["value"] == "5.0"
    assert shown["endpoint_password"]["value"] == "***"


def test_contradicting_settings_are_findings():
    report = doctor(
        OTEL_METRICS_EXPORTER="prometheus",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://collector:4318",
        OTEL_HA_ENDPOINT_SERVER="false",
    )
    assert causes_of_settings(report) == ["push_off"]


def test_a_foreign_meter_provider_is_a_finding():
    report = doctor(OTEL_PYTHON_METER_PROVIDER="sdk_meter_provider", **ALONE)
    step = report.step("versions.recording")
    assert step["cause"] == "foreign_meter_provider"
    assert step["facts"] == {"path": "api"}


def test_the_way_of_recording_is_shown():
    assert doctor(**ALONE).step("versions.recording")["facts"] == {"path": "journal"}
    always = doctor(OTEL_METRICS_EXEMPLAR_FILTER="always_on", **ALONE).step("versions.recording")
    assert (always["result"], always["facts"]) == ("ok", {"path": "api"})


def test_versions_are_shown():
    versions = doctor(**ALONE).step("versions.packages")["facts"]["versions"]
    assert {"Python", "otel-ha", "opentelemetry-sdk", "prometheus-client"} <= versions.keys()


def test_without_a_finding_the_last_line_says_so_and_the_exit_code_is_0():
    with service() as telemetry:
        done = run("--service-url", url_of(telemetry), **SCRAPE_ONLY)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1].startswith("No finding in ")


@pytest.mark.parametrize("options", [["--wait=soon"], ["--unknown"], ["--watch=0"], ["--ca=/does/not/exist"]])
def test_wrong_usage_is_code_2_without_a_traceback(options):
    done = run(*options, **ALONE)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["--service-url", "--prometheus", "--collector-metrics"])
@pytest.mark.parametrize("url", ["ftp://nowhere", "http://", "http://[::1"])
def test_a_text_that_is_no_url_is_wrong_usage(option, url):
    done = run(option, url, **ALONE)
    assert done.returncode == 2
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert "is not a URL" in line


def test_a_certificate_that_cannot_be_used_is_wrong_usage():
    done = run("--ca", __file__, **ALONE)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "--ca" in done.stderr


def test_json_is_one_object():
    done = run("--json", **ALONE)
    data = json.loads(done.stdout)
    assert set(data) == {"ok", "findings", "steps"}
    known = {"id", "title", "result", "tried", "found", "cause", "remedy", "seconds", "facts"}
    assert all(set(step) == known for step in data["steps"])
