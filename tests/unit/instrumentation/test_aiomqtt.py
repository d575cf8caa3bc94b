"""Instrumented aiomqtt without a broker: the account of messages, however the loops that read them are left."""

import asyncio
import functools
import gc
import logging
from contextlib import suppress

import aiomqtt
import aiomqtt.client
import paho.mqtt.client as paho
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_ha import TelemetryConfig, setup_telemetry
from otel_ha.instrumentation.aiomqtt import AiomqttInstrumentor
from otel_ha.instrumentation.paho_mqtt import PahoMqttInstrumentor
from otel_ha.vocabulary import ingest
from tests.unit.instrumentation.mqtt import LIGHT, SENSOR, message, seen
from tests.unit.instrumentation.mqtt import client as paho_client

CLASSES = (aiomqtt.Client, aiomqtt.client.MessagesIterator, paho.Client)
ORIGINALS = [dict(vars(each)) for each in CLASSES]


@pytest.fixture
def instrumentor():
    return AiomqttInstrumentor()


@pytest.fixture
def metrics(instrumentor):
    with seen(PahoMqttInstrumentor(), instrumentor) as metrics:
        yield metrics


@pytest.fixture(autouse=True)
def _silent(caplog):
    caplog.set_level(logging.CRITICAL, "mqtt")  # clients here cannot disconnect gracefully, and queues are full


def client(**options):
    return aiomqtt.Client("127.0.0.1", **options)


def arrive(own, number=1, topic=LIGHT):
    """Let messages arrive at a client, as paho's loop hands them over."""
    for _ in range(number):
        own._client._handle_on_message(message(topic))


def in_flight(metrics):
    return {state: number for (_, state), number in metrics.series(ingest.IN_FLIGHT).items() if number}


async def settled():
    """Let the loop run the callbacks that wait."""
    for _ in range(5):
        await asyncio.sleep(0)


async def read(own, body, *, messages=None):
    """Read a client's messages until the body returns True or raises."""
    async for got in messages or own.messages:
        if await body(got):
            break


async def leave(own, error=None):
    """Leave the client's block, which was never entered as there is no broker."""
    await own.__aexit__(type(error) if error else None, error, None)


async def at_once(_):
    return True


async def test_a_message_waits_is_active_and_is_processed(metrics):
    own, found = client(), []

    async def body(_):
        found.append(in_flight(metrics))
        return True

    arrive(own, 2)
    assert in_flight(metrics) == {"queued": 2}
    await read(own, body)
    await settled()
    assert (found, in_flight(metrics)) == ([{"queued": 1, "active": 1}], {"queued": 1})
    assert metrics.processed() == {("light", "ok", None): 1}


async def test_work_on_a_message_ends_when_the_next_one_is_asked_for(metrics):
    own = client()
    arrive(own)
    reading = asyncio.create_task(read(own, lambda _: asyncio.sleep(0)))
    await settled()
    assert (metrics.processed(), in_flight(metrics)) == ({("light", "ok", None): 1}, {})
    reading.cancel()
    with suppress(asyncio.CancelledError):
        await reading
    assert metrics.processed() == {("light", "ok", None): 1}


async def test_bytes_and_domains_are_known(metrics):
    own = client()
    arrive(own, 1, LIGHT)
    arrive(own, 2, SENSOR)
    for _ in range(3):
        await anext(own.messages)
    await settled()
    assert metrics.series(ingest.DATA_RECEIVED) == {("mqtt", "message"): 6}
    assert metrics.processed() == {("light", "ok", None): 1, ("sensor", "ok", None): 2}


async def fail(_):
    raise KeyError("lamp")


async def test_an_exception_that_ends_the_block_is_an_error(metrics):
    own = client()
    arrive(own)
    try:
        await read(own, fail)
    except KeyError as error:
        await leave(own, error)
    assert metrics.processed() == {("light", "error", "KeyError"): 1}


async def test_an_exception_is_an_error_where_the_iterator_lives_on(metrics):
    own = client()
    arrive(own)
    messages = own.messages
    try:
        await read(own, fail, messages=messages)
    except KeyError as error:
        await leave(own, error)
    assert metrics.processed() == {("light", "error", "KeyError"): 1}


