"""TelemetryConfig: where values come from, which are allowed, and that no secret is shown."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import os
import pickle
import string
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ha.config.settings import settings
from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.errors import ConfigError, TelemetryError
from tests.hostile import VALUES


def configured(environ: Mapping[str, str] | None = None, /, **arguments: Any) -> TelemetryConfig:
    """Return a configuration that does not read the environment of the tests."""
    return TelemetryConfig(environ=environ or {}, **arguments)


def refused(environ: Mapping[str, str] | None = None, /, **arguments: Any) -> ConfigError:
    """Return the error of a configuration that must not be made."""
    with pytest.raises(ConfigError) as caught:
        configured(environ, **arguments)
    return caught.value


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return an existing file, for settings that name one."""
    path = tmp_path / "file.pem"
    path.write_text("PEM")
    return path


# Where values come from


def test_an_argument_beats_the_environment() -> None:
    config = configured({"OTEL_METRIC_EXPORT_INTERVAL": "20000"}, export_interval=10)
    assert (config.export_interval, config.sources["export_interval"]) == (10.0, "argument")


def test_the_environment_beats_the_default() -> None:
    config = configured({"OTEL_METRIC_EXPORT_INTERVAL": "20000"})
    assert (config.export_interval, config.sources["export_interval"]) == (20.0, "OTEL_METRIC_EXPORT_INTERVAL")


def test_the_defaults_push_and_are_scraped_every_30_seconds() -> None:
    config = configured()
    assert config.metrics_exporters == ("otlp", "prometheus")
    assert (config.export_interval, config.otlp_protocol) == (30.0, "http/protobuf")
    assert (config.prometheus_host, config.prometheus_port) == ("127.0.0.1", 9464)
    assert set(config.sources.values()) == {"default"}


def test_none_as_an_argument_of_an_optional_setting_beats_the_environment() -> None:
    assert configured({"OTEL_SERVICE_NAME": "kitchen"}, service_name=None).service_name is None


def test_none_is_refused_if_a_setting_is_not_optional() -> None:
    assert refused(export_interval=None).setting == "export_interval"


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_variable_counts_as_unset(empty: str) -> None:
    variables = {variable: empty for one in settings(TelemetryConfig).values() for variable in one.variables}
    assert configured(variables) == configured()


def test_the_environment_of_the_process_is_read_when_an_instance_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_HA_HISTORY_LENGTH", "7")
    assert TelemetryConfig().history_length == 7


def test_the_environment_is_not_kept() -> None:
    assert configured({"TOKEN": "hunter2"}).environ is None


