"""Instrumented paho-mqtt and aiomqtt at a real broker: counts equal what was sent, and connections are right."""

import asyncio
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import aiomqtt
import paho.mqtt.client as paho
import pytest

from otel_ha.instrumentation.aiomqtt import AiomqttInstrumentor
from otel_ha.instrumentation.paho_mqtt import PahoMqttInstrumentor
from otel_ha.vocabulary import ingest, messaging
from tests.servers.mosquitto import Mosquitto
from tests.servers.running import eventually
from tests.unit.instrumentation.mqtt import LIGHT, SENSOR, Seen, client, seen

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

VERSIONS = pytest.mark.parametrize("version", [paho.MQTTv311, paho.MQTTv5], ids=["3.1.1", "5"])
SENT = ("mqtt", "publish", None)


@pytest.fixture
def metrics() -> Iterator[Seen]:
    with seen(PahoMqttInstrumentor(), AiomqttInstrumentor()) as metrics:
        yield metrics


class Subscriber:
    """A client that subscribes to everything, and keeps what it got; the payload "bad" is too much for it."""

    def __init__(self, **settings):
        self.client = client(**settings)
        self.got = []
        self.subscribed = threading.Event()
        self.client.suppress_exceptions = True
        self.client.on_connect = lambda own, *_: own.subscribe("homeassistant/#", 2)
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = self.take
        self.client.reconnect_delay_set(0.1, 0.2)

    def take(self, _, __, message):
        self.got.append(message.payload)
        if message.payload == b"bad":
            raise KeyError("bad")

    def wait_for(self, number: int) -> None:
        eventually(lambda: len(self.got), lambda got: got >= number)


@contextmanager
def subscribed(broker: Mosquitto, **settings) -> Iterator[Subscriber]:
    own = Subscriber(**settings)
    own.client.connect(broker.host, broker.port)
    own.client.loop_start()
    try:
        assert own.subscribed.wait(30)
        yield own
    finally:
        own.client.disconnect()
        own.client.loop_stop()


def active(metrics: Seen) -> int | None:
    return metrics.series(ingest.CONNECTIONS).get(("mqtt",))


def closed(metrics: Seen) -> dict[str, int]:
    return {reason: number for (_, reason), number in metrics.series(ingest.CONNECTIONS_CLOSED).items()}


@VERSIONS
def test_counts_equal_what_was_sent(mosquitto, metrics, version):
    with subscribed(mosquitto, protocol=version) as own:
        for number in range(30):
            payload = b"bad" if number % 10 == 9 else b"on"
            own.client.publish(LIGHT if number % 2 else SENSOR, payload, qos=number % 3).wait_for_publish(30)
        own.wait_for(30)
        eventually(metrics.account, lambda account: account["processed"] == 30)
        assert metrics.processed() == {
            ("light", "error", "KeyError"): 3,
            ("light", "ok", None): 12,
            ("sensor", "ok", None): 15,
        }
        assert metrics.series(ingest.DATA_RECEIVED) == {("mqtt", "message"): 27 * 2 + 3 * 3}
        assert metrics.series(messaging.SENT) == {SENT: 30}
        assert metrics.series(messaging.OPERATION_DURATION) == {SENT: 20}
        assert active(metrics) == 1
        assert ("mqtt",) in metrics.series(ingest.MESSAGE_AGE)
    assert (active(metrics), closed(metrics)) == (0, {"stopped": 1})