async def test_an_exception_that_ends_a_worker_is_an_error(metrics):
    own = client()
    arrive(own)

    worker = asyncio.create_task(read(own, fail))
    await asyncio.wait([worker])
    await settled()
    assert metrics.processed() == {("light", "error", "KeyError"): 1}
    assert isinstance(worker.exception(), KeyError)


async def test_the_exception_of_a_worker_that_nobody_asks_for_is_logged_as_ever(metrics):
    own, logged = client(), []
    arrive(own)
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context["message"]))

    worker = asyncio.create_task(read(own, fail))
    await asyncio.wait([worker])
    await settled()
    del worker
    gc.collect()
    assert logged == ["Task exception was never retrieved"]


async def test_cancelled_workers_have_cancelled_their_messages(metrics):
    own = client(max_queued_incoming_messages=5)
    workers = [asyncio.create_task(read(own, lambda _: asyncio.sleep(100))) for _ in range(3)]
    await settled()
    arrive(own, 3)
    await settled()
    arrive(own, 9)
    assert in_flight(metrics) == {"active": 3, "queued": 5}
    assert metrics.discarded() == {"overflow": 4}
    assert metrics.series(ingest.QUEUE_SIZE) == {("aiomqtt",): 5}
    assert metrics.series(ingest.QUEUE_CAPACITY) == {("aiomqtt",): 5}
    for worker in workers:
        worker.cancel()
    await asyncio.wait(workers)
    await settled()
    await leave(own)
    assert metrics.processed() == {("light", "cancelled", None): 3}
    assert metrics.discarded() == {"overflow": 4, "shutdown": 5}
    assert (in_flight(metrics), metrics.account()["received"]) == ({}, 12)


async def test_workers_that_share_an_iterator_have_messages_of_their_own(metrics):
    own = client()
    messages, blocked = own.messages, asyncio.Event()
    workers = [asyncio.create_task(read(own, lambda _: blocked.wait(), messages=messages)) for _ in range(3)]
    await settled()
    arrive(own, 3)
    await settled()
    assert in_flight(metrics) == {"active": 3}
    workers[0].cancel()
    await asyncio.wait(workers[:1])
    await settled()
    blocked.set()
    await asyncio.wait(workers[1:])
    await settled()
    assert metrics.processed() == {("light", "cancelled", None): 1, ("light", "ok", None): 2}


async def test_a_timeout_of_the_body_cancels_its_message(metrics):
    own = client()
    arrive(own)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as limit:
            await read(own, functools.partial(outlast, limit))
    await settled()
    assert metrics.processed() == {("light", "cancelled", None): 1}


async def outlast(limit, _):
    """Let a timeout end now."""
    limit.reschedule(asyncio.get_running_loop().time())
    await asyncio.sleep(100)


async def test_a_loop_inside_a_loop_leaves_the_outer_message_active(metrics):
    own = client()
    arrive(own, 2)
    async for _ in own.messages:
        await anext(own.messages)
        await settled()
        assert in_flight(metrics) == {"active": 1}
        break
    await settled()
    assert metrics.processed() == {("light", "ok", None): 2}


async def test_an_iterator_that_is_never_started_changes_nothing(metrics):
    own = client()
    messages = own.messages
    arrive(own)
    del messages
    assert in_flight(metrics) == {"queued": 1}


LOST = aiomqtt.MqttError("lost")


@pytest.mark.parametrize("error", [LOST, ExceptionGroup("workers", [KeyError("lamp"), LOST])])
async def test_what_waits_while_the_connection_is_lost_is_read_when_the_client_is_entered_again(metrics, error):
    own = client()
    arrive(own, 2)
    await leave(own, error)
    assert in_flight(metrics) == {"queued": 2}
    for _ in range(2):
        await anext(own.messages)
    await settled()
    assert metrics.account() == {"received": 2, "processed": 2, "discarded": 0, "in_flight": 0}


async def test_what_was_given_up_is_not_counted_twice(metrics):
    own = client()
    arrive(own, 2)
    await leave(own)
    arrive(own)
    for _ in range(3):
        await anext(own.messages)
    await settled()
    assert metrics.account() == {"received": 3, "processed": 1, "discarded": 2, "in_flight": 0}