def test_the_metrics_variable_beats_the_generic_one() -> None:
    variables = {"OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "2000", "OTEL_EXPORTER_OTLP_TIMEOUT": "3000"}
    assert configured(variables).otlp("metrics").timeout == 2.0


def test_a_file_of_variables_is_read_if_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("export OTEL_SERVICE_NAME='the kitchen'  # quoted\nOTEL_HA_HISTORY_LENGTH=5\n")
    config = configured(env_file=path)
    assert (config.service_name, config.history_length) == ("the kitchen", 5)


@pytest.mark.parametrize("host", ["0.0.0.0", "::1", "fe80::1%lo", "ha.example"])
def test_an_address_to_listen_at_may_be_of_any_kind(host: str) -> None:
    assert configured({"OTEL_EXPORTER_PROMETHEUS_HOST": host}).prometheus_host == host


@pytest.mark.parametrize("host", ["localhost:9464", "[::1]:9464", "http://localhost"])
def test_an_address_to_listen_at_has_no_port(host: str) -> None:
    error = refused({"OTEL_EXPORTER_PROMETHEUS_HOST": host})
    assert str(error).startswith("OTEL_EXPORTER_PROMETHEUS_HOST")
    assert "without a port" in str(error)


def test_allowed_hosts_are_compared_without_case_port_and_trailing_dot() -> None:
    given = " Metrics.Example.:443, ::1,[FD00:0::1]:80 ,10.0.0.1,,metrics.example"
    expected = ("metrics.example", "::1", "fd00::1", "10.0.0.1")
    assert configured({"OTEL_HA_ENDPOINT_ALLOWED_HOSTS": given}).endpoint_allowed_hosts == expected
    assert configured(endpoint_allowed_hosts=given.split(",")).endpoint_allowed_hosts == expected
    assert configured().endpoint_allowed_hosts == ()


@pytest.mark.parametrize(
    "hosts", ["http://a.example", "a b", "a.example/x", "user@a.example", "*", "[::1", "bücher.example", ".", "a:b"]
)
def test_an_allowed_host_is_a_name_or_an_address(hosts: str) -> None:
    error = refused({"OTEL_HA_ENDPOINT_ALLOWED_HOSTS": hosts})
    assert str(error).startswith("OTEL_HA_ENDPOINT_ALLOWED_HOSTS")
    assert "host names and IP addresses" in str(error)


@pytest.mark.parametrize("number", ["0", "1025", "many"])
def test_the_number_of_connections_is_limited(number: str) -> None:
    assert str(refused({"OTEL_HA_ENDPOINT_CONNECTIONS": number})).startswith("OTEL_HA_ENDPOINT_CONNECTIONS")


def test_an_endpoint_for_another_protocol_is_refused_with_the_variable_of_the_protocol() -> None:
    error = refused({"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4318"})
    assert "OTEL_EXPORTER_OTLP_PROTOCOL" in str(error)


def test_a_file_of_variables_is_not_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("OTEL_SERVICE_NAME=kitchen")
    monkeypatch.chdir(tmp_path)
    assert configured().service_name is None


def test_the_environment_beats_the_file_but_an_empty_variable_does_not(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("OTEL_SERVICE_NAME=file\nOTEL_HA_HISTORY_LENGTH=5\n")
    config = configured({"OTEL_SERVICE_NAME": "process", "OTEL_HA_HISTORY_LENGTH": ""}, env_file=path)
    assert (config.service_name, config.history_length) == ("process", 5)


def test_a_file_keeps_a_dollar_sign_in_a_password(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("OTEL_HA_ENDPOINT_USERNAME=me\nOTEL_HA_ENDPOINT_PASSWORD=a${HOME}b\n")
    credentials = configured(env_file=path).endpoint_credentials
    assert credentials is not None
    assert credentials[1].reveal() == "a${HOME}b"


def test_a_missing_file_of_variables_is_an_error_that_names_it(tmp_path: Path) -> None:
    error = refused(env_file=tmp_path / "missing.env")
    assert error.setting == "env_file"
    assert "missing.env" in str(error)


def test_a_file_that_is_not_text_is_an_error_that_shows_none_of_it(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(b"OTEL_HA_ENDPOINT_PASSWORD=hunter2\xff")
    assert "hunter2" not in "".join(everything_in(refused(env_file=path)))


def test_importing_reads_no_environment_and_no_sdk() -> None:
    program = (
        "import os, sys\n"
        "os.environ['OTEL_METRIC_EXPORT_INTERVAL'] = 'wrong'\n"
        "import otel_ha.config.telemetry_config\n"
        "late = ('opentelemetry.sdk', 'dotenv', 'requests', 'grpc')\n"
        "sys.exit(', '.join(name for name in late if name in sys.modules) or 0)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


# Allowed values


@pytest.mark.parametrize("index", range(len(VALUES)))
@pytest.mark.parametrize(
    "name", ["otlp_timeout", "service_name", "endpoint_server", "otlp_headers", "metrics_exporters"]
)
def test_an_argument_that_raises_when_it_is_looked_at_is_accepted_or_refused(name: str, index: int) -> None:
    refusal = None
    try:
        configured(**{name: VALUES[index]()})
    except ConfigError as error:
        refusal = error
    assert refusal is None or str(refusal).startswith(f"{name} is ")


WRONG = [
    ("OTEL_SDK_DISABLED", "1"),
    ("OTEL_SERVICE_NAME", "a\nb"),
    ("OTEL_RESOURCE_ATTRIBUTES", "no-equals-sign"),
    ("OTEL_RESOURCE_ATTRIBUTES", "a=%ff"),
    ("OTEL_RESOURCE_ATTRIBUTES", "=b"),
    ("OTEL_METRICS_EXPORTER", "otlp,zipkin"),
    ("OTEL_METRICS_EXPORTER", "none,otlp"),
    ("OTEL_METRICS_EXPORTER", ","),
    ("OTEL_METRIC_EXPORT_INTERVAL", "30s"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "-1"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "1500.5"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "9" * 5000),
    ("OTEL_METRIC_EXPORT_TIMEOUT", "inf"),
    ("OTEL_METRICS_EXEMPLAR_FILTER", "sometimes"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
    ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://localhost"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://host:99999"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://[::1"),
    ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://host/#fragment"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "no-equals-sign"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "a b=c"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "a=%0A"),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "10"),
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such/file"),
    ("OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", "."),
    ("OTEL_EXPORTER_OTLP_INSECURE", "yes"),
    ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "sum"),
    ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "linear"),
    ("OTEL_EXPORTER_PROMETHEUS_PORT", "65536"),
    ("OTEL_EXPORTER_PROMETHEUS_PORT", "9464.0"),
    ("OTEL_HA_SYSTEM_METRICS", "on"),
    ("OTEL_HA_ENTITY_EXPIRY", "nan"),
    ("OTEL_HA_HISTORY_LENGTH", "-1"),
    ("OTEL_HA_SHUTDOWN_TIMEOUT", "-0.1"),
    ("OTEL_HA_ENDPOINT_CERTIFICATE", "/no/such/file"),
    ("OTEL_HA_ENDPOINT_USERNAME", "a:b"),
    ("OTEL_HA_ENDPOINT_PASSWORD", "a\x00b"),
]


@pytest.mark.parametrize(("variable", "value"), WRONG)
def test_a_wrong_value_is_an_error_that_names_the_variable_and_what_is_allowed(variable: str, value: str) -> None:
    error = refused({variable: value})
    name = next(name for name, one in settings(TelemetryConfig).items() if variable in one.variables)
    assert error.setting == name
    assert str(error) == f"{variable} is {error.value}; allowed: {error.allowed}"


def test_every_wrong_setting_is_reported_at_once() -> None:
    error = refused({"OTEL_METRICS_EXPORTER": "zipkin", "OTEL_METRIC_EXPORT_INTERVAL": "30s"}, service_name="")
    first, *lines = str(error).splitlines()
    assert first == "3 settings are wrong:"
    assert [line.partition(" is ")[0] for line in lines] == [
        "service_name",
        "OTEL_METRICS_EXPORTER",
        "OTEL_METRIC_EXPORT_INTERVAL",
    ]
    assert error.setting is None


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("enabled", 1),
        ("export_interval", True),
        ("export_interval", float("nan")),
        ("export_interval", 10**400),
        ("history_length", 3.0),
        ("metrics_exporters", 3),
        ("metrics_exporters", {"otlp": 1}),
        ("resource_attributes", {"a": None}),
        ("resource_attributes", {"a": 2**63}),
        ("resource_attributes", {"a": "\udcff"}),
        ("otlp_headers", {"a": 1}),
        ("otlp_endpoint", b"http://host"),
        ("otlp_certificate", 3),
        ("service_name", ""),
    ],
)
def test_a_wrong_argument_is_an_error_that_names_it(argument: str, value: object) -> None:
    error = refused(**{argument: value})
    assert str(error).startswith(f"{argument} is ")


def test_a_wrong_value_is_shown() -> None:
    assert refused({"OTEL_METRIC_EXPORT_INTERVAL": "30s"}).value == "'30s'"


def test_a_very_long_wrong_value_is_cut() -> None:
    assert len(str(refused(service_name="x\n" * 10_000))) < 300


def test_a_config_error_is_a_telemetry_error_that_survives_pickling() -> None:
    error = refused({"OTEL_METRIC_EXPORT_INTERVAL": "30s"})
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, TelemetryError)
    assert (str(again), vars(again)) == (str(error), vars(error))


def test_an_unknown_argument_is_an_error_with_a_suggestion() -> None:
    assert str(refused(export_intervall=3)) == "export_intervall is not a setting; did you mean export_interval?"


def test_an_unknown_argument_that_begins_names_is_an_error_with_those_names() -> None:
    expected = "entity is not a setting; did you mean entity_expiry or entity_metrics?"
    assert str(refused(entity=True)) == expected
    assert str(refused(business=True)) == "business is not a setting; did you mean business_metrics?"


def test_an_unknown_variable_of_ours_is_reported_with_a_suggestion_and_without_its_value() -> None:
    config = configured(
        {"OTEL_HA_HISTROY_LENGTH": "hunter2", "OTEL_TRACES_SAMPLER": "x", "OTEL_HA_HISTORY_LENGTH": "3"}
    )
    expected = "OTEL_HA_HISTROY_LENGTH is not a setting; did you mean OTEL_HA_HISTORY_LENGTH?"
    assert config.unknown_variables() == [expected]


def test_an_unknown_variable_unlike_any_other_gets_no_suggestion() -> None:
    assert configured({"OTEL_HA_X": "1"}).unknown_variables() == ["OTEL_HA_X is not a setting"]


def test_the_variables_of_the_command_are_not_reported():
    assert configured({"OTEL_HA_CLI_CA": "ca.pem"}).unknown_variables() == []


@pytest.mark.parametrize(("text", "enabled"), [("true", False), ("TRUE", False), ("False", True), ("", True)])
def test_sdk_disabled_is_the_reverse_of_enabled(text: str, *, enabled: bool) -> None:
    assert configured({"OTEL_SDK_DISABLED": text}).enabled is enabled


@pytest.mark.parametrize(
    ("text", "exporters"),
    [
        ("none", ()),
        (" OTLP ", ("otlp",)),
        ("prometheus,otlp,otlp", ("otlp", "prometheus")),
        ("console,", ("console",)),
    ],
)
def test_exporters_are_a_list_or_none(text: str, exporters: tuple[str, ...]) -> None:
    assert configured({"OTEL_METRICS_EXPORTER": text}).metrics_exporters == exporters


@pytest.mark.parametrize("given_as", [(), [], set()])
def test_no_exporter_at_all_is_an_empty_argument(given_as: Any) -> None:
    assert configured(metrics_exporters=given_as).metrics_exporters == ()


def test_a_timeout_of_zero_is_no_limit_which_is_a_day() -> None:
    assert configured({"OTEL_EXPORTER_OTLP_TIMEOUT": "0"}).otlp_timeout == 86_400.0


def test_the_default_timeout_of_a_push_is_never_longer_than_the_interval() -> None:
    assert configured(export_interval=5).export_timeout == 5.0
    assert configured(export_interval=5, export_timeout=20).export_timeout == 20.0
    assert configured(export_interval=60).export_timeout == 30.0


@given(st.integers(100, 86_400_000))
def test_milliseconds_in_the_variable_are_seconds_in_the_argument(milliseconds: int) -> None:
    from_variable = configured({"OTEL_METRIC_EXPORT_INTERVAL": str(milliseconds)})
    assert from_variable == configured(export_interval=milliseconds / 1000)


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cc", "Cs", "Z"]), min_size=1),
        st.text(st.characters(exclude_categories=["Cs"])),
    )
)
def test_percent_encoded_resource_attributes_are_read_as_they_were(attributes: dict[str, str]) -> None:
    text = ",".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in attributes.items())
    assert configured({"OTEL_RESOURCE_ATTRIBUTES": text}).resource_attributes == attributes


