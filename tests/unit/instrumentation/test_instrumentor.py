"""LibraryInstrumentor: what holds for the instrumentor of any library."""

import inspect
import subprocess
import sys

import paho.mqtt.client as paho

from otel_ha.instrumentation.aiomqtt import AiomqttInstrumentor
from otel_ha.instrumentation.paho_mqtt import PahoMqttInstrumentor
from otel_ha.instrumentation.topics.parser import UNKNOWN, topic_parser


def test_a_library_that_is_imported_after_several_rounds_is_observed_once():
    code = """
import warnings; warnings.simplefilter("error")
import sys
from opentelemetry.sdk.metrics import MeterProvider
from otel_ha.instrumentation.aiomqtt import AiomqttInstrumentor
from otel_ha.telemetry import attach, running_telemetry
from otel_ha.vocabulary import ingest
instrumentor = AiomqttInstrumentor()
for _ in range(3):
    instrumentor.instrument()
    instrumentor.uninstrument()
instrumentor.instrument()
assert "aiomqtt" not in sys.modules
before = ingest.QUEUE_SIZE.recorder.number
import aiomqtt
print(ingest.QUEUE_SIZE.recorder.number - before)
instrumentor.uninstrument()
attach()
print(ingest.QUEUE_SIZE.recorder.number)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=50)
    assert (done.stdout.split(), done.stderr) == (["1", "0"], "")


def test_a_topic_parser_is_given_until_the_last_library_is_uninstrumented():
    first, second = PahoMqttInstrumentor(), AiomqttInstrumentor()
    first.instrument(topic_parser=lambda *_: "cover.garage")
    second.instrument()
    first.uninstrument()
    assert topic_parser().parse("garage/left", b"") == ("cover", "cover.garage")
    second.uninstrument()
    assert topic_parser().parse("garage/left", b"") == UNKNOWN


def test_instrumented_functions_have_their_name_signature_and_documentation():
    def told():
        return {name: (each.__name__, inspect.signature(each), each.__doc__) for name, each in functions()}

    def functions():
        return [(name, each) for name, each in vars(paho.Client).items() if inspect.isfunction(each)]

    before, bare = told(), dict(functions())
    instrumentor = PahoMqttInstrumentor()
    instrumentor.instrument()
    try:
        assert dict(functions()) != bare
        assert told() == before
    finally:
        instrumentor.uninstrument()