async def test_what_waits_goes_with_its_client(metrics):
    own = client()
    arrive(own, 2)
    del own
    gc.collect()
    assert (metrics.discarded(), in_flight(metrics)) == ({"shutdown": 2}, {})


async def test_a_message_that_is_lost_with_its_cancelled_reader_is_counted(metrics):
    own = client()
    reading = asyncio.create_task(read(own, at_once))
    await settled()
    arrive(own)
    await asyncio.sleep(0)  # the message is out of the queue, and the reader has not got it
    reading.cancel()
    await asyncio.wait([reading])
    await settled()
    account = metrics.account()
    assert account["in_flight"] == own._queue.qsize()


@pytest.mark.parametrize("queue_type", [asyncio.LifoQueue, asyncio.PriorityQueue])
async def test_other_queues_have_the_same_account(metrics, queue_type):
    class Queue(queue_type):
        def _put(self, item):
            super()._put((id(item), item) if queue_type is asyncio.PriorityQueue else item)

        def _get(self):
            found = super()._get()
            return found[1] if queue_type is asyncio.PriorityQueue else found

    own = client(queue_type=Queue, max_queued_incoming_messages=2)
    arrive(own, 3)
    await anext(own.messages)
    await settled()
    assert metrics.account() == {"received": 3, "processed": 1, "discarded": 1, "in_flight": 1}


async def test_a_queue_that_makes_room_has_dropped_the_older_one(metrics):
    class Newest(asyncio.Queue):
        def put_nowait(self, item):
            while self.full():
                self.get_nowait()
            super().put_nowait(item)

    own = client(queue_type=Newest, max_queued_incoming_messages=2)
    arrive(own, 5)
    assert (metrics.discarded(), in_flight(metrics)) == ({"overflow": 3}, {"queued": 2})


async def test_the_size_of_several_queues_is_their_sum(metrics):
    several = [client(max_queued_incoming_messages=10) for _ in range(2)]
    arrive(several[0], 3)
    arrive(several[1], 4)
    assert metrics.series(ingest.QUEUE_SIZE) == {("aiomqtt",): 7}
    assert metrics.series(ingest.QUEUE_CAPACITY) == {("aiomqtt",): 20}
    unlimited = client()
    arrive(unlimited)
    assert metrics.series(ingest.QUEUE_SIZE) == {("aiomqtt",): 8}
    assert metrics.series(ingest.QUEUE_CAPACITY) == {}


async def test_a_paho_client_beside_it_has_its_own_account(metrics):
    own, beside = client(), paho_client()
    beside.on_message = lambda *_: None
    arrive(own)
    beside._handle_on_message(message(SENSOR))
    assert metrics.account() == {"received": 2, "processed": 1, "discarded": 0, "in_flight": 1}


async def test_alone_it_leaves_paho_clients_uncounted(instrumentor):
    with seen(instrumentor) as metrics:
        own, beside = client(), paho_client()
        beside.on_message = lambda *_: None
        arrive(own)
        beside._handle_on_message(message(SENSOR))
        assert metrics.account() == {"received": 1, "processed": 0, "discarded": 0, "in_flight": 1}


async def test_a_client_and_messages_from_before_are_counted_once_they_are_read(instrumentor):
    own = client()
    arrive(own, 2)
    with seen(PahoMqttInstrumentor(), instrumentor) as metrics:
        arrive(own)
        for _ in range(3):
            await anext(own.messages)
        await settled()
        assert metrics.account() == {"received": 3, "processed": 3, "discarded": 0, "in_flight": 0}


async def test_uninstrumented_nothing_is_in_flight_and_nothing_is_left(metrics, instrumentor):
    own = client()
    arrive(own, 2)
    async for _ in own.messages:
        instrumentor.uninstrument()
        break
    assert (metrics.discarded(), in_flight(metrics)) == ({"uninstrumented": 2}, {})
    PahoMqttInstrumentor().uninstrument()
    assert [dict(vars(each)) for each in CLASSES] == ORIGINALS