@VERSIONS
@pytest.mark.parametrize("end", [Mosquitto.kill, Mosquitto.stop])
def test_a_broker_that_goes_and_comes_back(mosquitto, metrics, version, end):
    with subscribed(mosquitto, protocol=version) as own:
        end(mosquitto)
        eventually(lambda: active(metrics), lambda number: number == 0)
        assert sum(closed(metrics).values()) == 1
        assert "stopped" not in closed(metrics)
        eventually(lambda: metrics.series(ingest.RECONNECTS).get(("mqtt",), 0), lambda tried: tried > 0)
        for qos in (1, 2):
            own.client.publish(LIGHT, b"kept", qos=qos)
        own.client.publish(LIGHT, b"lost", qos=0)
        sent = metrics.series(messaging.SENT)
        assert sent.get(SENT, 0) == 0
        assert sum(number for key, number in sent.items() if key != SENT) <= 1  # else it waits for a broken socket
        own.subscribed.clear()
        mosquitto.start()
        assert own.subscribed.wait(30)
        eventually(lambda: active(metrics), lambda number: number == 1)
        eventually(lambda: metrics.series(messaging.OPERATION_DURATION), lambda acked: acked == {SENT: 2})
        assert metrics.series(messaging.SENT)[SENT] == 2
        sent = metrics.series(messaging.SENT)
        assert sum(number for key, number in sent.items() if key != SENT) == 1
        eventually(metrics.account, lambda account: account["in_flight"] == 0)


def forever(own: paho.Client, _: threading.Event) -> None:
    own.loop_forever()


def stepwise(own: paho.Client, ending: threading.Event) -> None:
    while not ending.is_set():
        own.loop(0.05)


def selecting(own: paho.Client, ending: threading.Event) -> None:
    """Run a loop as a program does that waits for several sockets."""
    while not ending.is_set() and (socket := own.socket()) is not None:
        readable, writable, _ = select.select([socket], [socket] if own.want_write() else [], [], 0.05)
        if readable:
            own.loop_read()
        if writable:
            own.loop_write()
        own.loop_misc()


@pytest.mark.parametrize("loop", [forever, stepwise, selecting])
def test_every_kind_of_loop_is_counted(mosquitto, metrics, loop: Callable[[paho.Client, threading.Event], None]):
    own, ending = Subscriber(), threading.Event()
    own.client.connect(mosquitto.host, mosquitto.port)
    thread = threading.Thread(target=loop, args=(own.client, ending))
    thread.start()
    try:
        assert own.subscribed.wait(30)
        for qos in range(3):
            own.client.publish(LIGHT, b"on", qos=qos)
        own.wait_for(3)
        eventually(metrics.account, lambda account: account["processed"] == 3)
        eventually(lambda: metrics.series(messaging.SENT), lambda sent: sent == {SENT: 3})
        assert active(metrics) == 1
        own.client.disconnect()
        eventually(lambda: active(metrics), lambda number: number == 0)
        assert closed(metrics) == {"stopped": 1}
    finally:
        ending.set()
        own.client.disconnect()
        thread.join(30)


def test_messages_from_a_callback_are_counted(mosquitto, metrics):
    with subscribed(mosquitto) as own:

        def answer(client, _, message):
            if message.payload == b"ask":
                for qos in range(3):
                    client.publish(LIGHT, b"answer", qos=qos)
            own.got.append(message.payload)

        own.client.on_message = answer
        own.client.publish(LIGHT, b"ask", qos=1)
        own.wait_for(4)
        eventually(lambda: metrics.series(messaging.SENT), lambda sent: sent == {SENT: 4})
        eventually(lambda: metrics.series(messaging.OPERATION_DURATION), lambda acked: acked == {SENT: 3})
        eventually(metrics.account, lambda account: account["processed"] == 4)


def test_several_clients_are_several_connections(mosquitto, metrics):
    with subscribed(mosquitto), subscribed(mosquitto) as second:
        assert active(metrics) == 2
        second.client.publish(LIGHT, b"on", qos=1)
        eventually(metrics.account, lambda account: account["processed"] == 2)
        mosquitto.kill()
        eventually(lambda: active(metrics), lambda number: number == 0)
        mosquitto.start()
        eventually(lambda: active(metrics), lambda number: number == 2)
    assert (active(metrics), closed(metrics)["stopped"]) == (0, 2)


