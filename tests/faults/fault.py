"""A fault of a receiver of OTLP: its behaviour, and what the log says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import trustme
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from tests.faults.grpc_server import Refusal
from tests.faults.otlp_server import Behaviour
from tests.receivers import Reply, answer

AUTHORITY = trustme.CA()
"""The authority that the measured program trusts."""


@dataclass(frozen=True)
class Fault:
    """A fault: its row in the table, the behaviour of the receiver, and words of the log (a regular expression).

    If it `pauses`, the receiver asks for a pause that is longer than the test, so that only the last push comes in
    time. Without words, nothing is logged: the receiver stores everything. If it is found `by_name`, the behaviour is
    that of the resolver.
    """

    row: str
    behaviours: Sequence[Behaviour | Refusal | str]
    says: str
    pauses: bool = False
    by_grpc: bool = False
    tls: bool = False
    by_name: bool = False

    @property
    def arrives(self) -> bool:
        """Whether pushes arrive, at least in part."""
        return not self.says or "rejected" in self.says or "accepted" in self.says


def refused(status: str, row: str, **headers: str) -> Fault:
    """The fault of a receiver that answers every push with a status."""
    reply = answer(status, b"not today", **headers)
    return Fault(row, [Behaviour(reply)], f"failed: {status}")


def at(moment: str, reply: Reply, row: str, says: str, **more: bool) -> Fault:
    """The fault of a receiver that replies like this at a moment of a connection."""
    return Fault(row, [Behaviour(reply, moment)], says, **more)  # type: ignore[arg-type]  # one of the moments


def partial(rejected: int, message: str) -> bytes:
    """An answer that rejects so many data points."""
    response = ExportMetricsServiceResponse()
    response.partial_success.rejected_data_points = rejected
    response.partial_success.error_message = message
    return response.SerializeToString()
