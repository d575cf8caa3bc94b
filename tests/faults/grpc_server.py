"""An OTLP server by gRPC that fails until it recovers; see otlp_server for one by HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc

from tests.faults.otlp_server import Behaviour, ScriptedServer
from tests.receivers import HOST, Receiver, Request
from tests.servers.running import free_ports

Refusal = Callable[[grpc.ServicerContext], bytes]
_METHODS = {
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export": "/v1/metrics",
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export": "/v1/traces",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export": "/v1/logs",
}


@dataclass
class ScriptedGrpcServer(Receiver, grpc.GenericRpcHandler):
    """A server by gRPC: `requests` are those that it stored, `met` counts those that met a refusal."""

    met: int = 0
    _refusal: Refusal | None = None
    _server: Any = None
    _stand_in: ScriptedServer | None = None
    """The server that has the port while a Behaviour lasts."""

    def fail(self, fault: Refusal | Behaviour) -> None:
        """Refuse like this, or let a server that does not speak gRPC behave like this, until recover()."""
        if not isinstance(fault, Behaviour):
            self._refusal = fault
            return
        self._server.stop(0).wait()
        self._stand_in = ScriptedServer(self.port)
        self._stand_in.start()
        self._stand_in.fail(fault)

    def recover(self) -> None:
        """Store every request from now on."""
        self._refusal = None
        if self._stand_in is not None:
            self._stand_in.stop()
            self._stand_in = None
            self.start()

    def start(self) -> None:
        """Accept connections."""
        self._server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((self,))
        self._server.add_insecure_port(f"{HOST}:{self.port}")
        self._server.start()

    def stop(self) -> None:
        """End, with all connections."""
        self.ended.set()
        if self._stand_in is not None:
            self._stand_in.stop()
        self._server.stop(0).wait()

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of a request."""
        target = _METHODS.get(details.method)
        return grpc.unary_unary_rpc_method_handler(partial(self._export, target)) if target else None

    def _export(self, target: str, body: bytes, context: grpc.ServicerContext) -> bytes:
        if (refusal := self._refusal) is not None:
            self.met += 1
            return refusal(context)
        self.requests.append(Request(target, {}, body))
        return b""


@contextmanager
def scripted_by_grpc() -> Iterator[ScriptedGrpcServer]:
    """A server by gRPC on a port that it keeps when it stops listening."""
    [port] = free_ports(1)
    server = ScriptedGrpcServer(port)
    server.start()
    try:
        yield server
    finally:
        server.stop()
