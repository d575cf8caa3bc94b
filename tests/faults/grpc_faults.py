"""Faults of a receiver by gRPC."""

from __future__ import annotations

import time

import grpc
from google.rpc.error_details_pb2 import RetryInfo

from tests.faults.fault import Fault, partial
from tests.faults.grpc_server import Refusal
from tests.faults.otlp_server import Behaviour, reset
from tests.receivers import answer, silent


def _aborted(code: grpc.StatusCode, *metadata: tuple[str, bytes]) -> Refusal:
    def refuse(context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata(metadata)
        context.abort(code, "not today")

    return refuse


def _retry_info(seconds: int) -> tuple[str, bytes]:
    info = RetryInfo()
    info.retry_delay.seconds = seconds
    return "google.rpc.retryinfo-bin", info.SerializeToString()


def _hang(context: grpc.ServicerContext) -> bytes:
    while context.is_active():
        time.sleep(0.02)
    return b""


def _by_grpc(row: str, behaviour: Behaviour | Refusal, says: str, **more: bool) -> Fault:
    return Fault(f"gRPC: {row}", [behaviour], says, by_grpc=True, **more)


_CODE = grpc.StatusCode
_LATER = "UNAVAILABLE, RESOURCE_EXHAUSTED (without RetryInfo, with a short or a negative one)"
_NEVER = "UNAUTHENTICATED, INVALID_ARGUMENT, UNIMPLEMENTED, INTERNAL"
_BROKEN = "connection refused or reset; port of HTTP/1.1"
_SILENT = "receiver that hangs, before or after it accepts; black hole"
GRPC = {
    **{
        f"gRPC {code.name}": _by_grpc(row, _aborted(code), f"failed: {code.name}")
        for row, codes in {
            _LATER: (_CODE.UNAVAILABLE, _CODE.RESOURCE_EXHAUSTED),
            _NEVER: (_CODE.UNAUTHENTICATED, _CODE.INVALID_ARGUMENT, _CODE.UNIMPLEMENTED, _CODE.INTERNAL),
        }.items()
        for code in codes
    },
    **{
        f"gRPC with {name} RetryInfo": _by_grpc(
            _LATER, _aborted(_CODE.RESOURCE_EXHAUSTED, _retry_info(seconds)), f"RetryInfo: {max(seconds, 0)} s"
        )
        for name, seconds in {"a short": 1, "a negative": -5}.items()
    },
    "gRPC with a RetryInfo of hours": _by_grpc(
        "UNAVAILABLE with a RetryInfo of hours",
        _aborted(_CODE.UNAVAILABLE, _retry_info(7200)),
        "no push for the next 300 s",
        pauses=True,
    ),
    "gRPC rejected points": _by_grpc(
        "partial success: 3 data points rejected", lambda _: partial(3, "too old"), "rejected 3 data points"
    ),
    "gRPC another answer": _by_grpc(
        "OK with an answer of another service", lambda _: b"\x12\x07Welcome", "not an answer of OTLP"
    ),
    "gRPC no answer": _by_grpc(_SILENT, _hang, "DEADLINE_EXCEEDED"),
    "gRPC silent connection": _by_grpc(_SILENT, Behaviour(silent, "connection"), "failed: "),
    "gRPC black hole": _by_grpc(_SILENT, Behaviour(silent, "full"), "failed: "),
    "gRPC refused": _by_grpc(_BROKEN, Behaviour(reset, "never"), "UNAVAILABLE"),
    "gRPC reset": _by_grpc(_BROKEN, Behaviour(reset, "connection"), "UNAVAILABLE"),
    "gRPC no gRPC": _by_grpc(_BROKEN, Behaviour(answer(), "connection"), "UNAVAILABLE"),
}
