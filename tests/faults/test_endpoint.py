"""Clients that attack the endpoint of a service at work: they get nothing but their own connections."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from functools import partial

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests import hostile_clients as clients
from tests.faults.attacked import SETTINGS
from tests.faults.endpoint import Attacked
from tests.hostile_clients import Behaviour, attacking
from tests.integration.flow import balance, counts_of
from tests.servers.running import eventually

# On a busy machine, clients that do not read take a minute and a half.
pytestmark = pytest.mark.timeout(400)

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


def attack(attacked: Attacked, behaviours: list[Behaviour]) -> None:
    """Attack while the service handles events and is scraped."""
    with attacking(attacked.port, CLIENTS, *behaviours):
        for _ in range(2):
            attacked.service.wait_for_events(200)
            attacked.scrape()


@pytest.mark.parametrize("fault", ATTACKS)
def test_an_attack_leaves_nothing_behind_and_scrapes_get_through(attack_on, fault, table):
    attacked = attack_on()
    attacked.attack_twice(partial(attack, attacked, ATTACKS[fault]))
    attacked.add_row(table, f"{CLIENTS} {fault}")


@pytest.mark.parametrize("fault", ATTACKS_ON_LARGE_ANSWERS)
def test_clients_that_do_not_take_large_answers_leave_places_for_scrapes(attack_on, fault, table):
    attacked = attack_on(module="tests.faults.attacked", **SETTINGS)
    attacked.attack_twice(partial(attack, attacked, ATTACKS_ON_LARGE_ANSWERS[fault]))
    attacked.add_row(table, f"{CLIENTS} {fault} answers of 4 MB")


@pytest.mark.servers
def test_prometheus_scrapes_while_slow_clients_take_all_places(attack_on, make_prometheus, table):
    attacked = attack_on()
    before = attacked.costs_at_rest()
    prometheus = make_prometheus(rules=[]).start()
    with attacking(attacked.port, CLIENTS, clients.drips):
        # Every place is taken before the first scrape.
        eventually(lambda: attacked.costs().descriptors, lambda found: found >= before.descriptors + 32)
        prometheus.scrape("ha-ingestor", attacked.service.target)
        succeeded = 'sum(count_over_time((scrape_samples_scraped{job="ha-ingestor"} > 0)[5m:1s]))'
        eventually(lambda: prometheus.query(succeeded), lambda found: found and found[0][1] >= 5, timeout=60)
    prometheus.stop()
    attacked.await_rest(before)
    attacked.add_row(table, f"{CLIENTS} clients that send a byte a second, while Prometheus scrapes")


async def ask(session: aiohttp.ClientSession, path: str) -> tuple[str, int, str]:
    """Return the path of a page, and the status and the text that came; a text that ends early is an error."""
    accept = "text/html" if path == "/" else "*/*"
    async with session.get(path, headers={"Accept": accept}) as response:
        return path, response.status, await response.text()


async def ask_at_once(url: str, paths: list[str]) -> list[tuple[str, int, str]]:
    # Without a limit of connections, and with one of time, after which a client would have been left hanging.
    connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(url, connector=connector, timeout=timeout) as session:
        return await asyncio.gather(*(ask(session, path) for path in paths))


def is_whole(path: str, text: str) -> bool:
    """Whether an answer is whole, and consistent if it has events."""
    if path == "/metrics":
        samples = (s for family in text_string_to_metric_families(text) for s in family.samples)
        counts = counts_of((s.name, s.labels, s.value) for s in samples)
        return bool(counts) and balance(counts) == 0
    if path == "/":
        return text.startswith("<!DOCTYPE html>") and text.rstrip().endswith("</html>")
    found = json.loads(text)
    return found["accounts"]["total"]["difference"] == 0 if path == "/summary" else found["status"] == "ok"


def test_each_of_400_clients_at_once_gets_a_whole_answer_or_a_refusal(attack_on, table):
    attacked = attack_on()
    paths = ["/metrics", "/", "/summary", "/healthz"]
    answered: Counter[str] = Counter()

    def crowd(clients: int) -> None:
        answered.clear()
        for path, status, text in asyncio.run(ask_at_once(attacked.url, paths * (clients // len(paths)))):
            assert status == 200 or status in REFUSED, (path, status, text)
            if status == 200:
                assert is_whole(path, text), (path, text)
                answered[path] += 1

    sizes = iter([CLIENTS, CROWD])
    attacked.attack_twice(lambda: crowd(next(sizes)))
    assert set(answered) == set(paths)
    note = f"{answered.total()} were answered, {CROWD - answered.total()} were refused"
    attacked.add_row(table, f"{CROWD} requests at once", note)
