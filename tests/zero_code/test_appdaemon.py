"""A real AppDaemon with the apps of the page: one that measures a callback, and one that is not modified."""

import asyncio
import signal

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.home_assistant import TOKEN, home_server, state_changed, state_of
from tests.pages import ROOT, blocks
from tests.servers.running import eventually, get
from tests.zero_code.program import COMMANDS, Scrape

PAGE = ROOT / "docs" / "how-to" / "appdaemon.md"
UNMODIFIED, MEASURED = blocks(PAGE)
AS_IT_IS, BOTH = blocks(PAGE, "sh")

CONFIGURATION = """\
appdaemon:
  latitude: 0
  longitude: 0
  elevation: 0
  time_zone: UTC
  plugins:
    HASS:
      type: hass
      ha_url: {url}
      token: {token}
"""
RECEIVED = "homeassistant_event_received_total"
PROCESSED = "homeassistant_event_process_duration_seconds_count"


@pytest.fixture
def appdaemon(make_environment, tmp_path):
    """Start AppDaemon with an app of the page, on a Home Assistant: by a command, or by what the page types."""
    made = make_environment("appdaemon")

    def start(command, app, home, **environment):
        (tmp_path / "conf" / "apps").mkdir(parents=True)
        url = f"http://127.0.0.1:{home.port}"
        (tmp_path / "conf" / "appdaemon.yaml").write_text(CONFIGURATION.format(url=url, token=TOKEN), encoding="utf-8")
        apps = tmp_path / "conf" / "apps"
        (apps / "apps.yaml").write_text("lights: {module: lights, class: Lights}\n", encoding="utf-8")
        (apps / "lights.py").write_text(app, encoding="utf-8")
        if command in COMMANDS:
            return made.start(command, "appdaemon", "-c", "conf", **environment)
        return made.type(command, **environment)

    return start


@pytest.fixture
async def home():
    async with home_server() as serving:
        lights = [state_of(f"light.{name}", "off") for name in ("hall", "attic")]
        states = {"get_config": {"state": "RUNNING"}, "get_services": {}, "get_states": lights}
        serving.results.update(states)
        yield serving


def light(name, old, new):
    event = state_changed(f"light.{name}", new)
    event["data"]["old_state"] = state_of(f"light.{name}", old)
    return event


def account(text):
    """The account of the source, and the number of processes that have one, in the text of a Collector."""
    samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
    found = Scrape(((each.name, frozenset(each.labels.items())), each.value) for each in samples)
    return found.account("websocket"), {each.labels["instance"] for each in samples if each.name == RECEIVED}


async def test_a_measured_callback_counts_each_event_once(appdaemon, home):
    program = appdaemon("", MEASURED, home)
    await asyncio.to_thread(program.wait_for_output, "listening")
    await home.events(light("hall", "off", "on"), light("attic", "off", "on"), light("hall", "on", "broken"))
    scrape = await asyncio.to_thread(program.wait_for, lambda scrape: scrape.total(PROCESSED) == 3)
    assert scrape.account("websocket") == {"received": 3, "processed ok": 2, "processed error": 1}


@pytest.mark.parametrize("command", ["opentelemetry-instrument", AS_IT_IS], ids=["opentelemetry-instrument", "otel-ha"])
async def test_an_unmodified_app_has_each_event_counted_once(appdaemon, home, command):
    program = appdaemon(command, UNMODIFIED, home, OTEL_SERVICE_NAME="appdaemon")
    await asyncio.to_thread(program.wait_for_output, "listening")
    await home.events(light("hall", "off", "on"), light("attic", "off", "on"), light("hall", "on", "off"))
    await asyncio.to_thread(program.wait_for_output, "light.hall is off")
    scrape = await asyncio.to_thread(program.wait_for, lambda scrape: scrape.total(PROCESSED) == 3)
    assert scrape.account("websocket") == {"received": 3, "processed ok": 3}
    assert scrape.total(PROCESSED, domain="light") == 3
    assert scrape.total("homeassistant_connection_active", connection_kind="websocket") == 1
    assert scrape.total("target_info", service_name="appdaemon") == 1


async def test_an_app_that_measures_itself_counts_once_without_the_instrumentation(appdaemon, home):
    program = appdaemon(BOTH, MEASURED, home)
    await asyncio.to_thread(program.wait_for_output, "listening")
    await home.events(light("hall", "off", "on"), light("attic", "off", "on"), light("hall", "on", "broken"))
    scrape = await asyncio.to_thread(program.wait_for, lambda scrape: scrape.total(PROCESSED) == 3)
    assert scrape.account("websocket") == {"received": 3, "processed ok": 2, "processed error": 1}
    assert scrape.total("target_info", service_name="lights") == 1  # as the app's own set-up names it


@pytest.mark.parametrize("app", [MEASURED, UNMODIFIED], ids=["measured", "unmodified"])
async def test_counts_arrive_once_when_appdaemon_ends(appdaemon, home, otelcol, app):
    push = {
        "OTEL_METRICS_EXPORTER": "otlp,prometheus",
        "OTEL_EXPORTER_OTLP_ENDPOINT": otelcol.otlp_http_endpoint,
        "OTEL_METRIC_EXPORT_INTERVAL": "3600000",  # only the push at the end falls within the test
    }
    program = appdaemon("" if app == MEASURED else "otel-ha run", app, home, **push)
    await asyncio.to_thread(program.wait_for_output, "listening")
    await home.events(light("hall", "off", "on"), light("attic", "off", "on"))
    await asyncio.to_thread(program.wait_for, lambda scrape: scrape.total(PROCESSED) == 2)
    await asyncio.to_thread(program.stop, signal.SIGTERM)
    arrived, instances = await asyncio.to_thread(
        eventually, lambda: account(get(otelcol.prometheus_url)), lambda found: found[0]
    )
    assert arrived == {"received": 2, "processed ok": 2}
    assert len(instances) == 1
