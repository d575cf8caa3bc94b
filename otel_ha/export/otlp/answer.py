"""Answer: the receiver's answer to one attempt to push, in the words that the log and /healthz show."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from otel_ha.scrub import scrub

LIMIT = 4 << 20
"""The most bytes of a response that are read, decoded or not. An answer to a push has a few hundred."""

_SCRUBBED = 1 << 16
"""Characters of a response that are searched for secrets, and of which the excerpt is taken."""

_REJECTED = ("rejectedDataPoints", "rejectedSpans", "rejectedLogRecords")

_EXCERPT = 300
"""Characters of a response that a message quotes."""


@dataclass(frozen=True)
class Answer:
    """The answer to one attempt: `error` is empty if it arrived.

    A failure may be `retryable`, after `pause` seconds if the receiver asks for them, or `at_once` if only the
    connection was an old one. Of a push that arrived, `rejected` data points, spans or
    records were not stored; `remark` is the message
    of the receiver. `skipped` is whether nothing was sent, as the receiver had asked for a pause. `code` is the status
    of a failed response, a number of HTTP or a name of gRPC; without a response it is DEADLINE_EXCEEDED if the receiver
    hangs, and UNAVAILABLE for other failures of a connection.
    """

    error: str = ""
    retryable: bool = False
    pause: float | None = None
    at_once: bool = False
    rejected: int = 0
    remark: str = ""
    skipped: bool = False
    code: str = ""


def accepted(body: bytes) -> Answer | None:
    """Return the answer of a successful response; None if its body is not the response to an export.

    The body has to be empty or to have its one field, partial success: most texts decode as well, as unknown fields.
    The responses for traces and for logs have the same form, with other names.
    """
    if not body:
        return Answer()
    return _from_protobuf(body) or _from_json(body)


def _from_protobuf(body: bytes) -> Answer | None:
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - the exporters are imported when they are chosen
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (  # noqa: PLC0415
        ExportMetricsServiceResponse,
    )

    try:
        response = ExportMetricsServiceResponse.FromString(body)
    except DecodeError:
        return None
    if not response.HasField("partial_success"):
        return None
    partial = response.partial_success
    return Answer(rejected=max(partial.rejected_data_points, 0), remark=excerpt(partial.error_message))


def _from_json(body: bytes) -> Answer | None:
    try:
        response = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if response == {}:
        return Answer()
    partial = response.get("partialSuccess") if isinstance(response, dict) else None
    if not isinstance(partial, dict):
        return None
    try:
        # 64-bit numbers are text in OTLP's JSON.
        rejected = int(next((partial[name] for name in _REJECTED if partial.get(name)), 0))
    except (TypeError, ValueError, OverflowError):
        return None
    return Answer(rejected=max(rejected, 0), remark=excerpt(str(partial.get("errorMessage") or "")))


def excerpt(text: bytes | str) -> str:
    """Return the beginning of a text from outside on one line, without control characters."""
    if isinstance(text, bytes):
        text = text[:_SCRUBBED].decode("utf-8", "replace")
    text = scrub(text[:_SCRUBBED])  # before anything is cut off, as half a secret is not recognized
    text = re.sub(r"\s+", " ", text[: 4 * _EXCERPT]).strip()
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]}…"


def seconds_to_wait(retry_after: str | None, now: Callable[[], float] = time.time) -> float | None:
    """Return the seconds that a header Retry-After asks for; None if there is none that can be read."""
    if not retry_after:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            date = parsedate_to_datetime(retry_after)
            seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now()
        except (TypeError, ValueError, OverflowError):
            return None
    return None if math.isnan(seconds) else max(seconds, 0.0)
