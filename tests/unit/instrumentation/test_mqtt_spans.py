"""Spans of MQTT messages: current while a callback, or the body of a loop, works on a message, and not after."""

import asyncio

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import get_current_span

from otel_ha.declare.spans import SPANS
from otel_ha.instrumentation.aiomqtt import AiomqttInstrumentor
from otel_ha.instrumentation.paho_mqtt import PahoMqttInstrumentor
from tests.unit.instrumentation.mqtt import client as paho_client
from tests.unit.instrumentation.mqtt import message, seen
from tests.unit.instrumentation.test_aiomqtt import arrive, client, settled

NONE = 0


@pytest.fixture
def ended():
    """The spans that have ended, by identity and outcome, while both libraries are instrumented."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with seen(PahoMqttInstrumentor(), AiomqttInstrumentor()):
        SPANS.open_by(provider.get_tracer("test"))
        try:
            yield lambda: [
                (each.context.span_id, each.attributes["homeassistant.outcome"])
                for each in exporter.get_finished_spans()
            ]
        finally:
            SPANS.open_by(None)
            provider.shutdown()


def current():
    return get_current_span().get_span_context().span_id


def test_a_callback_of_paho_mqtt_is_in_the_span_of_its_message(ended):
    own, spans = paho_client(), []
    own.on_message = lambda *_: spans.append(current())
    for _ in range(2):
        own._handle_on_message(message())
    assert ended() == [(each, "ok") for each in spans]
    assert (len(set(spans)), current()) == (2, NONE)


def test_a_swallowed_exception_ends_the_span_as_an_error(ended):
    own = paho_client()
    own.suppress_exceptions = True
    own.on_message = lambda *_: {}["no such entity"]
    own._handle_on_message(message())
    assert [outcome for _, outcome in ended()] == ["error"]


async def test_the_body_of_a_loop_is_in_the_span_of_its_message(ended):
    own, spans = client(), []
    arrive(own, 2)
    async for _ in own.messages:
        spans.append(current())
        if len(spans) == 2:
            break
    assert current() == NONE
    await settled()
    assert ended() == [(each, "ok") for each in spans]
    assert (len(set(spans)), current()) == (2, NONE)


async def test_after_a_failed_body_the_program_is_outside_of_the_span(ended):
    own = client()
    arrive(own)
    try:
        async for _ in own.messages:
            raise KeyError("lamp")  # noqa: TRY301 - the exception leaves the loop
    except KeyError as error:
        assert current() == NONE
        await own.__aexit__(KeyError, error, None)
    assert ([outcome for _, outcome in ended()], current()) == (["error"], NONE)


async def test_a_cancelled_worker_ends_its_span(ended):
    own, spans = client(), []
    arrive(own)

    async def work():
        async for _ in own.messages:
            spans.append(current())
            await asyncio.sleep(100)

    worker = asyncio.create_task(work())
    await settled()
    worker.cancel()
    await asyncio.wait([worker])
    await settled()
    assert ended() == [(spans[0], "cancelled")]


async def test_waiting_for_a_message_is_in_no_span(ended):
    waiting_in = []

    class Queue(asyncio.Queue):
        async def get(self):
            waiting_in.append(current())
            return await super().get()

    own = client(queue_type=Queue)
    arrive(own, 2)
    messages = own.messages
    await anext(messages)
    assert current() != NONE
    await anext(messages)
    assert waiting_in == [NONE, NONE]
