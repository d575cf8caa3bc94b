"""The doctor's parts that need no server: contradictions, spelling, targets, clocks, the order of topics, the text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import click
import pytest

from otel_ha import TelemetryConfig
from otel_ha.cli.client import Access
from otel_ha.cli.doctor import command, run
from otel_ha.cli.doctor.clocks import of_date
from otel_ha.cli.doctor.contradictions import contradictions, pushes_straight_to
from otel_ha.cli.doctor.endpoint import Service, own_url
from otel_ha.cli.doctor.output import changes, show, show_all, verdict
from otel_ha.cli.doctor.reach import is_this_machine
from otel_ha.cli.doctor.run import Questions, examine
from otel_ha.cli.doctor.spelling import misspelt
from otel_ha.cli.doctor.step import Result, Step
from otel_ha.cli.doctor.targets import scrape_config
from otel_ha.cli.options import VARIABLES
from otel_ha.errors import TelemetryError

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
METRICS_ENDPOINT = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
TEMPORALITY = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
PUSH = {"OTEL_METRICS_EXPORTER": "otlp"}
SCRAPE = {"OTEL_METRICS_EXPORTER": "prometheus"}
TO_PROMETHEUS = {ENDPOINT: "http://127.0.0.1:9090/api/v1/otlp"}
OFF = dict.fromkeys(
    (f"OTEL_HA_{name}_METRICS" for name in ("SYSTEM", "PERFORMANCE", "BUSINESS", "OPERATIONS")), "false"
)


def causes(variables: dict[str, str], prometheus: str | None = None) -> list[str]:
    config = TelemetryConfig(environ=variables)
    return [each.cause for each in contradictions(config, variables, prometheus)]


@pytest.mark.parametrize(
    ("cause", "variables"),
    [
        ("telemetry_off", {"OTEL_SDK_DISABLED": "true"}),
        ("nothing_exported", {"OTEL_METRICS_EXPORTER": "none"}),
        ("nothing_measured", OFF),
        ("push_off", {**SCRAPE, ENDPOINT: "http://collector:4318"}),
        ("push_off", {**SCRAPE, "OTEL_EXPORTER_OTLP_HEADERS": "a=b"}),
        ("scrape_off", {**PUSH, "OTEL_EXPORTER_PROMETHEUS_PORT": "9465"}),
        ("endpoint_server_off", {"OTEL_HA_ENDPOINT_SERVER": "false", "OTEL_EXPORTER_PROMETHEUS_PORT": "9465"}),
        ("endpoint_overridden", {ENDPOINT: "http://a:4318", METRICS_ENDPOINT: "http://b:4318/v1/metrics"}),
        ("protocol_port", {PROTOCOL: "grpc", ENDPOINT: "http://collector:4318"}),
        ("protocol_port", {PROTOCOL: "grpc", ENDPOINT: "collector:4318"}),
        ("protocol_port", {ENDPOINT: "http://collector:4317"}),
        ("metrics_path_missing", {METRICS_ENDPOINT: "http://collector:4318"}),
        ("metrics_path_missing", {METRICS_ENDPOINT: "http://collector:4318/otlp"}),
        ("metrics_path_twice", {ENDPOINT: "http://collector:4318/v1/metrics"}),
        ("delta_temporality", {**TO_PROMETHEUS, TEMPORALITY: "delta"}),
        ("delta_temporality", {**TO_PROMETHEUS, TEMPORALITY: "lowmemory"}),
        (
            "exponential_histograms",
            {
                **TO_PROMETHEUS,
                "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "base2_exponential_bucket_histogram",
            },
        ),
        ("certificate_without_tls", {ENDPOINT: "http://collector:4318", "OTEL_EXPORTER_OTLP_CERTIFICATE": __file__}),
        ("insecure_ignored", {ENDPOINT: "https://collector:4318", "OTEL_EXPORTER_OTLP_INSECURE": "true"}),
        ("timeout_longer_than_interval", {"OTEL_METRIC_EXPORT_INTERVAL": "5000", "OTEL_METRIC_EXPORT_TIMEOUT": "8000"}),
        ("service_name_twice", {"OTEL_SERVICE_NAME": "a", "OTEL_RESOURCE_ATTRIBUTES": "service.name=b"}),
        ("quoted_value", {"OTEL_SERVICE_NAME": '"ha-ingestor"'}),
        ("quoted_value", {"OTEL_SERVICE_NAME": "'ha-ingestor'"}),
    ],
)
def test_a_contradiction_has_a_cause(cause, variables):
    assert causes(variables) == [cause]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {ENDPOINT: "http://collector:4318/"},
        {ENDPOINT: "http://collector:4318", METRICS_ENDPOINT: "http://collector:4318/v1/metrics"},
        {METRICS_ENDPOINT: "https://collector/otlp/v1/metrics"},
        {PROTOCOL: "grpc", ENDPOINT: "collector:4317", "OTEL_EXPORTER_OTLP_INSECURE": "true"},
        {ENDPOINT: "http://collector:4318", TEMPORALITY: "delta"},
        {ENDPOINT: "https://collector:4318", "OTEL_EXPORTER_OTLP_CERTIFICATE": __file__},
        {"OTEL_HA_ENDPOINT_SERVER": "false"},
        {"OTEL_METRIC_EXPORT_INTERVAL": "5000"},
        {"OTEL_METRIC_EXPORT_INTERVAL": "60000", "OTEL_EXPORTER_OTLP_TIMEOUT": "20000"},
        {"OTEL_SERVICE_NAME": "a", "OTEL_RESOURCE_ATTRIBUTES": "service.name=a"},
        SCRAPE,
        PUSH,
    ],
)
def test_settings_that_fit_have_no_contradiction(variables):
    assert causes(variables) == []


def test_delta_is_a_contradiction_where_the_named_prometheus_is_pushed_to():
    variables = {ENDPOINT: "http://localhost:9090", TEMPORALITY: "delta"}
    assert causes(variables, "http://127.0.0.1:9090") == ["delta_temporality"]
    assert causes(variables, "http://127.0.0.1:9091") == []


def test_a_push_straight_to_a_store_is_recognized():
    def straight(url: str, store: str | None = None, **more: str) -> bool:
        return pushes_straight_to(TelemetryConfig(environ={ENDPOINT: url, **more}), store)

    assert straight("http://prometheus:9090/api/v1/otlp")
    assert straight("http://victoria:8428/opentelemetry")
    assert straight("http://prometheus:9090", "http://prometheus:9090")
    assert not straight("http://collector:4318", "http://prometheus:9090")
    assert not straight("http://prometheus:9090/api/v1/otlp", OTEL_SDK_DISABLED="true")
    assert not straight("http://prometheus:9090/api/v1/otlp", OTEL_METRICS_EXPORTER="prometheus")


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("OTEL_EXPORTER_OTLP_ENPOINT", ENDPOINT),
        ("OTEL_EXPORTER_OTLP_METRIC_ENDPOINT", METRICS_ENDPOINT),
        ("OTEL_OTLP_ENDPOINT", ENDPOINT),
        ("OTLE_METRICS_EXPORTER", "OTEL_METRICS_EXPORTER"),
        ("OTEL_METRIC_EXPORTER", "OTEL_METRICS_EXPORTER"),
        ("OTEL_SERVICENAME", "OTEL_SERVICE_NAME"),
        ("OTEL-SERVICE-NAME", "OTEL_SERVICE_NAME"),
        ("Otel_Service_Name", "OTEL_SERVICE_NAME"),
        ("OTEL_METRICS_EXPORT_INTERVAL", "OTEL_METRIC_EXPORT_INTERVAL"),
        ("OTEL_EXPORTER_PROMETHEUS_PROT", "OTEL_EXPORTER_PROMETHEUS_PORT"),
        ("OTEL_HA_HISTORY_LENGHT", "OTEL_HA_HISTORY_LENGTH"),
        ("OTEL_HA_PASSWORD", "OTEL_HA_ENDPOINT_PASSWORD"),
        ("OTEL_HA_SERVICE_NAME", "OTEL_SERVICE_NAME"),
        # The prefix alone makes no name alike.
        ("OTEL_HA_NONSENSE", ""),
        ("OTEL_HA_FOO", ""),
        ("OTEL_HA_DETAIL", ""),
    ],
)
def test_a_misspelt_variable_is_recognized(variable, meant):
    assert misspelt([variable]) == {variable: meant}


@pytest.mark.parametrize(
    "variable",
    [
        "PATH",
        "SERVICE_NAME",
        "OTEL_SERVICE_NAME",
        "OTEL_TRACES_EXPORTER",
        "OTEL_LOGS_EXPORTER",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
        "OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT",
        "OTEL_EXPORTER_JAEGER_ENDPOINT",
        "OTEL_EXPORTER_ZIPKIN_ENDPOINT",
        "OTEL_BSP_EXPORT_TIMEOUT",
        "OTEL_PYTHON_METER_PROVIDER",
        "OTEL_PYTHON_LOG_LEVEL",
        "OTELCOL_OTLP_HTTP_PORT",
    ],
)
def test_a_variable_of_something_else_is_left_alone(variable):
    assert misspelt([variable]) == {}


def test_the_address_of_the_endpoint_follows_from_the_settings():
    def url(**variables: str) -> str | None:
        return own_url(
            TelemetryConfig(environ={f"OTEL_EXPORTER_PROMETHEUS_{name}": each for name, each in variables.items()})
        )

    assert url() == "http://127.0.0.1:9464"
    assert url(HOST="0.0.0.0", PORT="9465") == "http://127.0.0.1:9465"
    assert url(HOST="::", PORT="9465") == "http://[::1]:9465"
    assert url(HOST="192.0.2.1") == "http://192.0.2.1:9464"
    assert url(PORT="0") is None
    secure = TelemetryConfig(environ={"OTEL_HA_ENDPOINT_CERTIFICATE": __file__})
    assert own_url(secure) == "https://127.0.0.1:9464"
    assert own_url(TelemetryConfig(environ={"OTEL_METRICS_EXPORTER": "otlp"})) is None


def test_the_scrape_config_has_tls_a_path_and_the_user_but_no_password():
    config = TelemetryConfig(
        environ={"OTEL_HA_ENDPOINT_USERNAME": "prometheus", "OTEL_HA_ENDPOINT_PASSWORD": "correct horse"}
    )
    lines = scrape_config(config, Service("ha-ingestor", "https://ha.example:9464/telemetry"))
    assert "    scheme: https" in lines
    assert "    metrics_path: /telemetry/metrics" in lines
    assert "      username: prometheus" in lines
    assert "horse" not in lines


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.2", "::1", "0.0.0.0", "host.docker.internal"])
def test_a_name_of_this_machine_is_recognized(host):
    assert is_this_machine(host)


@pytest.mark.parametrize("host", ["192.0.2.1", "prometheus.example", "", "a b"])
def test_a_name_of_another_machine_is_recognized(host):
    assert not is_this_machine(host)


def test_the_header_date_is_read_and_nonsense_is_not():
    assert of_date("Thu, 01 Jan 1970 00:01:00 GMT") == 60
    assert of_date("yesterday") is None
    assert of_date(None) is None


def finding(name: str = "topic.step", cause: str = "broken", remedy: str = "mend it") -> Step:
    return Step(
        id=name, title="It works", result=Result.FINDING, tried="tried", found="broken", cause=cause, remedy=remedy
    )


def fine(name: str = "topic.step") -> Step:
    return Step(id=name, title="It works", result=Result.OK, tried="tried", found="fine")


def test_the_verdict_names_the_first_finding():
    assert verdict([fine(), finding("a.b", "first", "do this\nand that"), finding()]) == (
        "2 findings. Begin with a.b [first]: do this"
    )
    assert verdict([fine(), fine()]) == "No finding in 2 steps."


def test_changes_are_new_findings_and_findings_that_are_over():
    new, over = changes([finding("a.a"), finding("b.b")], [finding("b.b"), finding("c.c", "else")])
    assert [step.id for step in new] == ["c.c"]
    assert [step.id for step in over] == ["a.a"]


def test_lines_with_an_indent_are_not_wrapped(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    show(finding(remedy=f'add this:\n  - {"x" * 30}: ["{"y" * 40}"]'))
    assert f'\n             - {"x" * 30}: ["{"y" * 40}"]\n' in capsys.readouterr().out


def left_out(*named: tuple[str, str]) -> list[Step]:
    return [
        Step(id=name, title=name.partition(".")[2], result=Result.SKIPPED, tried="", found=reason)
        for name, reason in named
    ]


def test_steps_of_a_topic_that_are_left_out_for_the_same_reason_share_a_line(capsys):
    steps = left_out(
        *(("collector.one", "no push"), ("collector.two", "no push"), ("collector.three", "another reason")),
        *(("canary.one", "another reason"), ("canary.two", "another reason")),
    )
    show_all(steps, verbose=False)
    assert capsys.readouterr().out.splitlines() == [
        "- collector: one, two: no push",
        "- collector: three: another reason",
        "- canary: one, two: another reason",
    ]


def test_a_step_without_a_finding_takes_one_line_unless_it_has_found_several_things(capsys):
    several = replace(fine(), found="a = 1\nb = 2")
    without = replace(finding(), result=Result.SKIPPED, cause="", remedy="name one")
    show_all([fine(), several, without, finding()], verbose=False)
    assert capsys.readouterr().out.splitlines() == [
        "✓ topic: It works: fine",
        "✓ topic: It works",
        "    found  a = 1",
        "           b = 2",
        "- topic: It works: broken",
        "    do     name one",
        "✗ topic: It works [broken]",
        "    tried  tried",
        "    found  broken",
        "    do     mend it",
    ]


def test_verbose_shows_all_that_was_tried(capsys):
    show_all([fine(), *left_out(("a.b", "no push"), ("a.c", "no push"))], verbose=True)
    assert capsys.readouterr().out.splitlines() == [
        "✓ topic: It works",
        "    tried  tried",
        "    found  fine",
        "- a: b",
        "    found  no push",
        "- a: c",
        "    found  no push",
    ]


def test_steps_are_printed_while_they_happen(capsys):
    def steps() -> Iterator[Step]:
        yield fine("topic.first")
        assert "It works" in capsys.readouterr().out
        yield finding()

    show_all(steps(), verbose=False)


def test_a_moment_is_not_shown_as_zero_seconds(capsys):
    show(replace(fine(), seconds=0.002))
    show(replace(fine(), seconds=0.31))
    out = capsys.readouterr().out
    assert "0.0 s" not in out
    assert "It works (0.3 s)" in out


def test_ctrl_c_in_the_first_look_is_not_reported_as_fine(monkeypatch):
    def interrupted(_: Questions) -> Iterator[Step]:
        yield fine()
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "examine", interrupted)
    with pytest.raises(click.Abort):
        command.command.main(["--watch=1", "--json"], standalone_mode=False)


@pytest.mark.parametrize("option", ["--service-url", "--prometheus", "--collector-metrics"])
def test_an_empty_url_is_a_mistake_on_the_command_line(option):
    with pytest.raises(TelemetryError, match="is not a URL"):
        command.command.main([option, ""], standalone_mode=False)


def test_variables_of_the_command_are_known_and_misspelt_ones_are_not():
    assert misspelt(VARIABLES) == {}
    assert misspelt(["OTEL_HA_CLI_TIMOUT"]) == {"OTEL_HA_CLI_TIMOUT": "OTEL_HA_CLI_TIMEOUT"}


def test_a_topic_that_fails_unexpectedly_is_a_finding_and_the_others_go_on(monkeypatch):
    def fails(_: TelemetryConfig) -> Iterator[Step]:
        yield fine("versions.packages")
        raise RuntimeError("password=hunter2hunter2 is unexpected")

    monkeypatch.setattr(run, "versions_steps", fails)
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    steps = list(examine(Questions(access=Access(), canary=False)))
    ids = [step.id for step in steps]
    [failed] = [step for step in steps if step.cause == "doctor_failed"]
    assert failed.id == "versions.error"
    assert "hunter2" not in failed.found
    assert ids.index("versions.packages") < ids.index("versions.error") < ids.index("endpoint.address")
    assert steps[-1].id.startswith("prometheus.")
