"""Messages of a broker and of Home Assistant: each event is counted once, and each line can be read by a store."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from contextlib import suppress
from typing import Any

import pytest
from aiomqtt import Message
from hypothesis import strategies as st

from examples.ingestor.accounting import accounting
from examples.ingestor.connection import ConnectionEndedError
from examples.ingestor.dedup import Deduplicator
from examples.ingestor.event import Event, InvalidEventError
from examples.ingestor.filter import Filter
from examples.ingestor.frames import messages
from examples.ingestor.intake import Intake
from examples.ingestor.line_protocol import LONGEST_TAG, Point, to_point
from examples.ingestor.mqtt import MqttSource
from examples.ingestor.processing import Processor
from examples.ingestor.text_labels import TextLabels
from examples.ingestor.topics import Layout
from examples.ingestor.transformer import Transformer
from examples.ingestor.urls import Address
from examples.ingestor.value_template import UnsupportedTemplateError, parse
from examples.ingestor.websocket import WebSocketSource
from otel_ha import setup_telemetry
from otel_ha.instrumentation.home_assistant.frames import events_in
from otel_ha.instrumentation.influxdb.line_protocol import count_points
from otel_ha.instrumentation.topics.entities import UNKNOWN, entity_of
from otel_ha.instrumentation.topics.parser import TopicParser
from tests.fuzz.budget import Fuzz
from tests.fuzz.instruments import CATALOG, CONFIG
from tests.fuzz.line_protocol import read_line

TOPICS = [
    *(
        "ha/sensor/a/state",
        "ha/sensor/a/last_updated",
        "ha/sensor/a/unit_of_measurement",
        "ha/text/b/state",
        "ha/A-b/c/state",
    ),
    *("ha/sensor/a/config", "ha/device/b/config", "ha/light/n/c/config", "ha/climate/d/config", "ha/lock/e/config"),
    *(
        "z/lamp",
        "z/lamp/state",
        "z/lamp/set",
        "z/a/b/c",
        "z/",
        "t",
        "t/a",
        "ha",
        "ha/",
        "ha//x/state",
        "é/ü",
        "/" * 300,
    ),
    *("$SYS/broker/publish/messages/dropped", "ha/sensor/\u212a/state", "ha/sensor/a/friendly_name", "z/" + "x" * 1000),
]
KEYS = [
    *(
        "state",
        "value",
        "attributes",
        "last_updated",
        "stat_t",
        "avty",
        "avty_t",
        "t",
        "~",
        "val_tpl",
        "cmps",
        "p",
        "dev",
        "name",
    ),
    *(
        "obj_id",
        "schema",
        "default_entity_id",
        "unit_of_meas",
        "dev_cla",
        "pl_on",
        "pl_off",
        "avty_mode",
        "avty_tpl",
        "mode_stat_t",
    ),
    *(
        "mode_stat_tpl",
        "a",
        "",
        "\ud800",
        "a b",
        "time",
        "x_str",
        "state_topic",
        "availability",
        "components",
        "platform",
        "qos",
    ),
]
TEXTS = [
    *(
        "t",
        "~",
        "~/t",
        "t/a",
        "ON",
        "None",
        "on",
        "unknown",
        "sensor",
        "json",
        "",
        " ",
        "5",
        "-0",
        "1e400",
        "nan",
        "1_000",
        "٣",
    ),
    *(
        "{{ value_json.state }}",
        "{{ value | int }}",
        "{{ x }}",
        "{{value_json['a'][0]|round(2)}}",
        "{{ value|float('\\d')|int }}",
    ),
    *("{{ value_json." + "a." * 300 + "b }}", "{{ value | round(99999999999) }}", "{{ value|default(1if 2else 3) }}"),
    *(
        "2026-01-01T00:00:00+00:00",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "2026-01-01",
        "2262-04-11T23:47:17Z",
    ),
    *(
        "\ud800",
        "\x00",
        'a"b\\',
        "a,b =c\\",
        "\\",
        "\n",
        "\x85\u2028",
        "x" * 300,
        "sensor.a",
        "light.",
        ".",
        "#a.b",
        "a.b.c",
    ),
]
texts = st.sampled_from(TEXTS) | st.text(max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.sampled_from([10**400, 2**63, -(10**20)])
objects = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | texts, inner, max_size=5),
    max_leaves=15,
)
announcements = st.dictionaries(st.sampled_from(KEYS), texts | objects, min_size=1, max_size=8).map(
    lambda found: {"stat_t": "t", **found}
)
payloads = st.one_of(
    st.binary(max_size=20),
    texts.map(lambda text: text.encode(errors="surrogatepass")),
    (objects | announcements).map(lambda content: json.dumps(content).encode()),
    st.sampled_from(
        [b"[" * 5000, b'{"a":' * 500 + b"1" + b"}" * 500, b"\xef\xbb\xbf{}", b'{"a":1,"a":2}', b"9" * 5000]
    ),
)
states = st.dictionaries(
    st.sampled_from(["entity_id", "state", "attributes", "last_updated", "last_changed", "context", "", "\ud800"]),
    objects,
) | st.fixed_dictionaries(
    {
        "entity_id": st.sampled_from(["sensor.a", "text.b", "sensor.é", "x.y=z, w"]) | texts,
        "state": texts,
        "attributes": st.dictionaries(
            st.sampled_from(
                ["unit_of_measurement", "friendly_name", "device_class", "a", "time", "value", "a b", "\\"]
            ),
            objects,
        ),
        "last_updated": texts,
    }
)
events = st.builds(
    lambda entity, state: {"id": 2, "type": "event", "event": {"data": {"entity_id": entity, "new_state": state}}},
    st.just("sensor.a") | texts,
    st.none() | states,
)
frames = st.one_of(
    texts.map(lambda text: text.encode(errors="replace").decode()),
    (events | st.lists(events | objects, max_size=4)).map(json.dumps),
    objects.map(json.dumps),
    st.builds(
        lambda number, result: json.dumps({"id": number, "type": "result", "result": result}), st.integers(1, 3), states
    ),
    st.lists(states).map(lambda found: json.dumps({"id": 3, "type": "result", "success": True, "result": found})),
)
arrivals = st.lists(
    st.tuples(st.just("mqtt"), st.sampled_from(TOPICS), payloads, st.booleans())
    | st.tuples(st.just("websocket"), frames, st.booleans(), st.booleans()),
    min_size=1,
    max_size=20,
)


class Lines:
    """A sink that keeps the points."""

    def __init__(self) -> None:
        self.points: list[Point] = []

    async def put(self, point: Point) -> None:
        self.points.append(point)


async def take(given: list[tuple[Any, ...]]) -> list[Point]:
    """Let the example's parts take messages, as they arrive, and process the events; return the points."""
    intake, lines = Intake(1000), Lines()
    mqtt = MqttSource(Address("mqtt", "nowhere", 1883), Layout("ha", "ha", ("z",)), 0, intake)
    websocket = WebSocketSource(Address("http", "nowhere", 8123), "", intake)
    async with asyncio.timeout(60) as websocket._patience:
        await asyncio.sleep(0)
        for source, content, payload, flag in given:
            if source == "mqtt":
                mqtt.take(Message(content, payload, qos=0, retain=flag, mid=1, properties=None))
                if flag:
                    mqtt._messages.subscribed()
                    mqtt._messages.disconnected()
            else:
                with suppress(ConnectionEndedError):  # Home Assistant refuses the subscription
                    websocket._take(content)
    mqtt._messages.disconnected()
    transformer = Transformer((("*", ("a", "friendly_name", "time")),), ("friendly_name", "a b"), labels=TextLabels(3))
    processor = Processor(intake, Filter(exclude=("x.*",)), Deduplicator(0.0, transformer.names), transformer, lines)
    intake.close()
    await processor.run()
    return lines.points


