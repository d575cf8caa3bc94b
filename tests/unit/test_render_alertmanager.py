"""Alertmanager's configuration: routes and silences by label, receivers by name, secrets in files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from otel_ha import TelemetryError
from otel_ha.render.__main__ import main
from otel_ha.render.alertmanager import SETTINGS, alertmanager_file
from otel_ha.render.receivers import RECEIVERS

FILE = Path(__file__).parents[2] / "collector-config" / "alertmanager" / "alertmanager.yml"
MAIL = {"email_to": "you@example.org", "email_server": "smtp.example.org:587"}
WITH_SECRETS = {**MAIL, "email_user": "you"}


def configuration(*to: str, **values: str) -> dict:
    return yaml.safe_load(alertmanager_file(to, {**MAIL, **values}))


def receiver(configuration: dict, name: str) -> dict:
    (found,) = [each for each in configuration["receivers"] if each["name"] == name]
    return found


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that fails, and return its last line."""
    with pytest.raises(SystemExit) as ended:
        main(["alertmanager", *arguments])
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_the_file_on_disk_is_the_rendered_one():
    assert FILE.read_text(encoding="utf-8") == alertmanager_file(), "run `make docs`"


def test_without_a_receiver_nobody_is_notified():
    found = configuration()
    assert {frozenset(each) for each in found["receivers"]} == {frozenset({"name"})}


@pytest.mark.parametrize("name", RECEIVERS)
def test_every_receiver_hears_of_resolved_alerts(name):
    found = configuration(name)
    ((entry,),) = [value for each in found["receivers"] for key, value in each.items() if key != "name"]
    assert entry["send_resolved"] is True


@pytest.mark.parametrize("name", RECEIVERS)
def test_every_secret_is_in_a_file_that_the_comment_names(name):
    text = alertmanager_file([name], WITH_SECRETS, "/run/secrets")
    files = set(re.findall(r"_file: (\S+)", text))
    assert files
    assert files == set(re.findall(r"^#   (/run/secrets/\S+): .", text, re.MULTILINE))
    assert all(path.startswith(f"/run/secrets/{name}-") for path in files)


def test_several_webhooks_are_entries_of_one_list():
    found = receiver(configuration("home-assistant", "ntfy", "webhook"), "everyone")
    assert len(found["webhook_configs"]) == 3


def test_a_receiver_that_is_named_twice_is_notified_once():
    found = receiver(configuration("slack", "slack"), "everyone")
    assert len(found["slack_configs"]) == 1


def test_the_watchdog_goes_to_the_dead_man_only():
    found = configuration("slack", "dead-man")
    assert found["route"]["routes"][0]["receiver"] == "dead-man"
    assert set(receiver(found, "everyone")) == {"name", "slack_configs"}
    assert set(receiver(found, "dead-man")) == {"name", "webhook_configs"}


def test_mail_without_a_user_has_no_password():
    (entry,) = receiver(configuration("email"), "everyone")["email_configs"]
    assert not [key for key in entry if key.startswith("auth_")]


def test_the_comment_has_the_command_that_renders_the_file_again(capsys):
    arguments = ["--to", "slack", "--to", "email", "--secrets", "/s"]
    arguments += [f"--set={name}={value}".replace("--set=", "--set ") for name, value in MAIL.items()]
    command = ["alertmanager", *" ".join(arguments).split(), "--set", "wait=1m"]
    main(command)
    text = capsys.readouterr().out
    again = text.splitlines()[0].partition("otel_ha.render ")[2]
    main(again.split())
    assert capsys.readouterr().out == text


def test_rendering_twice_gives_the_same_bytes():
    assert alertmanager_file(RECEIVERS, WITH_SECRETS) == alertmanager_file(RECEIVERS, WITH_SECRETS)


def test_an_unknown_receiver_is_refused_with_those_that_exist(capsys):
    line = refused(capsys, "--to", "pigeon")
    assert "'pigeon'" in line
    assert all(name in line for name in RECEIVERS)


@pytest.mark.parametrize("value", ["wiat=1s", "wait", "=1s", ""])
def test_an_unknown_setting_is_refused_with_those_that_exist(capsys, value):
    line = refused(capsys, "--set", value)
    assert repr(value) in line
    assert all(name in line for name in SETTINGS)


@pytest.mark.parametrize("value", ["wait=", "wait=5", "wait=0s", "wait=1m1h", "email_to=you", "email_tls=yes"])
def test_a_wrong_value_is_refused_with_an_example(capsys, value):
    line = refused(capsys, "--set", value)
    assert repr(value) in line
    assert SETTINGS[value.partition("=")[0]].allowed in line


@pytest.mark.parametrize("missing", MAIL)
def test_mail_without_an_address_or_a_server_names_what_to_add(missing):
    with pytest.raises(TelemetryError, match=f"add --set {missing}="):
        alertmanager_file(["email"], {**MAIL, missing: ""})
