"""Alerts as text: thresholds, settings, runbooks, and the catalogs that they are rendered for."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from otel_ha import Attribute, Catalog, Counter, TelemetryError
from otel_ha.render.__main__ import main
from otel_ha.render.accounts import unaccounted
from otel_ha.render.alerts.alert import Alert
from otel_ha.render.alerts.groups import alerts_by_group, render_alerts
from otel_ha.render.alerts.page import render_alerts_page
from otel_ha.render.alerts.thresholds import THRESHOLDS
from otel_ha.render.catalogs import service_catalogs, united
from otel_ha.render.promql import EVERYTHING
from otel_ha.vocabulary import ingest, runtime

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"
OURS = united(service_catalogs())
ALERTS = [alert for alerts in alerts_by_group(OURS).values() for alert in alerts]
NAMES = sorted({alert.name for alert in ALERTS})
ROOMS = Counter(
    "acme.openings", unit="{opening}", description="Openings.", attributes=(Attribute("acme.room", "Room."),)
)


def rules(text: str) -> dict[str, dict]:
    return {rule["alert"]: rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]}


def test_the_files_on_disk_are_the_rendered_ones():
    file, page = ROOT / "collector-config/prometheus/otel_ha.alerts.yml", ROOT / "docs/reference/alerts.md"
    assert file.read_text(encoding="utf-8") == render_alerts(OURS), "make docs"
    assert page.read_text(encoding="utf-8") == render_alerts_page(OURS), "make docs"


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_has_a_runbook_with_the_same_sections(name):
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n\n")
    assert re.findall(r"^## (.*)", text, re.MULTILINE) == ["Likely causes", "Check", "Do"]


def test_every_runbook_has_an_alert():
    assert sorted(path.stem for path in RUNBOOKS.glob("*.md") if path.stem != "README") == NAMES


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_every_alert_says_how_urgent_it_is_and_what_it_means(alert):
    rule = rules(render_alerts(OURS))[alert.name]
    assert rule["labels"]["severity"] in {"page", "ticket", "info"}
    assert re.fullmatch(r"[a-z0-9_]+", rule["labels"]["cause"])
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"].endswith(".")
    assert not re.search(r"<\w+>", str(rule))


def test_severities_of_one_cause_differ():
    """Inhibition by cause would otherwise do nothing, or hide an alert behind its like."""
    for alert in ALERTS:
        same = [each for each in ALERTS if each.cause == alert.cause and each.severity == alert.severity == "page"]
        assert len({each.name for each in same}) <= 1 or alert.cause == "down"


def test_every_threshold_is_used_and_every_used_one_exists():
    used = {name for alert in ALERTS for name in alert.thresholds}
    assert used == {each.name for each in THRESHOLDS}


def test_a_threshold_can_be_set_and_stands_in_the_words_too():
    rule = rules(render_alerts(OURS, ["error_share_page=12.5%", "window=10m"]))["ErrorShareCritical"]
    assert rule["expr"].endswith("> 0.125")
    assert "[10m]" in rule["expr"]
    assert rule["annotations"]["description"].endswith("within 10 min ended with an error; the limit is 12.5 %.")


def test_a_later_setting_wins():
    assert (
        "> 3"
        in rules(render_alerts(OURS, ["queue_share=0.9", "descriptors=4", "descriptors=3"]))["FileDescriptorsHigh"][
            "expr"
        ]
    )


def test_the_for_of_one_alert_or_of_all_can_be_set():
    found = rules(render_alerts(OURS, ["for=1s", "ServiceDown.for=1h30m"]))
    assert found["ServiceDown"]["for"] == "1h30m"
    assert found["ConnectionDown"]["for"] == "1s"


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("error_share_page", "--set error_share_page has no value; write NAME=VALUE"),
        ("eror_share=1", "--set eror_share names nothing that can be set; allowed are for, an alert's name with .for"),
        ("=5", "--set =5 has no name; write NAME=VALUE, such as error_share_page=0.1"),
        ("=", "--set = has no name; write NAME=VALUE"),
        ("restarts=\uff15", "restarts=\uff15 is not allowed; write a number that is 0 or more"),
        ("error_share_page=\u0665%", "error_share_page=\u0665% is not allowed; write a share"),
        ("lag=\uff15s", "lag=\uff15s is not a duration"),
        ("ServiceUp.for=1s", "--set ServiceUp.for names nothing that can be set"),
        ("error_share_page=5", "error_share_page=5 is not allowed; write a share from 0 to 1, such as 0.05 or 5%"),
        ("error_share_page=500%", "error_share_page=500% is not allowed; write a share"),
        ("error_share_page=nan", "error_share_page=nan is not allowed; write a share"),
        ("restarts=-1", "restarts=-1 is not allowed; write a number that is 0 or more"),
        ("restarts=inf", "restarts=inf is not allowed; write a number that is 0 or more"),
        ("restarts=5%", "restarts=5% is not allowed; write a number that is 0 or more"),
        ("restarts=", "restarts= is not allowed; write a number that is 0 or more"),
        ("lag=10", "lag=10 is not a duration; write a number with a unit, such as 30s, 5m or 1h30m"),
        ("lag=-10s", "lag=-10s is not a duration"),
        ("lag=", "lag= is not a duration"),
        ("window=0s", "window=0s is not a duration above 0"),
        ("for=soon", "for=soon is not a duration"),
        ("ServiceDown.for=5 m", "ServiceDown.for=5 m is not a duration"),
        ("window=5m] or vector(1", "is not a duration"),
    ],
)
def test_a_wrong_setting_is_one_line_with_what_is_allowed(capsys, setting, complaint):
    with pytest.raises(SystemExit, match="2"):
        main(["alerts", "--set", setting])
    *_, line = capsys.readouterr().err.splitlines()
    assert complaint in line


def test_a_number_keeps_its_digits():
    assert "< 5000000001" in rules(render_alerts(OURS, ["disk_left=5000000001"]))["StoreDiskLow"]["expr"]


def test_runbooks_are_paths_or_links():
    assert rules(render_alerts(OURS))["SinkFails"]["annotations"]["runbook"] == "docs/runbooks/SinkFails.md"
    linked = rules(render_alerts(OURS, runbooks="https://example.org/books/"))["SinkFails"]["annotations"]
    assert linked["runbook_url"] == "https://example.org/books/SinkFails.md"
    assert "runbook" not in linked


@pytest.mark.parametrize("zero", ["-0", "-0.0", "0"])
def test_zero_has_no_sign(zero):
    assert rules(render_alerts(OURS, [f"overflow={zero}"]))["EventsOverflow"]["expr"].endswith("> 0")


@pytest.mark.parametrize(
    "address", ["https://x/{{", "not a url", "?p=1#f", "https://x/?p=1", "https://x/#f", "ftp://x", "https://", "x y"]
)
def test_an_address_of_runbooks_that_can_be_no_folder_is_one_line(capsys, address):
    with pytest.raises(SystemExit, match="2"):
        main(["alerts", f"--runbooks={address}"])
    *_, line = capsys.readouterr().err.splitlines()
    # Errors show no query of an address, which may have a password.
    assert f"--runbooks {address.partition('?')[0]}" in line
    assert "is not the address of a folder; write one such as https://example.org/runbooks" in line


def test_the_runbook_on_accounts_has_the_query_of_the_alert():
    text = " ".join((RUNBOOKS / "AccountsDiffer.md").read_text(encoding="utf-8").split())
    assert unaccounted(EVERYTHING) in text


def test_the_page_shows_a_users_text_as_written_in_one_line():
    text = "Half of {{ syncs }} take\n<window> or {<lag> less."
    objective = replace(ingest.CATALOG.objectives[0], description=text)
    page = render_alerts_page(Catalog(objective.histogram, objectives=[objective]))
    assert "misses an objective fast: Half of {{ syncs }} take <window> or {<lag> less. | `objective_missed` |" in page


def test_a_catalog_of_the_users_alone_has_alerts_on_its_own_metrics_only():
    found = rules(render_alerts(Catalog(ROOMS)))
    assert list(found) == ["SeriesFolded"]
    assert '{acme_room="_OTHER", le=""}' in found["SeriesFolded"]["expr"]
    assert "homeassistant" not in found["SeriesFolded"]["expr"]


def test_a_catalog_united_with_ours_has_the_attributes_of_both():
    expr = rules(render_alerts(OURS | Catalog(ROOMS)))["SeriesFolded"]["expr"]
    assert '{acme_room="_OTHER", le=""}' in expr
    assert '{homeassistant_source="_OTHER", le=""}' in expr


@pytest.mark.parametrize(
    ("catalog", "there", "absent"),
    [
        (runtime.CATALOG, "ServiceDown", "ServerDown"),
        (ingest.CATALOG, "Watchdog", "CpuHigh"),
        (Catalog(ingest.QUEUE_SIZE), "SeriesFolded", "QueueFilling"),
    ],
)
def test_an_alert_is_rendered_only_with_all_the_metrics_that_it_needs(catalog, there, absent):
    found = rules(render_alerts(catalog))
    assert there in found
    assert absent not in found


def test_a_catalog_without_attributes_has_no_alert_on_them():
    plain = Catalog(Counter("acme.plain", unit="{thing}", description="Things."))
    assert render_alerts(plain).endswith("groups: []\n")


def test_an_unknown_threshold_in_an_alert_is_an_error():
    alert = Alert(name="X", severity="info", cause="x", expr="up > <nothing>", summary="x", description="x")
    assert alert.thresholds == ["nothing"]


def test_the_error_is_a_telemetry_error():
    with pytest.raises(TelemetryError, match="names nothing"):
        render_alerts(OURS, ["nothing=1"])
