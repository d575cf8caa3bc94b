"""The demo, run as `make demo` runs it."""

import asyncio
import io
import json
import math
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from examples.demo.home import Sent
from examples.demo.household import furnish
from examples.demo.play import read
from examples.demo.reading import bucket_quantile, reading
from examples.demo.surroundings import surroundings
from examples.demo.verdict import Verdict, lines_in
from examples.demo.view import View
from examples.ingestor.accounting import accounting
from otel_ha import TelemetryConfig, setup_telemetry
from otel_ha.vocabulary import ingest
from tests.e2e.terminal import STYLE, Terminal
from tests.servers.running import get

ROOT = Path(__file__).parents[2]


def start(*arguments: str, port: int | None = 0, **variables: str) -> subprocess.Popen[str]:
    at = () if port is None else ("--port", str(port))
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "examples.demo", *at, *arguments],
        cwd=ROOT,
        # At this address no Collector answers, even if one runs on this machine.
        env={"PATH": os.environ["PATH"], "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def address_of(process: subprocess.Popen[str]) -> str:
    """The address in the first line, which must be that of the page."""
    line = process.stderr.readline()
    assert re.fullmatch(r"Look: http://127\.0\.0\.1:\d+/\n", line), line
    return line.removeprefix("Look: ").strip()


@pytest.fixture(scope="module")
def ended(tmp_path_factory) -> tuple[subprocess.Popen[str], str, str]:
    """A finished demo of five seconds: the process, its stdout and its stderr."""
    process = start("--duration", "5", "--json", "--seed", "7", "--keep", TMPDIR=str(tmp_path_factory.mktemp("kept")))
    return process, *process.communicate(timeout=50)


def test_the_demo_exits_with_0_and_adds_up(ended):
    process, output, log = ended
    assert process.returncode == 0, log
    assert json.loads(output)["adds_up"] is True


def test_stdout_holds_nothing_but_the_json_object(ended):
    assert len(ended[1].splitlines()) == 1


def test_received_events_are_processed_discarded_or_in_flight(ended):
    found = json.loads(ended[1])
    assert found["received"] == sum(found["processed"].values()) + sum(found["discarded"].values())
    assert found["in_flight"] == 0


def test_every_message_of_the_home_is_received(ended):
    found = json.loads(ended[1])
    assert found["received"] == found["home"]["retained"] + found["home"]["live"] > 500


def test_the_file_holds_a_line_for_each_point(ended):
    found = json.loads(ended[1])
    path = Path(found["file"]["path"])
    assert lines_in(path) == found["file"]["lines"] == found["points"]["ok"] == found["processed"]["ok"]


def test_events_are_discarded_for_every_usual_reason(ended):
    found = json.loads(ended[1])
    # On a busy machine, the home may send so little that nothing is malformed.
    malformed = {"invalid"} if found["home"]["malformed"] else set()
    assert set(found["discarded"]) == {"duplicate", "filtered", "retained"} | malformed


def test_a_missing_collector_is_reported_in_one_line(ended):
    assert len(re.findall("Collector", ended[2])) == 1


def test_the_output_is_plain_lines_without_a_terminal(ended):
    assert re.search(r"^\[ +\d+ s\] .*received", ended[2], re.MULTILINE)
    assert "\x1b" not in ended[2]


def test_the_output_ends_with_the_checks_and_the_addresses(ended):
    found = json.loads(ended[1])
    lines = ended[2].splitlines()
    assert [line for line in lines if line.startswith("✓")] == [f"✓ {check['claim']}" for check in found["checks"]]
    assert "It adds up." in lines
    assert lines[-1] == f"The points are in {found['file']['path']}"
    assert max(map(len, lines[lines.index("It adds up.") - 7 : -1])) <= 80


def test_the_first_line_is_the_address_of_the_page_which_stays_up_until_the_end():
    with start("--duration", "3") as process:
        address = process.stdout.readline().removeprefix("Look: ").strip()
        line = ""
        while "It adds up." not in line:
            assert "metrics" in get(address)
            line = process.stdout.readline()
        process.communicate(timeout=20)
    assert process.returncode == 0


def test_the_file_of_points_is_removed_at_the_end(tmp_path):
    process = start("--duration", "2", TMPDIR=str(tmp_path))
    output, log = process.communicate(timeout=50)
    assert process.returncode == 0, log
    assert f"Points: {tmp_path}/otel-ha-demo-" in output
    assert output.splitlines()[-1] == "The file of points is removed; --keep keeps it"
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_without_unicode_gets_the_same_verdict(tmp_path):
    process = start("--duration", "1", PYTHONIOENCODING="ascii", TMPDIR=str(tmp_path))
    output, log = process.communicate(timeout=50)
    assert (process.returncode, log) == (0, "")
    assert "It adds up." in output
    assert output.isascii()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_file_of_points_is_removed_after_a_signal(tmp_path, number):
    process = start("--duration", "60", "--json", TMPDIR=str(tmp_path))
    next(line for line in process.stderr if line.startswith("Points: "))
    process.send_signal(number)
    output, log = process.communicate(timeout=50)
    assert process.returncode == 0, log
    assert json.loads(output)["file"]["kept"] is False
    assert list(tmp_path.iterdir()) == []


def test_a_taken_port_is_replaced_and_reported_after_the_address():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start("--duration", "1", "--json", port=None, OTEL_EXPORTER_PROMETHEUS_PORT=str(port))
        _, log = process.communicate(timeout=50)
    assert process.returncode == 0, log
    first, *others = log.splitlines()
    assert re.fullmatch(r"Look: http://127\.0\.0\.1:\d+/", first)
    assert f":{port}/" not in first
    assert f"Port {port} is in use: the page and the metrics are on a free port." in others


def test_a_port_that_is_taken_although_it_was_asked_for_is_reported_first():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start("--duration", "1", "--json", port=taken.getsockname()[1])
        _, log = process.communicate(timeout=50)
    assert process.returncode == 0, log
    assert "Look: nowhere, as the port of the page could not be opened; --port 0 takes a free one" in log


def test_a_terminal_of_80x24_shows_the_whole_table_and_the_address():
    command = [sys.executable, "-m", "examples.demo", "--port", "0", "--duration", "4"]
    with Terminal(command, PYTHONPATH=str(ROOT), OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1") as terminal:
        assert terminal.end() == 0
    text = STYLE.sub("", terminal.written)
    frames = re.findall(r"\x1b\[2K +(Look: [^\x1b]*?[0-9] of 4 s)", text)
    assert len(frames) > 3
    assert all("lag from state to store" in frame and "Queue: " in frame for frame in frames)
    assert max(len(frame.splitlines()) for frame in frames) <= 23
    assert "…" not in text


def test_the_accounting_adds_up_after_a_signal():
    process = start("--duration", "60", "--json")
    url = f"{address_of(process)}metrics"
    while accounting(get(url)).processed.total() < 50:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    output, log = process.communicate(timeout=20)
    assert process.returncode == 0, log
    assert json.loads(output)["adds_up"] is True


def test_the_invariant_holds_at_every_scrape_of_the_demo():
    process = start("--duration", "60", "--json", "--rate", "800")
    url = f"{address_of(process)}metrics"
    seen = []
    for _ in range(40):
        seen.append(accounting(get(url)))
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    output, log = process.communicate(timeout=20)
    assert process.returncode == 0, output + log
    assert json.loads(output)["adds_up"] is True
    assert [str(account) for account in seen if not account.adds_up] == []
    assert seen[-1].received > seen[0].received


def test_a_verdict_shows_the_equation_that_does_not_hold():
    text = "homeassistant_event_received_total 5\nhomeassistant_event_in_flight 1\n"
    verdict = Verdict(accounting(text), Sent(retained=1, live=4), None, None)
    assert not verdict.adds_up
    assert next(check.claim for check in verdict.checks if not check.holds).startswith(
        "5 events received ≠ 0 processed + 0 discarded + 1 in flight"
    )


def test_the_same_seed_makes_the_same_home():
    assert furnish(random.Random(3)) == furnish(random.Random(3)) != furnish(random.Random(4))


def test_nearly_all_entities_of_the_home_are_sensors():
    entities = furnish(random.Random(1))
    assert len(entities) == 350
    assert sum(entity.domain == "sensor" for entity in entities) / len(entities) >= 0.98
    assert len({entity.topic() for entity in entities}) == 350


def test_a_quantile_equals_prometheus_estimate():
    buckets = [(0.1, 10.0), (0.2, 20.0), (float("inf"), 20.0)]
    assert [bucket_quantile(q, buckets) for q in (0.25, 0.5, 0.75)] == pytest.approx([0.05, 0.1, 0.15])


def test_a_quantile_above_the_last_bound_is_that_bound():
    assert bucket_quantile(0.99, [(0.1, 1.0), (float("inf"), 20.0)]) == 0.1


def test_a_quantile_of_empty_buckets_is_nan():
    assert math.isnan(bucket_quantile(0.5, []))


REASONS = ("duplicate", "expired", "filtered", "invalid", "overflow", "retained", "unsupported", "other")
FULL = "\n".join(
    [
        *(
            f'homeassistant_event_process_duration_seconds_count{{homeassistant_outcome="{outcome}"}} 1e6'
            for outcome in ("ok", "error", "cancelled")
        ),
        *(
            f'homeassistant_event_discarded_total{{homeassistant_discard_reason="{reason}"}} {2**number}'
            for number, reason in enumerate(REASONS)
        ),
        *(f'homeassistant_point_written_total{{homeassistant_outcome="{outcome}"}} 1' for outcome in ("ok", "error")),
        "homeassistant_event_received_total 2000000",
        "",
    ]
)


def test_the_quantiles_are_those_of_the_status_page_where_the_history_is_on():
    settings = TelemetryConfig(metrics_exporters=("prometheus",), prometheus_port=0, environ={})
    with setup_telemetry(config=settings) as telemetry:
        for seconds in (0.03, 0.03, 0.06):
            ingest.EVENT_DURATION.record(seconds, source="mqtt", outcome="ok")
        now = asyncio.run(read(telemetry))
        shown = telemetry.summary()["current"]["performance"]
    assert [1e3 * value for value in now.quantiles["process"].values()] == pytest.approx(
        [shown[f"p{percent}_processing_time"] for percent in (50, 95, 99)]
    )
    assert math.isnan(now.quantiles["write"][0.5])


def test_without_a_history_the_quantiles_are_those_of_prometheus():
    with setup_telemetry(
        config=TelemetryConfig(metrics_exporters=("prometheus",), environ={}, prometheus_port=0, history_length=0)
    ) as telemetry:
        ingest.EVENT_DURATION.record(0.03, source="mqtt", outcome="ok")
        text = telemetry.prometheus_text()
        assert asyncio.run(read(telemetry)).quantiles["process"] == reading(text).quantiles["process"]
        assert not math.isnan(reading(text).quantiles["process"][0.95])


def drawn(height: int) -> list[str]:
    now = reading(FULL)
    console = Console(width=80, height=height, record=True, file=io.StringIO())
    parts = View(console, 30, "Look: http://127.0.0.1:9464/")._parts(now, now)
    console.print(*parts, sep="\n")
    return console.export_text().splitlines()


def test_the_live_table_fits_into_80x24_with_every_kind_of_row():
    lines = drawn(24)
    assert len(lines) <= 23
    assert [line for line in lines if "…" in line or len(line) > 80] == []
    assert any("processed, cancelled" in line and "1,000,000" in line for line in lines)
    assert any(re.search(r"discarded, other reasons +15 ", line) for line in lines)
    assert not any("discarded, invalid" in line for line in lines)


def test_a_higher_terminal_shows_every_reason():
    lines = drawn(40)
    assert all(any(f"discarded, {reason}" in line for line in lines) for reason in REASONS)
    assert not any("other reasons" in line for line in lines)


@pytest.mark.parametrize(
    ("exporter", "pushes"), [("prometheus", False), ("console", False), ("otlp", True), ("otlp,prometheus", True)]
)
def test_the_demo_pushes_only_if_the_exporters_say_so(monkeypatch, exporter, pushes):
    with socket.create_server(("127.0.0.1", 0)) as collector:
        endpoint = f"http://127.0.0.1:{collector.getsockname()[1]}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        monkeypatch.setenv("OTEL_METRICS_EXPORTER", exporter)
        around = surroundings(0)
    assert around.otlp == (f"{endpoint}/v1/metrics" if pushes else None)
    assert around.config.metrics_exporters == (("otlp", "prometheus") if pushes else ("prometheus",))
    assert around.notes == ()
