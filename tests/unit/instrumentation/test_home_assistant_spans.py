"""Spans of events that a program receives itself, and of callbacks of hass-client."""

import asyncio

import pytest
from hass_client.client import HomeAssistantClient
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_ha.declare.spans import SPANS
from otel_ha.instrumentation.hass_client import HassClientInstrumentor
from tests.home_assistant import TOKEN, home_server, state_changed
from tests.instrumented import instrumented, running
from tests.unit.instrumentation.programs import PROGRAMS

LIGHT, SENSOR = state_changed("light.kitchen"), state_changed("sensor.door")


@pytest.fixture
async def home():
    async with home_server() as home:
        yield home


@pytest.fixture
def spans():
    """Finished spans, in a list that grows."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    SPANS.open_by(provider.get_tracer("test"))
    yield exporter.get_finished_spans
    SPANS.open_by(None)
    provider.shutdown()


def current() -> int:
    return trace.get_current_span().get_span_context().span_id


@pytest.mark.parametrize("library", PROGRAMS)
async def test_the_program_is_in_the_span_of_an_event_until_it_asks_for_the_next(home, spans, library):
    instrumentor, program = PROGRAMS[library]
    seen_in: list[int] = []
    with instrumented(instrumentor()) as seen:
        async with running(program(home.url, lambda _: seen_in.append(current()))):
            await home.events(LIGHT, SENSOR)
            await seen.until(lambda: len(spans()) == 2)
            await home.close(1000)
    assert [span.context.span_id for span in spans()] == seen_in
    assert [span.parent for span in spans()] == [None, None]
    assert [span.attributes["homeassistant.domain"] for span in spans()] == ["light", "sensor"]


@pytest.mark.parametrize("library", PROGRAMS)
async def test_events_of_one_frame_have_spans_beside_each_other_and_the_program_is_in_none(home, spans, library):
    instrumentor, program = PROGRAMS[library]
    seen_in: list[int] = []
    with instrumented(instrumentor()) as seen:
        async with running(program(home.url, lambda _: seen_in.append(current()))):
            await home.events(LIGHT, LIGHT, SENSOR, coalesced=True)
            await seen.until(lambda: len(spans()) == 3)
            await home.close(1000)
    assert seen_in == [0]
    assert [span.parent for span in spans()] == [None] * 3


async def test_a_callback_is_in_its_span(home, spans):
    seen_in: list[int] = []

    async def note(_: dict) -> None:
        await asyncio.sleep(0)
        seen_in.append(current())

    with instrumented(HassClientInstrumentor()) as seen:
        async with HomeAssistantClient(home.url, TOKEN) as client:
            await client.subscribe_events(note)
            await home.events(LIGHT, SENSOR)
            await seen.until(lambda: len(spans()) == 2)
    assert sorted(span.context.span_id for span in spans()) == sorted(seen_in)
