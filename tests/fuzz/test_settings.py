"""Settings with hostile text: each one is accepted, or refused by an error that names it and what is allowed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import strategies as st

from examples.ingestor.command_line import SettingsError
from examples.ingestor.settings import COMMAND_LINE, read_settings
from otel_ha import ConfigError, TelemetryConfig, setup_telemetry
from otel_ha.cli.run import _check as check_as_run
from otel_ha.compat.settings import MonitoringSettings, earlier_variables
from otel_ha.config.declarative import load_file
from otel_ha.config.otlp import SIGNALS
from otel_ha.config.sdk import check_variables
from otel_ha.config.settings import settings
from tests.fuzz.budget import Fuzz
from tests.fuzz.values import HOSTILE, Value
from tests.hostile import VALUES as HOSTILE_VALUES

KNOWN = settings(TelemetryConfig)
VARIABLES = sorted({variable for one in KNOWN.values() for variable in one.variables})
OF_THE_SDK = [
    *(f"{prefix}_{name}" for prefix in ("OTEL_BSP", "OTEL_BLRP") for name in ("MAX_QUEUE_SIZE", "SCHEDULE_DELAY")),
    *("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_PROPAGATORS"),
    *("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT"),
]
EARLIER = sorted({variable for one in settings(MonitoringSettings).values() for variable in one.variables})

WORDS = [
    *("true", "false", "none", "otlp", "prometheus", "console", "grpc", "http/protobuf", "gzip", "deflate", "0", "-1"),
    *("1e3", "nan", "inf", "9" * 5000, "\uff11\uff12", "30s", "1_000", "0x10", "always_on"),
    *("traceidratio", "b3,,tracecontext"),
    *("http://", "https://user:hunter2@host:4318/v1?token=hunter2", "http://[::1", "http://[::1]:99999", "unix:///x"),
    *("http://h:port", "dns://8.8.8.8/h", "host:4317", "[::ffff:1.2.3.4%eth0]", "::1%25lo", "*", "a,b,,c", "h\u2100st"),
    *("key=value", "key", "=", "a=%ff", "a=%00", "%C3%A9=1", "authorization=Bearer hunter2", "k=v;p,", "é=é"),
    *(
        "/etc/passwd",
        "/",
        "/nowhere/x.pem",
        "~",
        "\x00",
        "a\nb",
        "\udc80",
        "\ud83d\ude00",
        "acme.topics:parse",
        "os:sep",
    ),
    *("../../x", "C:\\x", "${HOME}", "$(id)", "'quoted'", '"', "#", "\u202e", "x" * 100_000, " true ", "TRUE"),
]
TEXTS = st.sampled_from(WORDS) | st.text(max_size=40) | st.lists(st.sampled_from(WORDS), max_size=4).map("".join)
SECRET = "hunter2"


def is_variable(text: str) -> bool:
    """Return whether a process can have a variable of this text."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return "\x00" not in text


def check_error(error: ConfigError, known: Mapping[str, str]) -> None:
    """Check that an error names one of the settings given, and the allowed values, and shows no secret."""
    message = str(error)
    assert any(name in message for name in known), message
    assert any(word in message for word in ("allowed", "is not a setting", "set ", "only together", "run pip")), message
    assert SECRET not in message
    assert error.__cause__ is None
    assert error.__context__ is None
    assert all(line.isprintable() for line in message.split("\n")), ascii(message)
    assert len(message) < 1000 * (1 + message.count("\n")), message


def check_variables_of(variables: dict[str, str]) -> None:
    names = {variable: name for name, one in KNOWN.items() for variable in one.variables if variable in variables}
    try:
        config = TelemetryConfig(environ=variables)
        for signal in SIGNALS:
            config.otlp(signal)
        repr(config)
    except ConfigError as error:
        check_error(error, {**names, **{name: name for name in names.values()}})
    check_sdk(variables)
    check_earlier(variables)


def check_sdk(variables: dict[str, str]) -> None:
    try:
        check_variables(variables, ["traces", "logs"])
    except ConfigError as error:
        check_error(error, variables)


def check_before_a_program(variables: dict[str, str]) -> None:
    """Check the settings as `otel-ha run` does, which also makes the clients of pushes."""
    message = ""
    try:
        check_as_run({"OTEL_CONFIG_FILE": "", **variables})
    except ConfigError as error:
        message = str(error)
    assert "\n" not in message or message.partition(" ")[2].startswith("settings are wrong")
    assert SECRET not in message


def check_example(given: tuple[list[str], dict[str, str]]) -> None:
    code, message = 0, "fine"
    try:
        read_settings(*given)
    except SettingsError as error:
        message = str(error)
    except SystemExit as ended:  # --help
        code = ended.code
    assert (code, bool(message)) == (0, True)


def check_earlier(variables: dict[str, str]) -> None:
    try:
        earlier = earlier_variables(variables)
        MonitoringSettings.of({}, variables).telemetry_config({})
    except ConfigError as error:
        check_error(error, earlier)