def test_instrumented_again_while_it_is_connected(mosquitto, metrics):
    with subscribed(mosquitto) as own:
        for _ in range(3):
            for each in (PahoMqttInstrumentor(), AiomqttInstrumentor()):
                each.uninstrument()
            own.client.publish(LIGHT, b"unseen", qos=1).wait_for_publish(30)
            for each in (PahoMqttInstrumentor(), AiomqttInstrumentor()):
                metrics.instrument(each)
        eventually(lambda: active(metrics), lambda number: number == 1)
        own.wait_for(3)
        own.client.publish(LIGHT, b"on", qos=2).wait_for_publish(30)
        own.wait_for(4)
        eventually(metrics.processed, lambda seen: seen.get(("light", "ok", None), 0) >= 1)
    assert (active(metrics), closed(metrics)) == (0, {"stopped": 1})


def test_a_client_that_was_connected_before(mosquitto):
    with subscribed(mosquitto) as own:
        own.client.publish(LIGHT, b"unseen", qos=1).wait_for_publish(30)
        own.wait_for(1)
        with seen(PahoMqttInstrumentor()) as metrics:
            eventually(lambda: active(metrics), lambda number: number == 1)
            own.client.publish(LIGHT, b"on", qos=1).wait_for_publish(30)
            own.wait_for(2)
            eventually(metrics.account, lambda account: account["processed"] == 1)
            mosquitto.kill()
            eventually(lambda: active(metrics), lambda number: number == 0)


@pytest.mark.parametrize("is_noticed", [True, False])
def test_a_program_that_disconnects_from_a_broken_connection(mosquitto, metrics, is_noticed):
    with subscribed(mosquitto) as own:
        own.client.reconnect_delay_set(60, 60)
        mosquitto.kill()
        if is_noticed:
            eventually(lambda: active(metrics), lambda number: number == 0)
        own.client.disconnect()
    assert (active(metrics), sum(closed(metrics).values())) == (0, 1)


@VERSIONS
def test_a_client_that_disconnects_at_once_was_connected(mosquitto, metrics, version):
    own = client(protocol=version)
    own.on_connect = lambda own, *_: own.disconnect()
    own.connect(mosquitto.host, mosquitto.port)
    own.loop_forever()
    assert (active(metrics), closed(metrics)) == (0, {"stopped": 1})


def test_connecting_again_replaces_the_connection(mosquitto, metrics):
    own = Subscriber()
    own.client.connect(mosquitto.host, mosquitto.port)
    # Not in a thread, which could find the old socket closed and connect once more.
    step_until(own.client, own.subscribed)
    own.subscribed.clear()
    own.client.reconnect()
    step_until(own.client, own.subscribed)
    assert (active(metrics), closed(metrics)) == (1, {"replaced": 1})
    assert metrics.series(ingest.RECONNECTS) == {}
    own.client.disconnect()


def step_until(own: paho.Client, event: threading.Event) -> None:
    """Run a client's loop in this thread until something has happened."""

    def step() -> bool:
        own.loop(0.05)
        return event.is_set()

    eventually(step)


def test_attempts_that_fail_are_errors_and_the_next_ones_reconnects(mosquitto, metrics):
    mosquitto.stop()
    own = client()
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            own.connect(mosquitto.host, mosquitto.port)
    assert metrics.series(ingest.RECONNECTS) == {("mqtt",): 2}
    assert metrics.series(ingest.ERRORS) == {("mqtt", "ConnectionRefusedError", "warning"): 3}
    assert active(metrics) == 0


def aio(broker: Mosquitto, version: int, **settings) -> aiomqtt.Client:
    return aiomqtt.Client(broker.host, broker.port, protocol=aiomqtt.ProtocolVersion(version), **settings)


