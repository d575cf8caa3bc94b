"""The time of a state, which mqtt_statestream publishes after it."""

import asyncio

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
    await release_late(times, released, 10, 20)  # their times are lost
    times.state(state(1), retained=False)
    times.time("sensor.a", 29, retained=False)
    assert released == [("1", 29, False)]


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
