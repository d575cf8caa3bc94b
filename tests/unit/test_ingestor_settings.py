import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from examples.ingestor.settings import Settings, SettingsError, option, read_settings, variable
from examples.ingestor.urls import Address

ENOUGH = ("--mqtt-url", "mqtt://broker", "--file", "points")


def settings(*arguments: str, **variables: str) -> Settings:
    return read_settings([*ENOUGH, *arguments], {f"INGESTOR_{name}": value for name, value in variables.items()})


def refused(*arguments: str, **variables: str) -> str:
    with pytest.raises(SettingsError) as error:
        settings(*arguments, **variables)
    return str(error.value)


def test_a_source_and_a_sink_are_enough():
    assert settings().mqtt_url == Address("mqtt", "broker", 1883)


def test_a_variable_is_read():
    assert settings(BATCH_SIZE="7").batch_size == 7


def test_an_option_beats_the_variable():
    assert settings("--batch-size", "8", BATCH_SIZE="7").batch_size == 8


def test_an_empty_variable_is_none():
    assert settings(BATCH_SIZE="").batch_size == 500


def test_an_empty_option_can_take_a_default_away():
    assert settings("--ignore-states", "").ignore_states == ()


def test_lists_have_commas():
    assert settings("--include", "light.*, sensor.a").include == ("light.*", "sensor.a")


def test_a_wrong_option_is_named_with_its_value_and_what_is_allowed():
    assert refused("--batch-size", "abc") == "--batch-size='abc': it must be a whole number from 1 to 100000"


def test_a_wrong_variable_is_named_with_its_value_and_what_is_allowed():
    assert refused(DEDUP_WINDOW="nan") == "INGESTOR_DEDUP_WINDOW='nan': it must be a number of seconds from 0 to 86400"


def test_a_variable_that_is_no_setting_is_refused():
    assert refused(BATCHSIZE="3").startswith("INGESTOR_BATCHSIZE is no setting")


def test_a_wrong_url_does_not_show_its_password():
    message = refused("--influxdb", "ftp://me:secret@host")
    assert "--influxdb=***" in message
    assert "secret" not in message


def test_secrets_are_in_no_repr():
    given = settings("--mqtt-url", "mqtt://me:secret@broker", HOME_ASSISTANT_TOKEN="secret")
    assert "secret" not in repr(given) + str(given.mqtt_url)


def test_a_users_special_characters_are_decoded():
    assert settings("--mqtt-url", "mqtts://me:p%40ss@broker").mqtt_url == Address(
        "mqtts", "broker", 8883, "", "me", "p@ss"
    )


def test_a_topic_with_a_wildcard_is_refused():
    assert "without + and #" in refused("--mqtt-base", "home/#")


def test_without_a_source_there_is_nothing_to_read():
    with pytest.raises(SettingsError, match="nothing to read from"):
        read_settings(["--file", "points"], {})


def test_without_a_sink_there_is_nowhere_to_write():
    with pytest.raises(SettingsError, match="none is given"):
        read_settings(["--mqtt-url", "mqtt://broker"], {})


def test_two_sinks_are_one_too_many():
    assert "not both --influxdb and --file" in refused("--influxdb", "http://host:8086")


def test_home_assistant_needs_a_token():
    assert "INGESTOR_HOME_ASSISTANT_TOKEN" in refused("--home-assistant-url", "http://ha:8123")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "INGESTOR_"))}
    return subprocess.run(
        [sys.executable, "-m", "examples.ingestor", *arguments],
        capture_output=True, text=True, timeout=30, check=False, env=environment, cwd=Path(__file__).parents[2],
    )  # fmt: skip


def test_help_names_every_option_and_variable():
    text = run("--help").stdout
    assert [name for known in fields(Settings) if (name := variable(known)) not in text] == []
    assert [name for known in fields(Settings) if (name := option(known)) not in text] == ["--home-assistant-token"]


def test_a_users_mistake_ends_the_service_with_one_line():
    ended = run(*ENOUGH, "--batch-size", "0")
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)


def test_a_file_that_cannot_be_opened_ends_the_service_with_one_line_more():
    environment = {"OTEL_SDK_DISABLED": "true"}
    ended = subprocess.run(
        [sys.executable, "-m", "examples.ingestor", "--mqtt-url", "mqtt://127.0.0.1:1", "--file", "/nowhere/points"],
        capture_output=True, text=True, timeout=30, check=False, env=os.environ | environment,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert ended.returncode == 2
    assert "No such file" in ended.stderr
    assert "Traceback" not in ended.stderr
