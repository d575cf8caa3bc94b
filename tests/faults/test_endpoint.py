"""Clients that attack the endpoint of a service at work: they get nothing but their own connections."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests import hostile_clients as clients
from tests.faults import attacked
from tests.faults.endpoint import Costs, await_rest, scrape, stored_in
from tests.hostile_clients import attacking
from tests.integration.flow import balance, counts_of
from tests.receivers import Receiver, answer, receiving
from tests.servers.running import eventually

TOPIC = "Endpoint"
CLIENTS = 48
"""More than the places, of which there are 32."""
CROWD = 400
REFUSED = {408, 503}

ATTACKS = {
    "clients that say nothing": [clients.says_nothing],
    "clients that keep answered connections open": [clients.keeps_an_answered_connection],
    "clients that close their half of the connection": [clients.half_closes, clients.half_closes_in_the_middle],
    "clients that reset connections": [
        clients.resets_at_once,
        clients.resets_in_the_middle_of_the_request,
        clients.resets_before_the_answer,
        clients.resets_in_the_middle_of_the_answer,
    ],
}
ATTACKS_ON_LARGE_ANSWERS = {
    "clients that do not read": [clients.reads_nothing],
    "clients that read slowly": [clients.reads_slowly],
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(answer()) as receiver:
        yield receiver


def started(start, receiver, **more: str):
    """Start the service; an ordinary machine is slow under attack, so a push has 5 s."""
    settings = {"OTEL_METRIC_EXPORT_INTERVAL": "5000", "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, **more}
    service = start("--rate=1000", **settings)
    service.port = int(service.target.split(":")[1])
    service.wait_for_events(100)
    return service


def add_row(table, service, receiver, fault: str, note: str = "") -> None:
    account = service.stop()
    lines = service.log_lines()
    table.add(account.outcome(fault, TOPIC, stored_in(receiver), log_lines=len(lines), note=note))


def attack_twice(service, behaviours) -> None:
    """Attack, scrape meanwhile, and attack again: the second attack must leave nothing behind."""
    for again in (False, True):
        before = Costs.at_rest(service)
        with attacking(service.port, CLIENTS, *behaviours):
            for _ in range(3):
                service.wait_for_events(200)
                scrape(service)
        if again:
            await_rest(service, before)


@pytest.mark.parametrize("fault", ATTACKS)
def test_an_attack_leaves_nothing_behind_and_scrapes_get_through(start, receiver, table, fault):
    service = started(start, receiver)
    attack_twice(service, ATTACKS[fault])
    add_row(table, service, receiver, f"{CLIENTS} {fault}")


@pytest.mark.parametrize("fault", ATTACKS_ON_LARGE_ANSWERS)
def test_clients_that_do_not_take_large_answers_leave_places_for_scrapes(start, receiver, table, fault):
    service = started(start, receiver, module="tests.faults.attacked", **attacked.SETTINGS)
    attack_twice(service, ATTACKS_ON_LARGE_ANSWERS[fault])
    add_row(table, service, receiver, f"{CLIENTS} {fault} an answer of 4 MB")


@pytest.mark.servers
def test_prometheus_scrapes_while_slow_clients_take_all_places(start, receiver, make_prometheus, table):
    service = started(start, receiver)
    before = Costs.at_rest(service)
    prometheus = make_prometheus(rules=[]).start()
    with attacking(service.port, CLIENTS, clients.drips):
        # Every place is taken before the first scrape.
        eventually(lambda: Costs.of(service).descriptors, lambda found: found >= before.descriptors + 32)
        prometheus.scrape("ha-ingestor", service.target)
        query = 'sum(count_over_time((up{job="ha-ingestor"} == 1)[5m:1s]))'
        eventually(lambda: prometheus.query(query), lambda found: found and found[0][1] >= 5, timeout=60)
    prometheus.stop()
    await_rest(service, before)
    add_row(table, service, receiver, f"{CLIENTS} clients that send a byte a second, while Prometheus scrapes")


async def ask(session: aiohttp.ClientSession, url: str, path: str) -> tuple[int, str]:
    """Return the status and the text of a page; a shortened one is an error of aiohttp's."""
    accept = "text/html" if path == "/" else "*/*"
    async with session.get(url + path, headers={"Accept": accept}) as response:
        return response.status, await response.text()


def is_whole(path: str, text: str) -> bool:
    """Whether an answer is whole, and consistent if it has events."""
    if path == "/metrics":
        samples = (s for family in text_string_to_metric_families(text) for s in family.samples)
        return balance(counts_of((s.name, s.labels, s.value) for s in samples)) == 0
    if path == "/":
        return text.startswith("<!DOCTYPE html>") and text.rstrip().endswith("</html>")
    found = json.loads(text)
    return found["accounts"]["total"]["difference"] == 0 if path == "/summary" else found["status"] == "ok"


async def crowd(url: str, paths: list[str]) -> list[tuple[int, str]]:
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        return await asyncio.gather(*(ask(session, url, path) for path in paths))


def test_each_of_400_clients_at_once_gets_a_whole_answer_or_a_refusal(start, receiver, table):
    service = started(start, receiver)
    url = service.metrics_url.removesuffix("/metrics")
    paths = ["/metrics", "/", "/summary", "/healthz"] * (CROWD // 4)
    before = Costs.at_rest(service)
    answers = asyncio.run(crowd(url, paths))
    answered = Counter(path for path, (status, _) in zip(paths, answers, strict=True) if status == 200)
    assert set(answered) == set(paths)
    assert {status for status, _ in answers} <= {200, *REFUSED}
    for path, (status, text) in zip(paths, answers, strict=True):
        assert status in REFUSED or is_whole(path, text), (path, text)
    before = Costs.at_rest(service)
    asyncio.run(crowd(url, paths))
    await_rest(service, before)
    add_row(table, service, receiver, f"{CROWD} requests at once", f"{answered.total()} answered, the others refused")