def test_the_service_name_beats_the_one_in_the_resource_attributes() -> None:
    variables = {"OTEL_RESOURCE_ATTRIBUTES": "service.name=attribute"}
    assert configured(variables).service_name == "attribute"
    assert configured({**variables, "OTEL_SERVICE_NAME": "name"}).service_name == "name"


def test_groups_are_those_switched_on() -> None:
    assert configured().groups == {"system", "performance", "business", "operations"}
    assert configured({"OTEL_HA_SYSTEM_METRICS": "false"}, entity_metrics=True, business_metrics=False).groups == {
        "performance",
        "operations",
        "entity",
    }


# OTLP


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, "http://localhost:4318/v1/metrics"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "GRPC"}, "http://localhost:4317"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://host:1"}, "http://host:1/v1/metrics"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://host:1/"}, "http://host:1/v1/metrics"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://host/otlp/"}, "https://host/otlp/v1/metrics"),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://host:1/push"}, "http://host:1/push"),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://host:1"}, "http://host:1/"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http://h:1"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "h:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "h:1"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://[::1]:1"}, "http://[::1]:1/v1/metrics"),
    ],
)
def test_metrics_go_to_the_endpoint_that_the_specification_defines(variables: dict[str, str], url: str) -> None:
    assert configured(variables).otlp("metrics").url == url