@pytest.mark.parametrize("first", [AiomqttInstrumentor, PahoMqttInstrumentor])
async def test_in_either_order_both_can_be_instrumented_again(metrics, first):
    both = [AiomqttInstrumentor(), PahoMqttInstrumentor()]
    for _ in range(2):
        for each in sorted(both, key=lambda each: type(each) is not first):
            each.uninstrument()
        assert [dict(vars(each)) for each in CLASSES] == ORIGINALS
        for each in both:
            metrics.instrument(each)
    own = client()
    arrive(own)
    await anext(own.messages)
    await settled()
    assert metrics.account() == {"received": 1, "processed": 1, "discarded": 0, "in_flight": 0}


async def test_telemetry_that_starts_later_receives_what_waits(instrumentor):
    own = client()
    instrumentor.instrument()
    try:
        arrive(own, 2)
        config = TelemetryConfig(metrics_exporters=("prometheus",), prometheus_port=0, system_metrics=False, environ={})
        with setup_telemetry("own", config=config) as telemetry:
            await anext(own.messages)
            await settled()
            text = telemetry.prometheus_text()
        assert 'homeassistant_event_received_total{homeassistant_source="mqtt"} 2.0' in text
        state = 'homeassistant_event_in_flight{homeassistant_event_state="queued",homeassistant_source="mqtt"} 1.0'
        assert state in text
        assert "not_received" not in text
    finally:
        instrumentor.uninstrument()


def test_a_loop_that_is_closed_ends_its_work(metrics):
    held = []

    async def main():
        own = client()
        arrive(own)
        messages = own.messages
        await anext(messages)
        held.extend((own, messages))

    asyncio.run(main())
    held.clear()
    gc.collect()
    assert metrics.account() == {"received": 1, "processed": 1, "discarded": 0, "in_flight": 0}


ACTIONS = st.lists(
    st.sampled_from(
        ["arrive", "read", "break", "raise", "cancel", "cancel waiting", "leave", "lose", "leave by error"]
    ),
    max_size=14,
)


@settings(max_examples=60, deadline=None)
@given(ACTIONS, st.sampled_from([0, 1, 3]))
def test_whatever_happens_the_account_adds_up(actions, capacity):
    asyncio.run(follow(actions, capacity))


async def follow(actions, capacity):
    """Follow a script with workers at one client, and compare the account after each step."""
    logging.getLogger("mqtt").setLevel(logging.CRITICAL)
    with seen(PahoMqttInstrumentor(), AiomqttInstrumentor()) as metrics:
        own, working, arrived = client(max_queued_incoming_messages=capacity), [], 0
        for action in actions:
            arrived += action == "arrive"
            await act(action, own, working)
            await settled()
            account = metrics.account()
            assert account["received"] == arrived
            # A message that was given up, and that is read after all, is not counted again.
            assert in_flight(metrics).get("active", 0) <= len(working)
        for task, _ in working:
            await ended(task)
        await leave(own)
        assert metrics.account()["in_flight"] == 0


async def act(action, own, working):
    match action:
        case "arrive":
            arrive(own)
        case "read" | "cancel waiting":
            ending = asyncio.get_running_loop().create_future()
            task = asyncio.create_task(read(own, lambda _: ending))
            await settled()
            if action == "read" and not task.done() and is_at_work(task):
                working.append((task, ending))
            else:
                await ended(task)
        case "break" | "raise" | "cancel" if working:
            task, ending = working.pop()
            if action == "break":
                ending.set_result(True)
            elif action == "raise":
                ending.set_exception(KeyError("lamp"))
            else:
                task.cancel()
            await asyncio.wait([task])
            await ended(task)
        case "leave":
            await leave(own)
        case "lose":
            await leave(own, aiomqtt.MqttError("lost"))
        case "leave by error":
            await leave(own, KeyError("lamp"))


async def ended(task):
    """Cancel a task and take its exception, if it has one."""
    task.cancel()
    with suppress(asyncio.CancelledError, KeyError, aiomqtt.MqttError):
        await task


def is_at_work(task):
    """Whether a reader has got a message: it waits for its body instead of the queue."""
    frame = task.get_stack()[-1]
    return "got" in frame.f_locals
