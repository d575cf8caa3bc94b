"""The time of a state, which mqtt_statestream publishes after it."""

import asyncio
import heapq
import random
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from examples.ingestor import source_time
from examples.ingestor.event import Event
from examples.ingestor.source_time import SourceTime

Released = list[tuple[str, int, bool]]


def joined(longest_wait: float = 60) -> tuple[SourceTime, Released]:
    """A SourceTime that has seen a time, and the list of the states that it releases."""
    released: Released = []

    def release(event: Event, *, retained: bool) -> None:
        released.append((event.state, event.timestamp if event.timed else 0, retained))

    times = SourceTime(release, longest_wait)
    times.time("sensor.other", 1, retained=False)
    return times, released


def state(number: int, entity_id: str = "sensor.a") -> Event:
    return Event("mqtt", entity_id, str(number), 99)


async def test_a_state_gets_the_time_that_follows():
    times, released = joined()
    times.state(state(1), retained=False)
    assert released == []
    assert times.time("sensor.a", 10, retained=False)
    assert released == [("1", 10, False)]


async def test_a_state_does_not_wait_until_a_time_has_been_seen():
    released: Released = []
    SourceTime(lambda event, *, retained: released.append((event.state, event.timed, retained))).state(
        state(1), retained=False
    )
    assert released == [("1", False, False)]


async def test_states_of_an_entity_get_their_times_in_order():
    times, released = joined()
    for number in (1, 2):
        times.state(state(number), retained=False)
    for moment in (10, 20):
        times.time("sensor.a", moment, retained=False)
    assert released == [("1", 10, False), ("2", 20, False)]


async def test_a_time_belongs_to_its_entity():
    times, released = joined()
    times.state(state(1), retained=False)
    times.state(state(2, "sensor.b"), retained=False)
    times.time("sensor.b", 20, retained=False)
    assert released == [("2", 20, False)]


async def test_a_state_whose_time_does_not_come_is_released_without_it():
    times, released = joined(longest_wait=0.01)
    times.state(state(1), retained=False)
    times.state(state(2), retained=False)
    async with asyncio.timeout(5):
        while len(released) < 2:  # noqa: ASYNC110 - the states are released by a timer
            await asyncio.sleep(0.005)
    assert released == [("1", 0, False), ("2", 0, False)]


async def test_a_time_that_comes_late_dates_only_the_last_state():
    times, released = joined(longest_wait=0.01)
    await release_late(times, released, 10, 20)
    assert times.time("sensor.a", 9, retained=False)
    assert not times.time("sensor.a", 19, retained=False)


async def release_late(times: SourceTime, released: Released, *arrivals: int) -> None:
    """Let states with these times of arrival wait in vain."""
    for arrival in arrivals:
        times.state(Event("mqtt", "sensor.a", f"late {arrival}", arrival), retained=False)
    async with asyncio.timeout(5):
        while len(released) < len(arrivals):  # noqa: ASYNC110 - the states are released by a timer
            await asyncio.sleep(0.005)
    released.clear()


async def test_a_state_does_not_take_the_time_of_one_that_could_not_wait():
    times, released = joined(longest_wait=0.05)
    await release_late(times, released, 10, 20)
    times.state(state(1), retained=False)
    for moment in (9, 19, 29):
        times.time("sensor.a", moment, retained=False)
    assert released == [("1", 29, False)]


async def test_a_time_after_the_arrival_of_a_state_is_not_its_own():
    times, released = joined(longest_wait=0.05)
    await release_late(times, released, 1 * SECOND, 2 * SECOND)  # their times are lost
    times.state(Event("mqtt", "sensor.a", "1", 4 * SECOND), retained=False)
    times.time("sensor.a", 3 * SECOND, retained=False)
    assert released == [("1", 3 * SECOND, False)]


async def test_a_held_state_does_not_get_a_time_later_than_its_arrival():
    times, released = joined()
    for arrival in (1, 3):
        times.state(Event("mqtt", "sensor.a", str(arrival), arrival * SECOND), retained=False)
    times.time("sensor.a", 2 * SECOND, retained=False)
    assert released == [("1", 0, False), ("3", 2 * SECOND, False)]


