"""The settings of pushes of each signal: those of all, and those of one, from arguments and variables."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ha import ConfigError, TelemetryConfig
from otel_ha.config.otlp import SIGNALS

OTLP = "OTEL_EXPORTER_OTLP_"


def configured(variables: dict[str, str] | None = None, **arguments: Any) -> TelemetryConfig:
    return TelemetryConfig(environ=variables or {}, **arguments)


def urls(config: TelemetryConfig) -> list[str]:
    return [config.otlp(signal).url for signal in SIGNALS]


def test_by_default_each_signal_goes_to_its_path_at_the_collector() -> None:
    assert urls(configured()) == [f"http://localhost:4318/v1/{signal}" for signal in SIGNALS]
    assert urls(configured(otlp_protocol="grpc")) == ["http://localhost:4317"] * 3


@pytest.mark.parametrize(
    ("variables", "arguments"),
    [
        ({f"{OTLP}ENDPOINT": "http://c:4318"}, {}),
        ({f"{OTLP}ENDPOINT": "http://c:4318/"}, {}),
        ({}, {"otlp_endpoint": "http://c:4318"}),
        ({}, {"otlp_endpoint": "http://c:4318/"}),
        ({f"{OTLP}TRACES_ENDPOINT": "http://other/v1/traces"}, {"otlp_endpoint": "http://c:4318"}),
    ],
)
def test_an_endpoint_of_all_signals_is_a_base(variables: dict[str, str], arguments: dict[str, str]) -> None:
    config = configured(variables, **arguments, traces_exporters=("otlp",))
    assert urls(config) == [f"http://c:4318/v1/{signal}" for signal in SIGNALS]
    assert urls(dataclasses.replace(config, history_length=3)) == urls(config)


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_variable_of_one_signal_is_used_as_it_is_for_that_signal(signal: str) -> None:
    variables = {f"{OTLP}{signal.upper()}_ENDPOINT": "http://mine:1", f"{OTLP}ENDPOINT": "http://c:4318/base"}
    config = configured(variables)
    for copied in (config, dataclasses.replace(config, history_length=3)):
        assert copied.otlp(signal).url == "http://mine:1/"
        others = [each for each in SIGNALS if each != signal]
        assert [copied.otlp(each).url for each in others] == [f"http://c:4318/base/v1/{each}" for each in others]


def test_the_argument_of_one_signal_is_whole_unless_it_has_no_path() -> None:
    config = configured(otlp_traces_endpoint="http://jaeger:4318", otlp_logs_endpoint="http://vl:9428/insert/v1/logs")
    assert urls(config)[1:] == ["http://jaeger:4318/v1/traces", "http://vl:9428/insert/v1/logs"]


@pytest.mark.parametrize("signal", ["traces", "logs"])
@pytest.mark.parametrize(
    ("variables", "arguments", "named"),
    [
        ({f"{OTLP}METRICS_ENDPOINT": "http://vm/v1/metrics"}, {}, f"{OTLP}METRICS_ENDPOINT"),
        ({f"{OTLP}METRICS_ENDPOINT": "http://vm/v1/metrics", f"{OTLP}TIMEOUT": "5000"}, {}, f"{OTLP}METRICS_ENDPOINT"),
        ({f"{OTLP}METRICS_HEADERS": "api-key=k"}, {}, f"{OTLP}METRICS_HEADERS"),
        ({f"{OTLP}METRICS_PROTOCOL": "grpc"}, {}, f"{OTLP}METRICS_PROTOCOL"),
        ({f"{OTLP}METRICS_CERTIFICATE": __file__}, {}, f"{OTLP}METRICS_CERTIFICATE"),
        ({f"{OTLP}METRICS_TIMEOUT": "5000"}, {}, f"{OTLP}METRICS_TIMEOUT"),
        ({}, {"otlp_metrics_endpoint": "http://vm/v1/metrics"}, "otlp_metrics_endpoint"),
        ({}, {"otlp_metrics_protocol": "grpc"}, "otlp_metrics_protocol"),
        ({}, {"otlp_endpoint": "http://vm:8428/opentelemetry/v1/metrics"}, "otlp_endpoint"),
    ],
)
def test_a_receiver_of_metrics_alone_is_a_mistake_that_names_what_to_set(
    signal: str, variables: dict[str, str], arguments: dict[str, Any], named: str
) -> None:
    own = f"{OTLP}{signal.upper()}_ENDPOINT"
    with pytest.raises(ConfigError) as refused:
        configured({f"OTEL_{signal.upper()}_EXPORTER": "otlp", **variables}, **arguments)
    for text in (f"OTEL_{signal.upper()}_EXPORTER", named, f"{OTLP}ENDPOINT", own, f"otlp_{signal}_endpoint"):
        assert text in str(refused.value)
    right = {f"OTEL_{signal.upper()}_EXPORTER": "otlp", own: "http://mine/v1"}
    assert configured({**right, **variables}, **arguments).otlp(signal).url == "http://mine/v1"
    configured(variables, **arguments)
    configured({f"OTEL_{signal.upper()}_EXPORTER": "console", **variables}, **arguments)


@pytest.mark.parametrize("other", ["PROTOCOL", "TRACES_PROTOCOL"])
def test_settings_of_metrics_leave_the_default_receiver_to_signals_that_have_settings_too(other: str) -> None:
    variables = {f"{OTLP}METRICS_PROTOCOL": "http/protobuf", f"{OTLP}{other}": "grpc", "OTEL_TRACES_EXPORTER": "otlp"}
    assert configured(variables).otlp("traces").url == "http://localhost:4317"


def test_the_other_variables_of_metrics_are_for_metrics_only(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.touch()
    variables = {
        f"{OTLP}METRICS_{name}": value
        for name, value in {
            "HEADERS": "a=b",
            "PROTOCOL": "grpc",
            "TIMEOUT": "3000",
            "COMPRESSION": "gzip",
            "CERTIFICATE": str(file),
            "CLIENT_KEY": str(file),
            "CLIENT_CERTIFICATE": str(file),
            "INSECURE": "true",
        }.items()
    }
    config = configured({**variables, "OTEL_TRACES_EXPORTER": "otlp", f"{OTLP}ENDPOINT": "http://c:4318"})
    default, metrics = configured(otlp_endpoint="http://c:4318").otlp("traces"), config.otlp("metrics")
    traces = config.otlp("traces")
    names = [field.name for field in dataclasses.fields(traces) if field.name != "sources"]
    assert [getattr(traces, name) for name in names] == [getattr(default, name) for name in names]
    assert (metrics.protocol, metrics.timeout, metrics.compression, metrics.certificate) == ("grpc", 3.0, "gzip", file)
    assert (metrics.client_key, metrics.client_certificate, metrics.insecure) == (file, file, True)
    assert metrics.plain_headers() == {"a": "b"}


values = st.one_of(st.none(), st.integers(100, 10_000))


@given(st.sampled_from(SIGNALS), values, values, values, values)
def test_arguments_beat_variables_and_those_of_one_signal_beat_those_of_all(
    signal: str, own: int | None, of_all: int | None, own_variable: int | None, variable_of_all: int | None
) -> None:
    arguments = {
        name: value / 1000
        for name, value in ((f"otlp_{signal}_timeout", own), ("otlp_timeout", of_all))
        if value is not None
    }
    given_variables = ((f"{OTLP}{signal.upper()}_TIMEOUT", own_variable), (f"{OTLP}TIMEOUT", variable_of_all))
    variables = {name: str(value) for name, value in given_variables if value is not None}
    expected = next((each for each in (own, of_all, own_variable, variable_of_all) if each is not None), 10_000) / 1000
    config = configured(variables, **arguments)
    assert config.otlp(signal).timeout == expected
    assert dataclasses.replace(config, history_length=3).otlp(signal).timeout == expected
    others = next((each for each in (of_all, variable_of_all) if each is not None), 10_000) / 1000
    assert {config.otlp(each).timeout for each in SIGNALS if each != signal} == {others}


@pytest.mark.parametrize("signal", SIGNALS)
def test_user_and_password_of_one_endpoint_go_there_only(signal: str) -> None:
    variables = {
        f"{OTLP}{signal.upper()}_ENDPOINT": "http://me:hunter2@mine/",
        f"{OTLP}ENDPOINT": "http://c:4318",
        f"{OTLP}HEADERS": "x-all=1",
    }
    config = configured(variables)
    for copied in (config, dataclasses.replace(config, history_length=3)):
        assert copied.otlp(signal).plain_headers() == {"authorization": "Basic bWU6aHVudGVyMg==", "x-all": "1"}
        for other in SIGNALS:
            if other != signal:
                assert copied.otlp(other).plain_headers() == {"x-all": "1"}
        assert "hunter2" not in repr(copied) + repr(copied.otlp(signal)) + str(dataclasses.asdict(copied))


@pytest.mark.parametrize("signal", SIGNALS)
def test_user_and_password_of_the_endpoint_of_all_do_not_go_to_the_own_endpoint_of_one(signal: str) -> None:
    variables = {f"{OTLP}{signal.upper()}_ENDPOINT": "http://mine/", f"{OTLP}ENDPOINT": "http://me:hunter2@c:4318"}
    config = configured(variables)
    for copied in (config, dataclasses.replace(config, history_length=3)):
        assert copied.otlp(signal).plain_headers() == {}
        for other in SIGNALS:
            if other != signal:
                assert copied.otlp(other).plain_headers() == {"authorization": "Basic bWU6aHVudGVyMg=="}


def test_own_headers_of_one_signal_keep_the_credentials_of_the_endpoint_of_all() -> None:
    config = configured({f"{OTLP}ENDPOINT": "http://me:hunter2@c:4318", f"{OTLP}TRACES_HEADERS": "x-mine=1"})
    assert set(config.otlp("traces").plain_headers()) == {"authorization", "x-mine"}


def test_no_headers_as_the_argument_of_one_signal_are_none() -> None:
    config = configured({f"{OTLP}HEADERS": "a=b"}, otlp_logs_headers={})
    assert config.otlp("logs").plain_headers() == {}
    assert config.otlp("traces").plain_headers() == {"a": "b"}


def test_what_cannot_be_combined_is_refused_for_the_signals_that_are_on(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.touch()
    wrong: dict[str, Any] = {"otlp_traces_compression": "deflate", "otlp_traces_protocol": "grpc"}
    configured(**wrong)
    with pytest.raises(ConfigError, match="otlp_traces_compression is 'deflate'; allowed: none or gzip with grpc"):
        configured(**wrong, traces_exporters=("otlp",))
    with pytest.raises(ConfigError, match=r"otlp_logs_client_key is .*only together with otlp_client_certificate"):
        configured(otlp_logs_client_key=file, logs_exporters=("otlp",))
    with pytest.raises(ConfigError, match="otlp_logs_endpoint is 'c:4317'; allowed: an http"):
        configured(otlp_logs_endpoint="c:4317", logs_exporters=("otlp",))


@pytest.mark.parametrize(
    ("variable", "allowed"), [("OTEL_TRACES_EXPORTER", "otlp, console"), ("OTEL_LOGS_EXPORTER", "otlp, console")]
)
def test_an_unknown_exporter_is_refused_with_the_allowed_ones(variable: str, allowed: str) -> None:
    with pytest.raises(ConfigError, match=f"{variable} is 'zipkin'; allowed: one or more of {allowed}, or none alone"):
        configured({variable: "zipkin"})


def test_traces_and_logs_are_off_by_default_and_may_have_several_exporters() -> None:
    assert (configured().traces_exporters, configured().logs_exporters) == ((), ())
    variables = {"OTEL_TRACES_EXPORTER": "console,otlp", "OTEL_LOGS_EXPORTER": "none"}
    assert configured(variables).traces_exporters == ("otlp", "console")
    assert configured(variables).logs_exporters == ()


def test_a_misspelt_argument_of_one_signal_is_recognized() -> None:
    with pytest.raises(ConfigError, match="did you mean otlp_traces_endpoint"):
        configured(otlp_trace_endpoint="http://c")
