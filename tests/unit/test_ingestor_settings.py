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


def test_a_number_of_labels_is_refused_without_labels():
    assert refused("--text-labels", "5") == "--text-labels is for --text-as-label; give both or neither"


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
        ("--mqtt-json", "tele,zigbee2mqtt/#", "topics without + and #, separated by commas"),
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


@pytest.mark.parametrize(
    ("name", "remedy"), [("BATCHSIZE", "did you mean INGESTOR_BATCH_SIZE?"), ("COLOUR", "--help lists the settings")]
)
def test_an_unknown_variable_is_ignored_and_logged_with_a_suggestion(caplog, name, remedy):
    assert settings(**{name: "secret"}) == settings()
    assert caplog.messages == [f"INGESTOR_{name} is not a setting and is ignored; {remedy}"]


def test_the_variables_that_kubernetes_sets_for_a_service_are_ignored_in_one_line(caplog):
    injected = {
        "PORT": "tcp://10.96.0.12:8080",
        "SERVICE_HOST": "10.96.0.12",
        "SERVICE_PORT": "8080",
        "SERVICE_PORT_HTTP_METRICS": "8080",
        "PORT_8080_TCP": "tcp://10.96.0.12:8080",
        "PORT_8080_TCP_PROTO": "tcp",
        "PORT_8080_TCP_PORT": "8080",
        "PORT_8080_TCP_ADDR": "10.96.0.12",
        "MQTT_PORT": "udp://10.96.0.13:1883",
    }
    assert settings(**injected, BATCH_SIZE="7").batch_size == 7
    assert len(caplog.messages) == 1
    assert [name for name in injected if f"INGESTOR_{name}" not in caplog.text] == []
    assert "enableServiceLinks: false" in caplog.text


def test_a_variable_that_kubernetes_sets_does_not_replace_a_setting_of_the_same_name(caplog):
    assert demo(PORT="tcp://10.96.0.12:80").port is None
    assert demo(PORT="9999").port == 9999


@pytest.mark.parametrize("space", ["\n", "\r\n", " ", "\t\n"], ids=repr)
def test_space_around_a_value_is_removed(space):
    given = settings(
        "--log-level", f"{space}debug{space}", HOME_ASSISTANT_TOKEN=f"abc{space}", BATCH_SIZE=f"7{space}",
        HOME_ASSISTANT_URL=f"http://ha:8123{space}",
    )  # fmt: skip
    assert (given.token, given.batch_size, given.log_level) == ("abc", 7, "debug")
    assert given.home_assistant_url == Address("http", "ha", 8123)


def test_a_token_of_spaces_counts_as_not_set():
    assert "needs an access token" in refused("--home-assistant-url", "http://ha:8123", HOME_ASSISTANT_TOKEN=" \n")


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


def at_home_assistant(url: str, **tokens: str) -> Settings:
    return read_settings([*ENOUGH, "--home-assistant-url", url], tokens)


def test_an_add_on_uses_the_token_of_the_supervisor():
    given = at_home_assistant("http://supervisor/core", SUPERVISOR_TOKEN="theirs\n")
    assert (given.token, given.home_assistant_url) == ("theirs", Address("http", "supervisor", 80, "/core"))
    assert "theirs" not in repr(given)


def test_an_access_token_takes_precedence_over_the_supervisors():
    tokens = {"SUPERVISOR_TOKEN": "theirs", "INGESTOR_HOME_ASSISTANT_TOKEN": "ours"}
    assert at_home_assistant("http://supervisor/core", **tokens).token == "ours"


def test_the_token_of_the_supervisor_is_sent_to_no_other_host():
    with pytest.raises(SettingsError, match=r"set the variable INGESTOR_HOME_ASSISTANT_TOKEN$"):
        at_home_assistant("http://homeassistant:8123", SUPERVISOR_TOKEN="theirs")


def test_an_add_on_without_a_token_is_told_how_to_get_one():
    with pytest.raises(SettingsError, match="homeassistant_api: true"):
        at_home_assistant("http://supervisor/core")


def test_home_assistant_can_be_given_as_a_url_of_websockets():
    given = at_home_assistant("wss://ha/api/websocket", INGESTOR_HOME_ASSISTANT_TOKEN="x")
    assert given.home_assistant_url == Address("wss", "ha", 443, "/api/websocket")


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


def test_an_unknown_variable_does_not_end_the_ingestor():
    ended = run(
        "examples.ingestor", "--mqtt-url=mqtt://127.0.0.1:1", "--file=/nowhere/points", OTEL_SDK_DISABLED="true",
        INGESTOR_PORT="tcp://10.96.0.12:8080",
    )  # fmt: skip
    assert "INGESTOR_PORT: ignored" in ended.stderr
    assert "No such file" in ended.stderr


def test_a_file_that_cannot_be_opened_ends_the_ingestor_without_a_traceback():
    ended = run(
        "examples.ingestor", "--mqtt-url=mqtt://127.0.0.1:1", "--file=/nowhere/points", OTEL_SDK_DISABLED="true"
    )
    assert ended.returncode == 2
    assert "No such file" in ended.stderr
    assert "Traceback" not in ended.stderr