def expected_of(given: list[tuple[Any, ...]]) -> int:
    """Return how many events must have been received at least."""
    of_mqtt = sum(arrival[0] == "mqtt" and arrival[1] == "ha/text/b/state" for arrival in given)
    return of_mqtt + sum(arrival[0] == "websocket" and count(arrival[1]) for arrival in given)


def count(frame: str) -> int:
    """Return the number of events in a frame; a frame that cannot be read counts as one."""
    try:
        found = messages(frame)
    except InvalidEventError:
        return 1
    return sum(each.get("type") == "event" for each in found)


def test_messages(fuzz: Fuzz, caplog: pytest.LogCaptureFixture) -> None:
    def check(given: list[tuple[Any, ...]]) -> None:
        with setup_telemetry("fuzz", config=CONFIG, catalog=CATALOG) as telemetry:
            points = asyncio.run(take(given))
            found = accounting(telemetry.prometheus_text())
        assert found.adds_up, found
        assert found.in_flight == 0
        assert found.received >= expected_of(given)
        assert not found.processed.keys() - {"ok"}
        assert not [each for each in caplog.records if each.exc_info]
        for point in points:
            assert count_points(point.line) == point.line.count("\n") + 1
            for line in point.line.split("\n"):
                read_line(line)
            point.line.encode()

    fuzz(check, arrivals, most=10)


