"""Plain lines: one for each service, stable, and safe."""

import json
import math
from datetime import UTC, datetime

import pytest

from otel_ha.cli.top.plain import json_line, text_line
from otel_ha.cli.top.watch import Service
from tests.watched import HOSTILE, health, service

TAKEN = datetime(2026, 11, 26, 12, 0, 5, tzinfo=UTC)
URL = "http://127.0.0.1:9464"


def line(found: Service, now: float = 0.0) -> str:
    return text_line(found, TAKEN, now)


def gone() -> Service:
    found = service()
    found.failed("Connection refused", 0.0)
    return found


def test_a_line_has_the_time_the_url_and_figures_without_spaces():
    assert line(service()) == (
        f"2026-11-26T12:00:05Z {URL} service=ha-ingestor status=ok rate=12.3/s p50=820µs p95=4.21ms p99=12.9ms "
        "errors=1.23% discarded=1/s lag=123ms queue=17 queue_use=1.7% in_flight=19 points=20.1/s down=1 cpu=3.4% "
        "memory=81.5MiB up=3h20min"
    )


def test_a_service_that_is_gone_has_a_reason_and_no_figures():
    assert line(gone(), now=12.0).endswith('status=gone reason="connection refused"')


def test_a_service_that_never_answered_goes_by_its_address():
    found = Service(URL)
    found.failed("Connection refused", 0.0)
    assert f'{URL} service={URL} status="no data" reason="connection refused"' in line(found)


def test_a_service_that_has_not_answered_yet_says_so():
    found = Service(URL, asked=0.0)
    assert 'status="no data" reason="no answer yet"' in line(found)
    assert json.loads(json_line(found, TAKEN))["error"] == "no answer yet"


def test_the_first_reason_of_a_degraded_service_is_on_its_line():
    assert "status=degraded" in (found := line(service(health=health("degraded", reasons=["push: refused"]))))
    assert found.endswith('reason="push: refused"')


def test_another_major_version_is_the_reason():
    assert 'reason="it answers with schema 3.0' in line(service(schema_version="3.0"))


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_name_stays_one_line_of_text(name):
    found = service(name=name)
    assert line(found).isprintable()
    assert json_line(found, TAKEN).isprintable()
    assert json.loads(json_line(found, TAKEN))["service"] == name
    found.failed(name, 0.0)
    assert line(found).isprintable()


def test_an_object_of_json_has_the_figures_but_not_the_history():
    found = json.loads(json_line(service(), TAKEN))
    assert (found["time"], found["url"], found["error"]) == (TAKEN.timestamp(), URL, None)
    assert math.isclose(found["p95"], 4.21e-3)
    assert found["outcomes"]["error"] == 0.15
    assert found["accounts"]["difference"] == 0
    assert [each["name"] for each in found["connections"]] == ["mqtt", "hass"]
    assert "history" not in found


def test_an_object_of_json_without_an_answer_has_an_error_and_no_figures():
    found = json.loads(json_line(gone(), TAKEN))
    expected = {"url": URL, "error": "Connection refused", "status": "gone", "service": "ha-ingestor"}
    assert found == {"time": TAKEN.timestamp(), **expected}