def check_arguments(given: dict[str, Value]) -> None:
    arguments = {name: value.make() for name, value in given.items()}
    try:
        config = TelemetryConfig(environ={}, **arguments)
        for signal in SIGNALS:
            config.otlp(signal)
        repr(config)
    except ConfigError as error:
        check_error(error, given)
    try:
        MonitoringSettings.of(arguments, {}).telemetry_config({})
    except ConfigError as error:
        check_error(error, given)


def check_env_file(content: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".env") as file:
        Path(file.name).write_bytes(content)
        try:
            TelemetryConfig(environ={}, env_file=file.name)
        except ConfigError as error:
            check_error(error, dict.fromkeys([*VARIABLES, *KNOWN, "env_file"], ""))


def check_config_file(content: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        Path(file.name).write_bytes(content)
        message = ""
        try:
            load_file(file.name)
        except ConfigError as error:
            message = str(error)
        assert not message or message.startswith("OTEL_CONFIG_FILE is ")
        assert "\n" not in message


def check_set_up(variables: dict[str, str]) -> None:
    """Start and end telemetry with what is accepted; nothing is pushed, as the addresses are made up."""
    try:
        config = TelemetryConfig(
            environ=variables,
            **{f"{name}_exporters": () for name in ("traces", "logs")},
            metrics_exporters=("prometheus",),
            prometheus_host="127.0.0.1",  # a name would be looked up
            prometheus_port=0,
            shutdown_timeout=0.5,
        )
    except ConfigError:
        return
    with setup_telemetry(config=config) as telemetry:
        if config.enabled:
            telemetry.prometheus_text().encode()
        telemetry.health()
        telemetry.summary()


LINES = st.tuples(
    st.sampled_from([*VARIABLES, *EARLIER, "export X", "", "#"]), st.sampled_from(["=", " = ", ":", ""]), TEXTS
)
FILES = st.binary(max_size=200) | st.lists(LINES.map("".join)).map("\n".join).map(
    lambda text: text.encode("utf-8", "surrogatepass")
)
YAML = st.sampled_from(
    [
        *("file_format", "'1.0'", "'0.3'", "meter_provider", "readers", "periodic", "exporter"),
        *("otlp_http", "endpoint", "views", "resource", "attributes", "[]", "{}", "- ", ": ", "\n"),
        *("\n  ", "\n    ", "&a ", "*a", "!!python/object:os.x ", "|", "${HOME}", "${", "0", "null"),
        *("true", "\t", "%", "\x00", "disabled", "tracer_provider", "propagator", "composite"),
    ]
)


def test_variables(fuzz: Fuzz) -> None:
    known = st.sampled_from([*VARIABLES, *OF_THE_SDK, *EARLIER, "OTEL_HA_UNKNOWN", "OTEL_CONFIG_FILE"])
    fuzz(check_variables_of, st.dictionaries(known, TEXTS.filter(is_variable), min_size=1, max_size=6), most=50)


def test_settings_before_a_program(fuzz: Fuzz, capsys: pytest.CaptureFixture[str]) -> None:
    known = st.sampled_from([*(name for name in VARIABLES if "OTLP" in name), "OTEL_METRICS_EXPORTER", *OF_THE_SDK])
    fuzz(check_before_a_program, st.dictionaries(known, TEXTS.filter(is_variable), min_size=1, max_size=5))


def test_settings_of_the_example(fuzz: Fuzz, capsys: pytest.CaptureFixture[str]) -> None:
    options = st.sampled_from([*(one.option for one in COMMAND_LINE.declared), "--help", "--mqtt", "-x", "--"]) | TEXTS
    known = st.sampled_from([one.variable for one in COMMAND_LINE.declared])
    more = st.sampled_from(
        ["mqtt://h", "mqtt://user:hunter2@h:1", "http://h", "{a}:b", "*:a+b", "1s", "[", "a:b:c", "*"]
    )
    variables = st.dictionaries(known, (TEXTS | more).filter(is_variable), max_size=4)
    fuzz(check_example, st.tuples(st.lists(options | more, max_size=5), variables))


def test_arguments(fuzz: Fuzz) -> None:
    names = st.sampled_from([*KNOWN, *settings(MonitoringSettings)])
    values = HOSTILE | TEXTS.map(lambda text: Value(ascii(text)[:100], lambda: text))
    known = [{name: Value("VALUES", make)} for name in ("endpoint_server", "otlp_timeout") for make in HOSTILE_VALUES]
    fuzz(check_arguments, st.dictionaries(names, values, min_size=1, max_size=4), known=known, most=50)


def test_env_files(fuzz: Fuzz) -> None:
    fuzz(check_env_file, FILES, most=50)


def test_configuration_files(fuzz: Fuzz) -> None:
    known = [b"file_format: '1.0'\n", b"[" * 5000, b"a: &a [*a]", b"\xff\xfe", b"file_format: 1.0\nmeter_provider: 5\n"]
    fuzz(check_config_file, st.lists(YAML).map("".join).map(str.encode), known=known)


def test_set_up(fuzz: Fuzz) -> None:
    known = st.sampled_from([name for name in VARIABLES if not name.startswith("OTEL_EXPORTER_OTLP")])
    fuzz(check_set_up, st.dictionaries(known, TEXTS.filter(is_variable), max_size=3), most=10)
