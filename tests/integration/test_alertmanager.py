"""Alertmanager with the rendered configurations: amtool accepts them, alerts go where they belong or are silenced."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from otel_ha.render.alertmanager import alertmanager_file
from otel_ha.render.receivers import RECEIVERS
from tests.integration.inboxes import inboxes
from tests.receivers import answer, receiving
from tests.servers.locate import ROOT
from tests.servers.running import eventually, get_json

pytestmark = pytest.mark.servers

MAIL = {"email_to": "you@example.org", "email_server": "smtp.example.org:587", "email_user": "you"}
EVERYONE = [*RECEIVERS]


def amtool_accepts(amtool: Path, tmp_path: Path, text: str) -> None:
    path = tmp_path / "alertmanager.yml"
    path.write_text(text, encoding="utf-8")
    done = subprocess.run([amtool, "check-config", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("to", [[], *([name] for name in RECEIVERS), EVERYONE], ids=lambda to: "+".join(to) or "nobody")
def test_amtool_accepts_every_receiver(amtool, tmp_path, to):
    amtool_accepts(amtool, tmp_path, alertmanager_file(to, MAIL))


@pytest.mark.parametrize("value", ["1s", "90s", "5m", "1h30m", "1w2d"])
def test_amtool_accepts_every_duration_that_set_accepts(amtool, tmp_path, value):
    names = ("wait", "interval", "repeat_page", "repeat_ticket", "repeat_dead_man")
    amtool_accepts(amtool, tmp_path, alertmanager_file(EVERYONE, MAIL | dict.fromkeys(names, value)))


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ({"alertname": "SinkFails", "severity": "page"}, "everyone"),
        ({"alertname": "QueueFilling", "severity": "ticket"}, "everyone"),
        ({"alertname": "DuplicateEvents", "severity": "info"}, "nobody"),
        ({"alertname": "SomeoneElses"}, "everyone"),
        ({"alertname": "SomeoneElses", "severity": "critical"}, "everyone"),
        ({"alertname": "Watchdog", "severity": "info"}, "dead-man"),
        ({"alertname": "Watchdog"}, "dead-man"),
    ],
)
def test_amtool_routes_alerts_by_severity(amtool, tmp_path, labels, receiver):
    path = tmp_path / "alertmanager.yml"
    path.write_text(alertmanager_file(EVERYONE, MAIL), encoding="utf-8")
    pairs = [f"{name}={value}" for name, value in labels.items()]
    command = [amtool, "config", "routes", "test", f"--config.file={path}", f"--verify.receivers={receiver}", *pairs]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


WORDS = {"summary": "The store is away", "description": "12 writes failed.", "runbook": "docs/runbooks/SinkFails.md"}
SEVERE = {"pagerduty": '"severity":"critical"'}


@pytest.mark.parametrize("name", ["home-assistant", "slack", "discord", "telegram", "ntfy", "pagerduty", "webhook"])
def test_a_receiver_gets_summary_description_and_runbook(make_alertmanager, tmp_path, name):
    with receiving(answer(body=b"ok")) as service:
        for secret in RECEIVERS[name].secrets:
            (tmp_path / f"{name}-{secret.name}").write_text("7" if secret.name != "url" else f"{service.url}/hook")
        config = yaml.safe_load(alertmanager_file([name], {"wait": "1s"}, str(tmp_path)))
        config["global"] = {"telegram_api_url": service.url, "pagerduty_url": service.url}
        alertmanager = make_alertmanager(yaml.safe_dump(config, sort_keys=False)).start()
        alertmanager.send({**PAGE, "annotations": WORDS})
        body = eventually(lambda: service.requests)[0].body.decode()
    assert [word for word in WORDS.values() if word not in body.replace("\\/", "/")] == []
    assert SEVERE.get(name, "") in body


HOSTILE = {
    "summary": "<!channel> & <https://evil.example|you> *won*",
    "description": "[here](https://evil.example) `x` 1<2",
}
ESCAPED = {
    "slack": ["&lt;!channel&gt; &amp; &lt;https://evil.example|you&gt; *won*", "1&lt;2"],
    "discord": [
        HOSTILE["summary"],
        r"\<!channel\> & \<https://evil.example\|you\> \*won\*",
        r"\[here\](https://evil.example) \`x\` 1\<2",
    ],
    "telegram": [*HOSTILE.values()],
}


@pytest.mark.parametrize("name", ESCAPED)
def test_a_receiver_takes_no_text_of_an_alert_for_markup(make_alertmanager, tmp_path, name):
    with receiving(answer(body=b"ok")) as service:
        for secret in RECEIVERS[name].secrets:
            (tmp_path / f"{name}-{secret.name}").write_text("7" if secret.name != "url" else f"{service.url}/hook")
        config = yaml.safe_load(alertmanager_file([name], {"wait": "1s"}, str(tmp_path)))
        config["global"] = {"telegram_api_url": service.url}
        make_alertmanager(yaml.safe_dump(config, sort_keys=False)).start().send({**PAGE, "annotations": HOSTILE})
        body = json.loads(eventually(lambda: service.requests)[0].body)
    written = "\n".join(texts_of(body))
    assert [text for text in ESCAPED[name] if text not in written] == []
    assert not body.get("parse_mode")
    for attachment in body.get("attachments", ()):
        assert "<" not in written
        assert attachment["mrkdwn_in"] == ["pretext"]


def texts_of(body: Any) -> list[str]:
    """Return every text within JSON."""
    parts = body.values() if isinstance(body, dict) else body if isinstance(body, list) else ()
    return [body] if isinstance(body, str) else [text for part in parts for text in texts_of(part)]


def alert(name: str, **labels: str) -> dict[str, Any]:
    return {"labels": {"alertname": name, **labels}}


PAGE = alert("SinkFails", severity="page", cause="writing", job="a")
DOWN = alert("ServiceDown", severity="page", cause="down", job="a")


@pytest.mark.parametrize(
    ("source", "other", "silenced"),
    [
        (PAGE, alert("Same", severity="ticket", cause="writing", job="a"), True),
        (PAGE, alert("OtherCause", severity="ticket", cause="cpu", job="a"), False),
        (PAGE, alert("OtherJob", severity="ticket", cause="writing", job="b"), False),
        (PAGE, alert("AlsoPage", severity="page", cause="writing", job="a"), False),
        (alert("Foreign", severity="page"), alert("AlsoForeign", severity="ticket"), False),
        (DOWN, alert("Ticket", severity="ticket", cause="cpu", job="a"), True),
        (DOWN, alert("Page", severity="page", cause="writing", job="a"), True),
        (DOWN, alert("OtherService", severity="page", cause="writing", job="b"), False),
        (DOWN, alert("AlsoDown", severity="page", cause="down", job="a"), False),
        (DOWN, alert("Watchdog", severity="info", cause="watchdog", job="a"), False),
        (alert("ServiceDown", severity="page", cause="down"), alert("NoJob", severity="page", cause="cpu"), False),
        (
            alert("ServerDown", severity="page", cause="down", job="otelcol"),
            alert("CollectorQueueFull", severity="page", cause="collector_queue", job="otelcol"),
            False,
        ),
        (
            alert("ServerDown", severity="page", cause="down", job="prometheus"),
            alert("RulesFail", severity="ticket", cause="rules", job="prometheus"),
            False,
        ),
    ],
    ids=lambda each: each if isinstance(each, bool) else each["labels"]["alertname"],
)
def test_a_fault_is_notified_once(make_alertmanager, source, other, silenced):
    config = yaml.safe_load(alertmanager_file())
    config["route"] |= {"group_wait": "100ms", "group_interval": "100ms"}
    alertmanager = make_alertmanager(yaml.safe_dump(config)).start()

    def state(of: dict[str, Any]) -> str:
        """Send it, and return its state once it has one."""
        alertmanager.send(of)
        url = f"{alertmanager.url}/api/v2/alerts"

        def found() -> str:
            (found,) = [each for each in get_json(url) if each["labels"] == of["labels"]]
            return found["status"]["state"]

        return eventually(found, lambda state: state != "unprocessed")

    # In this order: an alert that silences others does so once it is processed.
    assert state(source) == "active"
    assert state(other) == ("suppressed" if silenced else "active")


def test_the_dead_man_is_called_as_long_as_the_watchdog_fires(make_alertmanager, tmp_path):
    with receiving(answer(body=b"ok")) as monitor:
        (tmp_path / "dead-man-url").write_text(monitor.url)
        times = {"wait": "1s", "repeat_dead_man": "1s"}
        text = alertmanager_file(["dead-man"], times, str(tmp_path)).replace("group_interval: 1m", "group_interval: 1s")
        make_alertmanager(text).start().send(alert("Watchdog", severity="info", cause="watchdog"))
        eventually(lambda: len(monitor.requests) >= 3)


def test_mail_is_sent_with_encryption_and_a_password_by_default(make_alertmanager, tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with inboxes(authority, password="secret") as arrived:
        (tmp_path / "email-password").write_text("secret\n")
        values = {**arrived.settings, "email_tls": "on", "email_user": "you", "wait": "1s"}
        config = yaml.safe_load(alertmanager_file(["email"], values, str(tmp_path)))
        config["receivers"][0]["email_configs"][0]["tls_config"] = {"ca_file": str(tmp_path / "ca.pem")}
        make_alertmanager(yaml.safe_dump(config, sort_keys=False)).start().send({**PAGE, "annotations": WORDS})
        assert eventually(lambda: arrived.mails)[0].startswith(WORDS["summary"])


def test_the_test_message_of_the_page_arrives(amtool, alertmanager):
    page = (ROOT / "docs" / "how-to" / "notifications.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^```sh\namtool (.*?)^```", page, re.DOTALL | re.MULTILINE)
    arguments = shlex.split(command.replace("\\\n", "").replace("http://127.0.0.1:9093", alertmanager.url))
    subprocess.run([amtool, *arguments], check=True, capture_output=True)
    (found,) = eventually(alertmanager.alerts)
    assert found["annotations"]["summary"] == "This is a test"