@pytest.mark.parametrize(
    ("argument", "url"),
    [
        ("http://host:1", "http://host:1/v1/metrics"),
        ("http://host:1/", "http://host:1/v1/metrics"),
        ("http://host:1/push", "http://host:1/push"),
    ],
)
def test_an_endpoint_argument_without_a_path_gets_the_usual_one(argument: str, url: str) -> None:
    assert configured(otlp_endpoint=argument).otlp("metrics").url == url


@pytest.mark.parametrize(
    ("endpoint", "insecure", "secure"),
    [
        ("https://h:1", True, True),
        ("http://h:1", False, False),
        ("h:1", False, True),
        ("h:1", True, False),
        ("dns:///h:1", True, False),
    ],
)
def test_the_scheme_decides_on_tls_and_insecure_where_there_is_none(
    endpoint: str, *, insecure: bool, secure: bool
) -> None:
    config = configured(otlp_endpoint=endpoint, otlp_insecure=insecure, otlp_protocol="grpc")
    assert config.otlp("metrics").secure is secure


def test_user_and_password_of_the_url_become_a_header() -> None:
    config = configured({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://me:p%40ss%3A@host:4318"})
    assert config.otlp("metrics").url == "http://host:4318/v1/metrics"
    assert config.otlp("metrics").plain_headers() == {"authorization": "Basic bWU6cEBzczo="}


def test_a_header_that_was_given_beats_the_one_from_the_url() -> None:
    config = configured(otlp_endpoint="http://me:pass@host", otlp_headers={"Authorization": "Bearer token"})
    assert config.otlp("metrics").plain_headers() == {"authorization": "Bearer token"}


def test_headers_are_decoded_and_their_names_are_in_lower_case() -> None:
    config = configured({"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Basic%20YQ==, x-scope = a b ,"})
    assert config.otlp("metrics").plain_headers() == {"authorization": "Basic YQ==", "x-scope": "a b"}


def test_deflate_is_for_http_only() -> None:
    assert configured(otlp_compression="deflate").otlp_compression == "deflate"
    assert refused(otlp_compression="deflate", otlp_protocol="grpc").setting == "otlp_compression"


def test_settings_that_need_another_are_refused_without_it(file: Path) -> None:
    alone: dict[str, Any] = {
        "otlp_client_key": file,
        "endpoint_key": file,
        "endpoint_client_ca": file,
        "endpoint_username": "me",
        "endpoint_password": "hunter2",
    }
    assert [refused(**{name: value}).setting for name, value in alone.items()] == list(alone)


def test_a_client_certificate_needs_its_key_with_grpc(file: Path) -> None:
    assert configured(otlp_client_certificate=file).otlp_client_certificate == file
    assert refused(otlp_client_certificate=file, otlp_protocol="grpc").setting == "otlp_client_certificate"


def test_the_endpoint_takes_tls_client_certificates_and_a_password(file: Path) -> None:
    variables = {f"OTEL_HA_ENDPOINT_{name}": str(file) for name in ("CERTIFICATE", "KEY", "CLIENT_CA")} | {
        "OTEL_HA_ENDPOINT_USERNAME": "me",
        "OTEL_HA_ENDPOINT_PASSWORD": "hunter2",
    }
    config = configured(variables)
    assert (config.endpoint_certificate, config.endpoint_key, config.endpoint_client_ca) == (file, file, file)
    assert config.endpoint_credentials is not None
    assert config.endpoint_credentials[1].reveal() == "hunter2"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_cannot_be_read_is_refused(file: Path) -> None:
    file.chmod(0)
    assert refused(otlp_certificate=file).setting == "otlp_certificate"


# Values


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        configured().export_interval = 3  # type: ignore[misc]  # frozen, as tested


def test_configurations_are_equal_regardless_of_where_their_values_came_from() -> None:
    one = configured({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://host:1", "OTEL_RESOURCE_ATTRIBUTES": "a=b"})
    other = configured(otlp_endpoint="http://host:1/", resource_attributes={"a": "b"})
    assert one == other
    assert hash(one) == hash(other)
    assert one.differences(other) == []


def test_differences_name_the_settings_and_their_values() -> None:
    differences = configured().differences(configured(export_interval=31, prometheus_port=1))
    assert differences == ["export_interval: 30.0 and 31.0", "prometheus_port: 9464 and 1"]


def test_differences_of_secrets_are_named_and_masked() -> None:
    one, other = (configured(endpoint_username="me", endpoint_password=word) for word in ("hunter2", "hunter3"))
    assert one.differences(other) == ["endpoint_password: *** and another ***"]


def test_a_copy_with_changes_keeps_the_values_that_the_environment_gave() -> None:
    config = configured(
        {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://me:hunter2@host", "OTEL_METRIC_EXPORT_INTERVAL": "20000"}
    )
    changed = dataclasses.replace(config, history_length=3)
    assert config.differences(changed) == ["history_length: 100 and 3"]


def test_a_copy_with_another_protocol_is_checked_again() -> None:
    config = configured(otlp_protocol="grpc", otlp_endpoint="host:4317")
    with pytest.raises(ConfigError, match="otlp_endpoint is 'host:4317'"):
        dataclasses.replace(config, otlp_protocol="http/protobuf")


def test_changing_an_argument_afterwards_does_not_change_the_configuration() -> None:
    attributes = {"a": "b"}
    config = configured(resource_attributes=attributes)
    attributes["a"] = "c"
    assert config.resource_attributes == {"a": "b"}


# Secrets

MARK = "hUnTeR2"
secret_texts = st.tuples(st.text(string.printable), st.text(string.printable)).map(MARK.join)
WAYS = ("password", "header", "headers", "endpoint", "user", "encoded", "bare")


def given_as(way: str, secret: str) -> dict[str, str]:
    """Return variables that hold `secret` in some form, including wrong ones."""
    password, headers, url = "OTEL_HA_ENDPOINT_PASSWORD", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_ENDPOINT"
    return {
        "password": {password: secret, "OTEL_HA_ENDPOINT_USERNAME": "me"},
        "header": {headers: f"authorization={quote(secret)}"},
        "headers": {headers: f"a={secret},{secret}"},
        "endpoint": {url: f"http://me:{secret}@host:4318/"},
        "user": {url: f"https://{secret}@host"},
        "encoded": {url: f"http://me:{quote(secret, safe='')}@host"},
        "bare": {url: f"me:{secret}@host:4318"},
    }[way]


def arguments_of(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the same settings as arguments."""
    return {
        name: variables[variable]
        for name, one in settings(TelemetryConfig).items()
        for variable in one.variables
        if variable in variables
    }


def everything_in(error: BaseException) -> Iterator[str]:
    """Yield every text that an error and its chained errors may show."""
    yield from traceback.format_exception(error)
    link: BaseException | None = error
    while link is not None:
        yield f"{link!s} {link!r} {link.args!r} {vars(link)!r}"
        link = link.__cause__ or link.__context__


def everything_of(config: TelemetryConfig) -> Iterator[str]:
    """Yield every text of a configuration that is not an explicit request for a secret."""
    yield from (repr(config), str(config), f"{config}", f"{config.endpoint_password}")
    yield from (repr(getattr(config, field.name)) for field in dataclasses.fields(TelemetryConfig))
    yield repr(dataclasses.astuple(config))
    yield json.dumps(dataclasses.asdict(config), default=str)
    yield config.otlp("metrics").url
    yield repr(config.endpoint_credentials)
    yield repr(copy.deepcopy(config))
    yield from config.differences(configured())
    yield from config.unknown_variables()
    yield logging.makeLogRecord({"msg": "started with %s, %r", "args": (config, config)}).getMessage()


def texts_of(environ: Mapping[str, str], **arguments: Any) -> str:
    """Return every text that a configuration shows, or its error if it cannot be made."""
    try:
        config = configured(environ, **arguments)
    except ConfigError as error:
        return "".join(everything_in(error))
    return "".join([*everything_of(config), *everything_in(unpicklable(config))])


def unpicklable(config: TelemetryConfig) -> Exception:
    """Return the error of pickling a configuration together with an object that cannot be pickled."""
    with pytest.raises((pickle.PicklingError, AttributeError)) as caught:
        pickle.dumps((config, lambda: config))
    return caught.value


@given(st.sampled_from(WAYS), secret_texts)
def test_no_secret_from_the_environment_is_shown(way: str, secret: str) -> None:
    assert MARK not in texts_of(given_as(way, secret))


@given(st.sampled_from(WAYS), secret_texts)
def test_no_secret_from_an_argument_is_shown(way: str, secret: str) -> None:
    assert MARK not in texts_of({}, **arguments_of(given_as(way, secret)))


@given(st.sampled_from(WAYS), secret_texts)
def test_no_secret_is_shown_if_another_setting_is_wrong(way: str, secret: str) -> None:
    assert MARK not in texts_of({**given_as(way, secret), "OTEL_HA_HANDLE_SIGTERM": "maybe"})


@pytest.mark.parametrize("name", ["endpoint_password", "otlp_headers", "otlp_endpoint"])
@pytest.mark.parametrize("value", [MARK.encode(), [MARK], {MARK: MARK}, {"a": [MARK]}, (MARK,)])
def test_no_secret_of_another_type_is_shown(name: str, value: object) -> None:
    assert MARK not in texts_of({}, **{name: value})


def test_no_secret_that_is_not_even_unicode_is_shown() -> None:
    variables = {"OTEL_HA_ENDPOINT_USERNAME": "me", "OTEL_HA_ENDPOINT_PASSWORD": f"{MARK}\udcff"}
    assert MARK not in texts_of(variables)
    assert MARK not in texts_of({"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://me:{MARK}\udcff@host"})


@given(st.text(string.ascii_letters, min_size=8))
def test_the_header_made_of_the_password_is_not_shown(password: str) -> None:
    config = configured(otlp_endpoint=f"http://me:{password}@host")
    header = config.otlp("metrics").plain_headers()["authorization"].removeprefix("Basic ")
    assert header not in "".join(everything_of(config))


def test_a_secret_survives_pickling() -> None:
    config = configured(endpoint_username="me", endpoint_password="hunter2", otlp_headers={"a": "b"})
    again = pickle.loads(pickle.dumps(config))
    assert again == config
    assert again.otlp("metrics").plain_headers() == {"a": "b"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfAService(TelemetryConfig):
    """A service's own settings."""


def test_a_subclass_does_not_show_a_token_in_the_query_of_an_endpoint() -> None:
    config = OfAService(environ={}, otlp_endpoint="https://host/v1/metrics?key=hunter2")
    assert repr(config).startswith("OfAService(otlp_")
    assert "hunter" not in repr(config)


def test_a_token_in_the_query_of_an_endpoint_is_not_shown() -> None:
    one, other = (configured(otlp_endpoint=f"https://host/v1/metrics?key={word}") for word in ("hunter2", "hunter3"))
    assert "hunter" not in repr(one)
    assert "hunter" not in str(one.differences(other))
    with pytest.raises(ConfigError) as refused:
        configured(otlp_endpoint="htp://host/?key=hunter2")
    assert "hunter" not in str(refused.value)
