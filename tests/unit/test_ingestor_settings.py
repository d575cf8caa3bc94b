import os
import subprocess
import sys
from pathlib import Path

import pytest

from examples.demo.settings import COMMAND_LINE as DEMO
from examples.demo.settings import DemoSettings
from examples.ingestor.command_line import SettingsError
from examples.ingestor.settings import COMMAND_LINE, Settings, read_settings
from examples.ingestor.urls import Address

ENOUGH = ("--mqtt-url", "mqtt://broker", "--file", "points")


def settings(*arguments: str, **variables: str) -> Settings:
    return read_settings([*ENOUGH, *arguments], {f"INGESTOR_{name}": value for name, value in variables.items()})


def refused(*arguments: str, **variables: str) -> str:
    with pytest.raises(SettingsError) as error:
        settings(*arguments, **variables)
    return str(error.value)


def demo(*arguments: str, **variables: str) -> DemoSettings:
    return DEMO.read(arguments, {f"HA_DEMO_{name}": value for name, value in variables.items()})


def demo_refuses(*arguments: str, **variables: str) -> str:
    with pytest.raises(SettingsError) as error:
        demo(*arguments, **variables)
    return str(error.value)


def test_a_source_and_a_store_are_enough():
    assert settings().mqtt_url == Address("mqtt", "broker", 1883)


def test_a_variable_sets_a_value():
    assert settings(BATCH_SIZE="7").batch_size == 7


def test_an_option_takes_precedence_over_the_variable():
    assert settings("--batch-size", "8", BATCH_SIZE="7").batch_size == 8


def test_an_empty_variable_counts_as_not_set():
    assert settings(BATCH_SIZE="").batch_size == 500


def test_an_empty_option_can_remove_a_default():
    assert settings("--ignore-states", "").ignore_states == ()


def test_commas_separate_the_items_of_a_list():
    assert settings("--include", "light.*, sensor.a").include == ("light.*", "sensor.a")


def test_attributes_are_globs_with_names():
    found = settings("--attributes", "climate.*=temperature, current_temperature; light.*=brightness;").attributes
    assert found == (("climate.*", ("temperature", "current_temperature")), ("light.*", ("brightness",)))


def test_some_attributes_can_be_tags():
    assert settings("--tags", "friendly_name,device_class").tags == ("friendly_name", "device_class")


def test_text_as_label_is_refused_for_a_store_that_takes_text():
    assert refused("--text-as-label") == "--text-as-label is for --victoriametrics; --file stores text as it is"


def test_the_log_level_can_be_in_upper_or_lower_case():
    assert settings("--log-level", "DEBUG").log_level == settings("--log-level", "debug").log_level == "debug"


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("--batch-size", "abc", "a whole number from 1 to 100000"),
        ("--batch-size", "0", "a whole number from 1 to 100000"),
        ("--dedup-window", "soon", "a number of seconds from 0 to 86400"),
        ("--dedup-window", "nan", "a number of seconds from 0 to 86400"),
        ("--mqtt-url", "broker", "a URL that begins with mqtt:// or mqtts:// and names a host"),
        ("--mqtt-url", "mqtt://broker:x", "a URL that begins with mqtt:// or mqtts:// and names a host"),
        ("--mqtt-base", "home/#", "a topic without + and #"),
        ("--file", "", "the path of a file"),
        (
            "--attributes",
            "light.*",
            "globs with names of attributes, such as climate.*=temperature,hvac_action;light.*=brightness",
        ),
        (
            "--attributes",
            "=a",
            "globs with names of attributes, such as climate.*=temperature,hvac_action;light.*=brightness",
        ),
        ("--tags", "unit", "a list of friendly_name and device_class, separated by a comma"),
        ("--log-level", "loud", "debug, info, warning or error"),
    ],
)
def test_an_error_names_the_option_the_value_and_the_allowed_values(option, value, allowed):
    assert refused(option, value) == f"{option} is {value!r}; allowed: {allowed}"


def test_an_error_names_the_variable_that_held_the_value():
    assert refused(DEDUP_WINDOW="x") == "INGESTOR_DEDUP_WINDOW is 'x'; allowed: a number of seconds from 0 to 86400"


