"""A program that counts by the vocabulary, shows which providers it finds, and runs an event loop until it is ended."""

import asyncio
import os
import sys

from opentelemetry import metrics

from otel_ha import measured
from otel_ha.vocabulary import ingest

ingest.RECEIVED.add(5, source="mqtt")
with measured(ingest.EVENT, source="mqtt"):
    pass
provider = type(metrics.get_meter_provider())
print(f"provider={provider.__module__}", f"names={os.environ.get('OTEL_SEMCONV_STABILITY_OPT_IN')}")
print("loaded:", *(name for name in ("otel_ha.telemetry", "opentelemetry.distro") if name in sys.modules))
asyncio.run(asyncio.sleep(3600))