@VERSIONS
async def test_aiomqtt_has_one_account(mosquitto, metrics, version):
    async with aio(mosquitto, version, max_queued_incoming_messages=5) as own:
        await own.subscribe("homeassistant/#", qos=2)

        async def work():
            async for message in own.messages:
                if message.payload == b"slow":
                    await asyncio.sleep(100)

        workers = [asyncio.create_task(work()) for _ in range(3)]
        for number in range(9):
            await own.publish(LIGHT, b"on", qos=number % 3)
        await quietly_until(lambda: metrics.account()["processed"] == 9)
        for _ in range(3):
            await own.publish(SENSOR, b"slow", qos=1)
        await quietly_until(lambda: in_flight(metrics) == {"active": 3})
        for _ in range(9):
            await own.publish(SENSOR, b"on", qos=1)
        await quietly_until(lambda: metrics.account()["received"] == 21)
        assert (metrics.discarded(), in_flight(metrics)) == ({"overflow": 4}, {"active": 3, "queued": 5})
        assert metrics.series(ingest.QUEUE_SIZE) == {("aiomqtt",): 5}
        assert metrics.series(ingest.QUEUE_CAPACITY) == {("aiomqtt",): 5}
        assert active(metrics) == 1
        for worker in workers:
            worker.cancel()
        await asyncio.wait(workers)
    assert metrics.processed() == {("light", "ok", None): 9, ("sensor", "cancelled", None): 3}
    assert metrics.discarded() == {"overflow": 4, "shutdown": 5}
    assert metrics.account() == {"received": 21, "processed": 12, "discarded": 9, "in_flight": 0}
    assert metrics.series(messaging.SENT) == {SENT: 21}
    assert metrics.series(messaging.OPERATION_DURATION) == {SENT: 18}
    assert (active(metrics), closed(metrics)) == (0, {"stopped": 1})


@VERSIONS
async def test_a_client_of_aiomqtt_that_is_used_again_after_the_broker_was_gone(mosquitto, metrics, version):
    own, received = aio(mosquitto, version), 0
    for attempt in range(3):
        with suppress(aiomqtt.MqttError):
            async with own:
                await own.subscribe("homeassistant/#", qos=1)
                await own.publish(LIGHT, b"on", qos=1)
                async for _ in own.messages:
                    received += 1
                    await asyncio.to_thread(mosquitto.kill if attempt else mosquitto.stop)
        assert metrics.account() == {"received": received, "processed": received, "discarded": 0, "in_flight": 0}
        assert active(metrics) == 0
        await asyncio.to_thread(mosquitto.start)
    assert received == 3
    assert sum(closed(metrics).values()) == 3
    assert metrics.series(ingest.RECONNECTS) == {("mqtt",): 2}


async def test_nested_clients_have_accounts_of_their_own(mosquitto, metrics):
    async with aio(mosquitto, paho.MQTTv5) as outer, aio(mosquitto, paho.MQTTv5) as inner:
        assert active(metrics) == 2
        await outer.subscribe("homeassistant/light/#")
        await inner.subscribe("homeassistant/sensor/#")
        await outer.publish(LIGHT, b"on", qos=1)
        async for _ in outer.messages:
            await inner.publish(SENSOR, b"on", qos=1)
            async for _ in inner.messages:
                assert in_flight(metrics) == {"active": 2}
                break
            break
        with pytest.raises(aiomqtt.exceptions.MqttReentrantError):
            async with outer:
                pass
    assert metrics.processed() == {("light", "ok", None): 1, ("sensor", "ok", None): 1}
    assert (active(metrics), closed(metrics)) == (0, {"stopped": 2})


async def test_an_exception_in_the_block_is_an_error(mosquitto, metrics):
    with pytest.raises(KeyError):  # noqa: PT012 - the block is the point
        async with aio(mosquitto, paho.MQTTv5) as own:
            await own.subscribe("homeassistant/#")
            await own.publish(LIGHT, b"on", qos=1)
            async for _ in own.messages:
                raise KeyError("lamp")
    assert metrics.processed() == {("light", "error", "KeyError"): 1}


def in_flight(metrics: Seen) -> dict[str, int]:
    return {state: number for (_, state), number in metrics.series(ingest.IN_FLIGHT).items() if number}


async def quietly_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; at each look, the account adds up."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.02)
