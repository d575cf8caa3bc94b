"""What the tests of the attacked endpoint share: the costs of the service, and whole and consistent answers."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psutil

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

    @classmethod
    def of(cls, service: Service) -> Costs:
        process = psutil.Process(service.pid)
        return cls(process.num_fds(), process.num_threads(), process.memory_info().rss)

    @classmethod
    def at_rest(cls, service: Service) -> Costs:
        """The least of the costs for a second: a push takes a descriptor for a moment."""
        found = []
        for _ in range(20):
            found.append(cls.of(service))
            time.sleep(0.05)
        return cls(
            *(min(values) for values in zip(*((c.descriptors, c.threads, c.resident) for c in found), strict=True))
        )

    def within(self, earlier: Costs) -> bool:
        """Whether the costs are those of an earlier moment again."""
        return (
            self.descriptors <= earlier.descriptors
            and self.threads <= earlier.threads
            and self.resident <= earlier.resident + MORE_RESIDENT
        )


def await_rest(service: Service, earlier: Costs) -> None:
    """Wait until the costs are those of an earlier moment again."""
    eventually(lambda: Costs.of(service), lambda costs: costs.within(earlier), timeout=40)


def scrape(service: Service) -> None:
    """Scrape until an answer comes. Fails if that takes too long, or if the answer does not balance."""
    counts = eventually(lambda: counts_at(service.metrics_url), timeout=60)
    assert balance(counts) == 0, counts


def stored_in(receiver: Receiver):
    """The events that were pushed."""
    return in_pushes([each.body for each in list(receiver.requests)])
