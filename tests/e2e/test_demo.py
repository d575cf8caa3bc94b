"""The demo, run as `make demo` runs it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from examples.demo.figures import quantile
from examples.demo.home import Sent
from examples.demo.household import furnish
from examples.demo.verdict import Verdict, lines_in
from examples.ingestor.accounting import accounting
from tests.servers.running import get

ROOT = Path(__file__).parents[2]


def start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "examples.demo", "--port", "0", *arguments],
        cwd=ROOT,
        # No Collector is to answer, whatever else runs on this machine.
        env={"PATH": os.environ["PATH"], "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def ended() -> tuple[subprocess.Popen[str], str, str]:
    """A demo of five seconds: the process, its output and its log."""
    process = start("--duration", "5", "--json", "--seed", "7")
    return process, *process.communicate(timeout=50)


def test_the_demo_ends_well_and_adds_up(ended):
    process, output, log = ended
    assert process.returncode == 0, log
    assert json.loads(output)["adds_up"] is True


def test_json_is_all_that_stdout_holds(ended):
    assert len(ended[1].splitlines()) == 1


def test_received_is_processed_and_discarded_and_in_flight(ended):
    found = json.loads(ended[1])
    assert found["received"] == sum(found["processed"].values()) + sum(found["discarded"].values())
    assert found["in_flight"] == 0


def test_everything_that_the_home_sent_was_received(ended):
    found = json.loads(ended[1])
    assert found["received"] == found["home"]["retained"] + found["home"]["live"] > 500


def test_the_file_holds_a_line_for_each_point(ended):
    found = json.loads(ended[1])
    path = Path(found["file"]["path"])
    assert lines_in(path) == found["file"]["lines"] == found["points"]["ok"] == found["processed"]["ok"]


def test_duplicates_malformed_payloads_and_history_occur(ended):
    found = json.loads(ended[1])
    assert set(found["discarded"]) == {"duplicate", "filtered", "invalid", "retained"}


def test_without_a_collector_one_line_says_so(ended):
    assert len(re.findall("Collector", ended[2])) == 1


def test_without_a_terminal_there_are_plain_lines(ended):
    assert re.search(r"^\[ +\d+ s\] .*received", ended[2], re.MULTILINE)
    assert "\x1b" not in ended[2]


def test_a_signal_ends_the_demo_early_and_it_adds_up():
    process = start("--duration", "60", "--json")
    line = next(line for line in process.stderr if line.startswith("Metrics: "))
    url = line.removeprefix("Metrics: ").strip()
    while accounting(get(url)).processed.total() < 50:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    output, log = process.communicate(timeout=20)
    assert process.returncode == 0, log
    assert json.loads(output)["adds_up"] is True


def test_the_invariant_holds_at_every_scrape_of_the_demo():
    process = start("--duration", "60", "--json", "--rate", "800")
    line = next(line for line in process.stderr if line.startswith("Metrics: "))
    url = line.removeprefix("Metrics: ").strip()
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


def test_an_accounting_that_does_not_add_up_says_so():
    text = "homeassistant_event_received_total 5\nhomeassistant_event_in_flight 1\n"
    verdict = Verdict(accounting(text), Sent(retained=1, live=4), None, None)
    assert not verdict.adds_up
    assert next(check.claim for check in verdict.checks if not check.holds).startswith(
        "received = processed + discarded + in flight: 5 ≠ 0 processed"
    )


def test_the_same_seed_makes_the_same_home():
    import random  # noqa: PLC0415

    assert furnish(random.Random(3)) == furnish(random.Random(3)) != furnish(random.Random(4))


def test_the_home_is_nearly_all_sensors():
    import random  # noqa: PLC0415

    entities = furnish(random.Random(1))
    assert len(entities) == 350
    assert sum(entity.domain == "sensor" for entity in entities) / len(entities) >= 0.98
    assert len({entity.topic() for entity in entities}) == 350


def test_a_quantile_is_estimated_as_prometheus_does():
    buckets = [(0.1, 10.0), (0.2, 20.0), (float("inf"), 20.0)]
    assert [quantile(q, buckets) for q in (0.25, 0.5, 0.75)] == pytest.approx([0.05, 0.1, 0.15])


def test_a_quantile_beyond_the_last_bound_is_that_bound():
    assert quantile(0.99, [(0.1, 1.0), (float("inf"), 20.0)]) == 0.1


def test_a_quantile_of_nothing_is_none():
    assert quantile(0.5, []) != quantile(0.5, [])