def test_an_unknown_variable_is_refused_with_a_suggestion():
    assert refused(BATCHSIZE="3") == "INGESTOR_BATCHSIZE is not a setting; did you mean INGESTOR_BATCH_SIZE?"
    assert refused(COLOUR="red") == "INGESTOR_COLOUR is not a setting; --help lists the settings"


def test_an_unknown_option_is_refused_without_its_value():
    assert refused("--colour=red") == "--colour is not an option; --help lists the options"


def test_an_option_without_its_value_is_refused():
    assert "--batch-size" in refused("--batch-size")


def test_a_token_on_the_command_line_is_refused_and_not_shown():
    assert refused("--home-assistant-token", "secret") == (
        "--home-assistant-token is not an option; set the variable INGESTOR_HOME_ASSISTANT_TOKEN"
    )


def test_an_error_hides_the_password_in_a_url():
    message = refused("--influxdb", "ftp://me:secret@host")
    assert message.startswith("--influxdb is ***; ")
    assert "secret" not in message


def test_the_repr_of_the_settings_hides_secrets():
    given = settings("--mqtt-url", "mqtt://me:secret@broker", HOME_ASSISTANT_TOKEN="secret")
    assert "secret" not in repr(given) + str(given.mqtt_url)


def test_special_characters_of_a_user_and_password_are_decoded():
    assert settings("--mqtt-url", "mqtts://me:p%40ss@broker").mqtt_url == Address(
        "mqtts", "broker", 8883, "", "me", "p@ss"
    )


def test_settings_without_a_source_are_refused():
    with pytest.raises(SettingsError, match="no source of events"):
        read_settings(["--file", "points"], {})


def test_settings_without_a_store_are_refused():
    with pytest.raises(SettingsError, match="no store to write to"):
        read_settings(["--mqtt-url", "mqtt://broker"], {})


def test_settings_with_two_stores_are_refused():
    assert refused("--influxdb", "http://host:8086").startswith("--influxdb and --file are given; give one of")


def test_home_assistant_needs_a_token():
    assert "INGESTOR_HOME_ASSISTANT_TOKEN" in refused("--home-assistant-url", "http://ha:8123")


def test_the_demo_runs_without_any_setting():
    assert (demo().duration, demo().home) == (30.0, True)


def test_a_switch_is_an_option_without_a_value_and_a_variable_with_true_or_false():
    assert [demo("--json").json, demo(JSON="True").json, demo(JSON="false").json] == [True, True, False]
    assert demo_refuses(JSON="yes") == "HA_DEMO_JSON is 'yes'; allowed: true or false"


def test_the_demo_refuses_settings_that_contradict_each_other():
    assert "no source of events" in demo_refuses("--no-home")
    assert "--influxdb and --victoriametrics" in demo_refuses("--influxdb=http://a", "--victoriametrics=http://b")
    assert "INGESTOR_HOME_ASSISTANT_TOKEN" in demo_refuses("--home-assistant=http://a")


def run(module: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "INGESTOR_"))}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True, text=True, timeout=30, check=False, env=environment | variables,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip


@pytest.mark.parametrize("command_line", [COMMAND_LINE, DEMO], ids=["ingestor", "demo"])
def test_help_names_every_setting_within_80_columns(command_line):
    text = run(command_line.program.split()[-1], "--help", COLUMNS="80").stdout
    assert [known.name for known in command_line.declared if not known.secret and known.option not in text] == []
    assert [known.name for known in command_line.declared if known.secret and known.variable not in text] == []
    assert command_line.prefix in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    "command",
    [
        ("examples.ingestor", *ENOUGH, "--batch-size", "0"),
        ("examples.ingestor", *ENOUGH, "--colour"),
        ("examples.demo", "--rate", "fast"),
    ],
    ids=" ".join,
)
def test_a_users_mistake_ends_the_program_with_one_line_and_exit_code_2(command):
    ended = run(*command)
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (2, "", 1)


def test_a_file_that_cannot_be_opened_ends_the_ingestor_without_a_traceback():
    ended = run(
        "examples.ingestor", "--mqtt-url=mqtt://127.0.0.1:1", "--file=/nowhere/points", OTEL_SDK_DISABLED="true"
    )
    assert ended.returncode == 2
    assert "No such file" in ended.stderr
    assert "Traceback" not in ended.stderr
