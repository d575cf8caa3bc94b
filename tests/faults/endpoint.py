"""Shared by the tests of the attacked endpoint: the service, its costs, and its row in the table."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from tests.faults.outcome import Table
from tests.faults.running import Service
from tests.faults.stored import in_pushes
from tests.integration.flow import balance, counts_at
from tests.receivers import Receiver
from tests.servers.running import eventually

MIB = 2**20
MORE_RESIDENT = 16 * MIB
"""Bytes that the C library may keep after an attack that is not the first one."""


@dataclass(frozen=True)
class Costs:
    """The descriptors, threads and resident bytes of a process."""

    descriptors: int
    threads: int
    resident: int

    def within(self, earlier: Costs) -> bool:
        """Whether the costs are those of an earlier moment again."""
        return (
            self.descriptors <= earlier.descriptors
            and self.threads <= earlier.threads
            and self.resident <= earlier.resident + MORE_RESIDENT
        )


class Attacked:
    """A service at work that pushes to a receiver, and whose endpoint is attacked."""

    def __init__(self, service: Service, receiver: Receiver) -> None:
        self.service = service
        self.url = service.metrics_url.removesuffix("/metrics")
        self.port = int(service.target.split(":")[1])
        self._receiver = receiver

    def costs(self) -> Costs:
        """The costs at this moment."""
        process = psutil.Process(self.service.pid)
        return Costs(process.num_fds(), process.num_threads(), process.memory_info().rss)

    def costs_at_rest(self) -> Costs:
        """The least of the costs for a second: a push takes a descriptor for a moment."""
        found = []
        for _ in range(20):
            found.append(self.costs())
            time.sleep(0.05)
        least = (min(getattr(each, name) for each in found) for name in ("descriptors", "threads", "resident"))
        return Costs(*least)

    def scrape(self) -> None:
        """Scrape until an answer comes. Fails if that takes too long, or if the answer does not balance."""
        counts = eventually(lambda: counts_at(self.service.metrics_url), timeout=60)
        assert balance(counts) == 0, counts

    def attack_twice(self, attack: Callable[[], object]) -> None:
        """Attack twice: the first attack loads code and fills caches, the second one must leave nothing behind."""
        attack()
        before = self.costs_at_rest()
        attack()
        self.await_rest(before)

    def await_rest(self, before: Costs) -> None:
        """Wait until the costs are those of an earlier moment again."""
        eventually(self.costs, lambda costs: costs.within(before), timeout=40)

    def add_row(self, table: Table, fault: str, note: str = "") -> None:
        """Stop the service, and add the row of the attack to the table."""
        account = self.service.stop()
        stored = in_pushes([each.body for each in list(self._receiver.requests)])
        lines = len(self.service.log_lines())
        table.add(account.outcome(fault, "Endpoint", stored, log_lines=lines, note=note))
