"""The account of Home Assistant's events adds up whatever a program does, and it is empty when the program is gone."""

import asyncio
import gc
from contextlib import suppress
from types import SimpleNamespace

import aiohttp
import hass_client.client
from hass_client.client import HomeAssistantClient
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_ha.instrumentation.hass_client import HassClientInstrumentor, Waiting
from otel_ha.instrumentation.home_assistant.feeds import Feeds
from otel_ha.instrumentation.home_assistant.sockets import ANY, Sockets
from otel_ha.vocabulary import ingest
from tests.recorded import Recorded, accounts, unbalanced

EVENT = '{"id":1,"type":"event","event":{"data":{"entity_id":"light.a"}}}'
FRAMES = {"one": EVENT, "two": f"[{EVENT},{EVENT}]", "none": '{"id":1,"type":"result"}', "broken": EVENT[:-1]}
EVENTS = {"one": 1, "two": 2, "none": 0, "broken": 0}


class Socket:
    """A connection of aiohttp, as far as it is instrumented, whose frames come from a list."""

    def __init__(self, frames: list[str]) -> None:
        self._response = SimpleNamespace(url=aiohttp.client.URL("http://home/api/websocket"))
        self.frames = frames
        self.close_code = None

    async def receive(self) -> SimpleNamespace:
        await asyncio.sleep(0)
        if self.close_code is None and self.frames:
            return SimpleNamespace(type=aiohttp.WSMsgType.TEXT, data=FRAMES[self.frames.pop(0)])
        self.close_code = self.close_code or 1000
        await self.close()
        return SimpleNamespace(type=aiohttp.WSMsgType.CLOSED, data=None)

    async def close(self) -> None:
        self.close_code = self.close_code or 1000

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class Program:
    """A program that does one thing after another with the frames that it takes, and checks the account meanwhile."""

    def __init__(self, recorded: Recorded, deeds: list[str]) -> None:
        self.recorded = recorded
        self.deeds = deeds

    def check(self) -> None:
        assert unbalanced(self.recorded.collect()) == {}

    async def reads(self, socket: Socket) -> None:
        while True:
            match deed := self.deeds.pop(0) if self.deeds else "":
                case "waits for":
                    message = await asyncio.wait_for(socket.receive(), 30)
                case "by a task":
                    message = await asyncio.create_task(socket.receive())
                case "gives up":
                    with suppress(TimeoutError):
                        await asyncio.wait_for(socket.receive(), 0)
                    continue
                case _:
                    message = await socket.receive()
            self.check()
            if message.type is not aiohttp.WSMsgType.TEXT:
                return
            await self.does(deed, socket)

    async def does(self, deed: str, socket: Socket) -> None:
        match deed:
            case "raises":
                raise ValueError
            case "catches":
                with suppress(ValueError):
                    raise ValueError
            case "is cancelled":
                asyncio.current_task().cancel()
                await asyncio.sleep(0)
            case "closes":
                await socket.close()
            case "leaves":
                raise LookupError
            case "takes its time":
                await asyncio.sleep(0)
                self.check()


DEEDS = [
    "", "raises", "catches", "is cancelled", "closes", "leaves", "takes its time", "waits for", "by a task", "gives up",
]  # fmt: skip
connections = st.lists(
    st.tuples(st.lists(st.sampled_from(sorted(FRAMES)), max_size=5), st.booleans()), min_size=1, max_size=3
)


