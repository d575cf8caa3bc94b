"""LibraryInstrumentor: what holds for the instrumentor of any library."""

import subprocess
import sys


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
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120)
    assert (done.stdout.split(), done.stderr) == (["1", "0"], "")