SECOND = 10**9
START = 1_800_000_000 * SECOND


class Simulation:
    """A home with one entity, whose clock is ahead by `ahead` seconds, and messages that may be lost.

    It has the methods of an event loop that SourceTime calls.
    """

    def __init__(self, ahead: float, loss: float, gap: float = 0.005) -> None:
        self._now = 0.0
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self.wrong = self.dated = 0
        self.ahead = ahead
        self.moments: dict[str, int] = {}
        self.times = SourceTime(self._release, clock=lambda: START + int(self._now * SECOND))
        chance = random.Random(1)
        changed = arrival = published = 0.0
        for number in range(1500):
            changed += chance.expovariate(2)
            arrival = max(arrival, changed + chance.uniform(0.001, 0.01))
            late = chance.random() < 0.03
            published = max(published, arrival + (chance.uniform(0.5, 2) if late else chance.uniform(gap, 2 * gap)))
            self.moments[str(number)] = moment = START + int((changed + ahead) * SECOND)
            if chance.random() >= loss:
                self.call_at(arrival, lambda number=number: self._state(number))
            if chance.random() >= loss:
                self.call_at(published, lambda moment=moment: self.times.time("sensor.a", moment, retained=False))

    def time(self) -> float:
        return self._now

    def call_at(self, moment: float, call: Callable[[], None]) -> object:
        self._number += 1
        heapq.heappush(self._calls, (moment, self._number, call))
        return SimpleNamespace(cancel=lambda: None)

    def run(self) -> "Simulation":
        while self._calls:
            self._now, _, call = heapq.heappop(self._calls)
            call()
        return self

    def _state(self, number: int) -> None:
        self.times.state(Event("mqtt", "sensor.a", str(number), START + int(self._now * SECOND)), retained=False)

    def _release(self, event: Event, *, retained: bool) -> None:
        self.dated += event.timed
        self.wrong += event.timed and event.timestamp != self.moments[event.state]


@pytest.mark.parametrize("loss", [0.0, 0.02])
@pytest.mark.parametrize("gap", [0.005, 0.15])
@pytest.mark.parametrize("ahead", [-2.0, 0.0, 2.0])
def test_a_state_gets_its_own_time_whatever_the_clocks_and_the_losses(monkeypatch, ahead, loss, gap):
    simulation = Simulation(ahead, loss, gap)
    monkeypatch.setattr(source_time, "asyncio", SimpleNamespace(get_running_loop=lambda: simulation))
    simulation.run()
    # The time of a lost state may arrive after the next state, and nothing tells that it is not the time of that one.
    assert simulation.wrong <= (20 if loss else 0)
    assert simulation.dated > 1300


async def test_the_states_in_memory_are_limited(monkeypatch):
    monkeypatch.setattr(source_time, "MOST_ENTITIES", 3)
    times, released = joined()
    for number in range(10):
        times.state(state(number, f"sensor.a{number}"), retained=False)
        times.time(f"sensor.b{number}", 1, retained=True)
    assert [times.time(f"sensor.a{number}", 20, retained=False) for number in (0, 9)] == [False, True]
    times.state(state(1, "sensor.b0"), retained=True)
    times.state(state(2, "sensor.b9"), retained=True)
    times.flush()
    assert len(released) == 12, "a state is released even if its time is not awaited any longer"
    assert ("1", 0, True) in released
    assert ("2", 1, True) in released


async def test_the_time_of_a_retained_state_may_precede_it():
    times, released = joined()
    times.time("sensor.a", 10, retained=True)
    times.state(state(1), retained=True)
    assert released == [("1", 10, True)]


async def test_a_live_state_does_not_take_a_time_that_precedes_it():
    times, released = joined()
    times.time("sensor.a", 10, retained=False)
    times.state(state(1), retained=False)
    assert released == []
    times.flush()


async def test_the_end_of_the_connection_releases_every_state():
    times, released = joined()
    times.state(state(1), retained=False)
    times.state(state(2, "sensor.b"), retained=True)
    times.flush()
    assert released == [("1", 0, False), ("2", 0, True)]