def test_topics(fuzz: Fuzz, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "otel_ha")

    def check(given: list[tuple[str, bytes]]) -> None:
        parser = TopicParser()
        for topic, payload in given:
            found = parser.parse(topic, payload)
            assert found == UNKNOWN or entity_of(found.entity or found.domain) == found
        assert not [each for each in caplog.records if each.exc_info]

    more = [
        "homeassistant/light/x/config",
        "homeassistant/device/x/config",
        "tasmota/discovery/x/config",
        "a/b/c/d/config",
    ]
    topics = st.sampled_from([*TOPICS, *more]) | st.text(max_size=20)
    fuzz(check, st.lists(st.tuples(topics, payloads), max_size=10))


def test_points_in_a_text(fuzz: Fuzz) -> None:
    pieces = ["a,b=c ", "v=1", 'v="', '"', "\\", "\n", "#", " ", "=", ",", "1", "\r\n", "\0", "é", "\\\n", "x" * 5000]

    def check(text: str) -> None:
        found = count_points(text)
        assert 0 <= found <= text.count("\n") + 1
        assert count_points(text.encode()) == found

    fuzz(check, st.lists(st.sampled_from(pieces), max_size=30).map("".join))


def test_frames(fuzz: Fuzz) -> None:
    def check(frame: str) -> None:
        encoded = frame.encode(errors="surrogatepass")
        found = events_in(frame)
        assert len(events_in(memoryview(encoded))) in {0, len(found)}
        with_room = f" {frame}"
        assert len(events_in(with_room)) == len(found)

    fuzz(check, frames, most=50)


def test_value_templates(fuzz: Fuzz) -> None:
    parts = [
        "{{",
        "}}",
        " ",
        "value",
        "value_json",
        ".a",
        "['b']",
        "[0]",
        "|",
        "float",
        "int",
        "round",
        "default",
        "(",
        ")",
    ]
    parts += [
        "1",
        "'x'",
        "-",
        "\\d",
        "1if 2",
        "\x00",
        "is_defined",
        "upper",
        ",",
        "9" * 50,
        "٣",
        "(" * 300,
        "1e999",
        "None",
    ]
    templates = st.lists(st.sampled_from(parts), max_size=12).map("".join) | st.sampled_from(TEXTS)

    def check(given: tuple[str, bytes]) -> None:
        try:
            template = parse(given[0])
        except UnsupportedTemplateError:
            return
        try:
            assert isinstance(template.render(given[1]), str)
        except InvalidEventError:
            return

    in_template = st.lists(st.sampled_from(parts[3:])).map(lambda inner: "{{" + "".join(inner) + "}}")
    fuzz(check, st.tuples(templates | in_template, payloads), most=50)


@st.composite
def valid_events(draw: st.DrawFn) -> Event | None:
    names = st.sampled_from(["sensor", "text", "a b", "a,b", "a=b", "a\\", '"', "é", "\u2028"]) | st.text(
        min_size=1, max_size=9
    )
    try:
        return Event(
            "mqtt",
            f"{draw(names)}.{draw(names)}",
            draw(texts),
            draw(st.integers(0, 2**63 - 2)),
            draw(
                st.dictionaries(st.sampled_from(["unit_of_measurement", "friendly_name"]) | names, objects, max_size=4)
            ),
            fields=draw(st.dictionaries(names, st.floats() | texts, max_size=4)),
        )
    except InvalidEventError:
        return None


def test_lines(fuzz: Fuzz) -> None:
    def check(event: Event) -> None:
        point = to_point(event, list(event.attributes), list(event.attributes))
        if point is None:
            return
        read = read_line(point.line)
        assert read.timestamp == event.timestamp
        assert read.measurement == in_names(event.domain)
        assert read.tags["entity_id"] == in_names(event.object_id)
        assert all(math.isfinite(value) for value in read.fields.values() if isinstance(value, float))
        for name, value in event.fields.items():
            if isinstance(value, float) and math.isfinite(value) and name not in event.attributes:
                assert value in read.fields.values()

    fuzz(check, valid_events().filter(lambda event: event is not None), most=50)


def in_names(text: str) -> str:
    """Return a text as it is written in names: no breaks, and a slash for a backslash."""
    return "".join(" " if ord(each) < 32 else "/" if each == "\\" else each for each in text[:LONGEST_TAG])
