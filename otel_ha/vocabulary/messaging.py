"""The messaging vocabulary: messages that a service sends to a broker.

Names are those of OpenTelemetry's semantic conventions for messaging (schema 1.44, in development). Received messages
are events of the ingest vocabulary, which has their account; they have no second name here.
"""

from __future__ import annotations

from otel_ha.declare.catalog import Catalog
from otel_ha.declare.instruments import SUB_SECOND, Attribute, Counter, Histogram
from otel_ha.vocabulary.ingest import ERROR_TYPE

SYSTEM = Attribute("messaging.system", "The messaging system, for example mqtt.", budget=16)
OPERATION = Attribute("messaging.operation.name", "The operation, for example publish.", keyword="operation", budget=16)

SENT = Counter(
    "messaging.client.sent.messages",
    unit="{message}",
    description="Messages sent to a broker.",
    attributes=(SYSTEM, OPERATION, ERROR_TYPE),
    series=64,
)
OPERATION_DURATION = Histogram(
    "messaging.client.operation.duration",
    unit="s",
    description="Time from sending a message until the broker acknowledges it.",
    attributes=(SYSTEM, OPERATION, ERROR_TYPE),
    buckets=SUB_SECOND,
    group="performance",
    series=64,
)

CATALOG = Catalog(SENT, OPERATION_DURATION)