@settings(max_examples=40)
@given(connections=connections, deeds=st.lists(st.sampled_from(DEEDS), max_size=10), journalled=st.booleans())
def test_a_program_that_receives_frames(connections, deeds, journalled):
    sockets, feeds = Sockets(), Feeds()
    module = SimpleNamespace(asyncio=asyncio, WSMsgType=aiohttp.WSMsgType, ClientWebSocketResponse=Socket)
    sockets.patch_reading(module)
    sockets.begin(ANY, feeds)
    taken = sum(EVENTS[frame] for frames, _ in connections for frame in frames)
    try:
        with Recorded(catalog=ingest.CATALOG, journalled=journalled) as recorded:
            program = Program(recorded, deeds)
            left: list[list[str]] = []

            async def session(frames: list[str], *, closes: bool) -> None:
                left.append(frames)
                socket = Socket(frames)
                if not closes:
                    await program.reads(socket)
                    return
                async with socket:
                    await program.reads(socket)

            async def main() -> None:
                for frames, closes in connections:
                    with suppress(LookupError):
                        await session(list(frames), closes=closes)
                    program.check()

            with suppress(ValueError, asyncio.CancelledError):
                asyncio.run(main())
            gc.collect()
            unread = sum(EVENTS[frame] for frames in left for frame in frames)
            unread += sum(EVENTS[frame] for frames, _ in connections[len(left) :] for frame in frames)
            found = recorded.collect()
            assert unbalanced(found) == {}
            account = accounts(found).get("websocket", {"received": 0, "in_flight": 0})
            assert (account["received"], account["in_flight"]) == (taken - unread, 0)
            assert recorded.problems() == {}
    finally:
        sockets.end(ANY)


KINDS = ["function", "coroutine", "raising function", "raising coroutine", "slow coroutine"]
STEPS = ["event", "result", "turn of the loop", "cancel", "check"]


def callback(kind: str):
    def function(_: dict) -> None:
        if "raising" in kind:
            raise ValueError

    async def coroutine(event: dict) -> None:
        await asyncio.sleep(30 if "slow" in kind else 0)
        function(event)

    return coroutine if "coroutine" in kind else function


async def listens(recorded: Recorded, kind: str, steps: list[str]) -> None:
    """Subscribe, and then take steps; the callbacks of the last events may be left to the end of the loop."""

    async def answered(*_: object, **__: object) -> None:
        pass

    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    own = asyncio.all_tasks()
    client = HomeAssistantClient("ws://home/api/websocket", "token")
    client.send_command = answered
    await client.subscribe_events(callback(kind))
    (subscription,) = client._subscriptions
    for step in steps:
        match step:
            case "event" | "result":
                message = {"id": subscription, "type": step, "success": True, "result": None, "event": {}}
                client._handle_incoming_message(message)
            case "turn of the loop":
                await asyncio.sleep(0)
            case "cancel":
                for task in asyncio.all_tasks() - own:
                    task.cancel()
            case "check":
                assert unbalanced(recorded.collect()) == {}


@settings(max_examples=40)
@given(kind=st.sampled_from(KINDS), steps=st.lists(st.sampled_from(STEPS), max_size=20), journalled=st.booleans())
def test_a_program_with_callbacks(kind, steps, journalled):
    instrumentor = HassClientInstrumentor()
    instrumentor.patches.is_on = True
    instrumentor._patch(hass_client.client)
    try:
        with Recorded(catalog=ingest.CATALOG, journalled=journalled) as recorded:
            asyncio.run(listens(recorded, kind, steps))
            gc.collect()
            found = recorded.collect()
            assert unbalanced(found) == {}
            account = accounts(found).get("websocket", {"received": 0, "in_flight": 0})
            assert (account["received"], account["in_flight"]) == (steps.count("event"), 0)
            assert recorded.problems() == {}
    finally:
        instrumentor.patches.is_on = False
        instrumentor.patches.undo()


@settings(max_examples=30)
@given(steps=st.lists(st.sampled_from(["receive", "take", "discard"]), max_size=20))
def test_events_leave_the_queue_only_if_they_were_received(steps):
    with Recorded(catalog=ingest.CATALOG, journalled=True) as recorded:
        waiting = Waiting()
        for step in steps:
            if step == "receive":
                waiting.receive()
            elif step == "take":
                if waiting.take():
                    ingest.QUEUED_EVENT.record(0.0, source="websocket")
            else:
                waiting.discard("invalid")
        waiting.end()
        found = recorded.collect()
        assert unbalanced(found) == {}
        assert accounts(found).get("websocket", {"in_flight": 0})["in_flight"] == 0
        assert recorded.problems() == {}
