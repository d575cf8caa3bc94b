"""Alerts on a phone: Alertmanager, the automation blueprint in a real Home Assistant, and its companion app's push."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from otel_ha.render.alertmanager import alertmanager_file
from tests.receivers import Receiver, answer, receiving
from tests.servers.alertmanager import Alertmanager
from tests.servers.fixtures import needed
from tests.servers.home_assistant import HomeAssistant
from tests.servers.locate import ROOT
from tests.servers.running import eventually, post

pytestmark = [pytest.mark.servers, pytest.mark.homeassistant, pytest.mark.timeout(120)]

BLUEPRINT = ROOT / "collector-config" / "home-assistant" / "alert_notification.yaml"
WEBHOOK_ID = "0123456789abcdef"


@pytest.fixture(scope="module")
def phone() -> Iterator[Receiver]:
    """The service that delivers notifications to a phone."""
    with receiving(answer("201 Created", b"{}", Content_Type="application/json")) as push:
        yield push


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, phone: Receiver) -> Iterator[HomeAssistant]:
    """A Home Assistant with one user and one phone."""
    home = HomeAssistant(needed("hass"), tmp_path_factory.mktemp("home-assistant")).start()
    try:
        home.create_user()
        home.register_phone("phone", f"{phone.url}/push")
        yield home
    finally:
        home.stop()


@pytest.fixture(scope="module", autouse=True)
def automation(home: HomeAssistant) -> None:
    """Import the blueprint from a URL and make an automation of it, as Home Assistant's pages do."""
    with receiving(answer(body=BLUEPRINT.read_bytes())) as site:
        found = home.ask(type="blueprint/import", url=f"{site.url}/{BLUEPRINT.name}")
    assert found["validation_errors"] is None
    path = f"{found['suggested_filename']}.yaml"
    home.ask(type="blueprint/save", domain="automation", path=path, yaml=found["raw_data"])
    inputs = {"webhook_id": WEBHOOK_ID, "notify_action": "notify.mobile_app_phone"}
    home.request(
        "/api/config/automation/config/alerts",
        {"id": "alerts", "alias": "Alerts", "use_blueprint": {"path": path, "input": inputs}},
    )


@pytest.fixture
def alertmanager(make_alertmanager, home: HomeAssistant, tmp_path) -> Alertmanager:
    """An Alertmanager that notifies Home Assistant at once."""
    (tmp_path / "home-assistant-url").write_text(home.webhook_url(WEBHOOK_ID))
    times = {"wait": "1s", "interval": "1s"}
    return make_alertmanager(alertmanager_file(["home-assistant"], times, str(tmp_path))).start()


def alert(name: str, severity: str = "page", **annotations: str) -> dict[str, Any]:
    labels = {"alertname": name, "severity": severity, "cause": name.lower(), "job": "ha-ingestor"}
    return {"labels": labels, "annotations": annotations}


def resolved(firing: dict[str, Any]) -> dict[str, Any]:
    return {**firing, "endsAt": datetime.now(UTC).isoformat()}


def notifications(phone: Receiver) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in list(phone.requests)]


def titled(phone: Receiver, title: str) -> dict[str, Any]:
    """Wait for the notification with this title."""
    shown = eventually(lambda: [each for each in notifications(phone) if each.get("title") == title])
    return shown[0]


def cleared(phone: Receiver) -> set[str]:
    return {each["data"]["tag"] for each in notifications(phone) if each["message"] == "clear_notification"}


def test_each_alert_of_a_group_is_a_notification_of_its_own(alertmanager, phone):
    alertmanager.send(alert("Lag", summary="States are late", description="By 9 s."), alert("Full", summary="Full"))
    late, full = titled(phone, "States are late"), titled(phone, "Full")
    assert late["message"] == "By 9 s."
    assert late["data"]["tag"] != full["data"]["tag"]


def test_a_resolved_alert_removes_its_notification_and_no_other(alertmanager, phone):
    away, slow = alert("Away", summary="Sink away"), alert("Slow", summary="Sink slow")
    alertmanager.send(away, slow)
    tag, other = titled(phone, "Sink away")["data"]["tag"], titled(phone, "Sink slow")["data"]["tag"]
    alertmanager.send(resolved(away))
    assert other not in eventually(lambda: cleared(phone), lambda tags: tag in tags)


def test_a_page_is_urgent_and_a_ticket_is_not(alertmanager, phone):
    alertmanager.send(alert("One", summary="A page"), alert("Two", "ticket", summary="A ticket"))
    page, ticket = titled(phone, "A page")["data"], titled(phone, "A ticket")["data"]
    # Without it, FCM keeps a notification for a phone that sleeps.
    assert "ttl" not in page
    assert (page["importance"], page["priority"]) == ("high", "high")
    assert (ticket["importance"], ticket["priority"]) == ("default", "normal")
    assert page["push"] == {"interruption-level": "time-sensitive"}
    assert ticket["push"] == {"interruption-level": "active"}
    assert page["channel"] != ticket["channel"]


def test_a_tap_opens_the_runbook(alertmanager, phone):
    url = "https://example.org/docs/runbooks/Lag.md"
    alertmanager.send(alert("Runbook", summary="With a runbook", runbook_url=url))
    opened = titled(phone, "With a runbook")["data"]
    assert opened["clickAction"] == opened["url"] == url


def test_an_alert_of_another_origin_is_shown_by_its_name(alertmanager, phone):
    alertmanager.send({"labels": {"alertname": "SomeoneElses"}})
    shown = titled(phone, "SomeoneElses")
    assert shown["message"] == "SomeoneElses"
    assert shown["data"]["importance"] == "default"


@pytest.mark.parametrize(
    ("body", "kind"),
    [("", "text/plain"), ("a=1", "application/x-www-form-urlencoded"), ('{"alerts": []}', "application/json")],
)
def test_a_post_without_alerts_does_no_harm(alertmanager, home, phone, body, kind):
    post(home.webhook_url(WEBHOOK_ID), body, kind)
    title = f"After {kind} at {time.monotonic()}"
    alertmanager.send(alert("After", summary=title))
    assert titled(phone, title)
    assert "[homeassistant.components.automation" not in home.log.read_text(), "it warns of the automation"
