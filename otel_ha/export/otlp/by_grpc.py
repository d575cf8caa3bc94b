"""The push by gRPC: one attempt, bounded in time and in the size of the response."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # missing in the stubs

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from otel_ha.config.otlp import OtlpSettings
from otel_ha.config.urls import Url
from otel_ha.export.otlp.answer import LIMIT, Answer, accepted, excerpt
from otel_ha.export.otlp.proxy import Proxy
from otel_ha.forks import ForkBarrier

_METHODS = {
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_OPTIONS = (("grpc.max_receive_message_length", LIMIT),)
# Source: OpenTelemetry specification, OTLP, OTLP/gRPC response, failures.
_RETRYABLE = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}
_RETRY_INFO = "google.rpc.retryinfo-bin"
_STATUS = "grpc-status-details-bin"
_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")
"""The variables in which gRPC looks for a proxy, in its order."""


_calls = ForkBarrier()
"""The calls of gRPC: a child that is forked during one may never get an answer."""


class GrpcSender:
    """Sends by gRPC. Raises OSError if a certificate cannot be read."""

    def __init__(self, otlp: OtlpSettings) -> None:
        url = otlp.url
        self._method = _METHODS[otlp.signal]
        # dns://server/host names a server of names: only a URL is taken apart.
        self._target = urlsplit(url).netloc if url.lower().startswith(("http://", "https://")) else url
        self._guesses_tls = otlp.secure and "://" not in url
        self._credentials = _credentials(otlp) if otlp.secure else None
        self._headers = tuple((key.lower(), value) for key, value in otlp.plain_headers().items())
        compressed = otlp.compression == "gzip"
        self._compression = grpc.Compression.Gzip if compressed else grpc.Compression.NoCompression
        self._channel: grpc.Channel | None = None
        self._is_closed = False

    def load(self) -> None:
        """Do nothing: everything is imported."""

    def send(self, payload: bytes, timeout: float) -> Answer:
        """Return the receiver's answer, or a failure, within `timeout` seconds."""
        with _calls:
            return self._sent(payload, timeout)

    def _sent(self, payload: bytes, timeout: float) -> Answer:
        try:
            export: Any = self._opened().unary_unary(self._method)  # without serializers: bytes in, bytes out
            response = export(payload, metadata=self._headers, timeout=timeout)
        except grpc.RpcError as error:
            self._reset()  # the channel would wait longer and longer before it connects again
            return self._failure(error, timeout)
        except Exception as error:  # noqa: BLE001 - closed meanwhile, or metadata that gRPC refuses
            return Answer(excerpt(str(error)) or type(error).__name__)
        return accepted(response) or Answer(
            f"OK with a body that is not an answer of OTLP: {excerpt(response)}", code="OK"
        )

    def proxy(self) -> Proxy | None:
        """Return the proxy through which gRPC connects, if there is one."""
        host = urlsplit(f"//{self._target}").hostname or ""
        excepted = {"no": os.environ.get("no_grpc_proxy") or os.environ.get("no_proxy") or ""}  # noqa: SIM112 - so spelt
        variable = next((name for name in _PROXIES if os.environ.get(name)), "")
        url = os.environ.get(variable, "")
        if not url.startswith("http://") or proxy_bypass_environment(host, excepted):
            return None  # gRPC ignores a proxy of another kind, or without http://
        return Proxy(Url(url), variable)

    def close(self) -> None:
        """Close the channel; an attempt that is waiting ends."""
        self._is_closed = True
        self._reset()

    def _opened(self) -> grpc.Channel:
        if self._is_closed:
            raise ValueError("shut down")
        if self._channel is None:
            settings: dict[str, Any] = {"options": _OPTIONS, "compression": self._compression}
            if self._credentials is None:
                self._channel = grpc.insecure_channel(self._target, **settings)
            else:
                self._channel = grpc.secure_channel(self._target, self._credentials, **settings)
        return self._channel

    def _reset(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _failure(self, error: Any, timeout: float) -> Answer:
        code, details = error.code(), excerpt(error.details() or "")
        if "larger than max" in details:
            if details.startswith("grpc: "):  # a receiver written in Go, such as the Collector, begins so
                return Answer(f"{code.name}, as the request is too large: {details}", code=code.name)
            return Answer(f"{code.name} with a response of more than {LIMIT >> 20} MiB: {details}", code=code.name)
        pause = _pause(error)
        text = f"{code.name}: {details}"
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            text += f" (no response within {timeout:.3g} s)"
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            text += " (the receiver limits pushes)"
        if code is grpc.StatusCode.UNAVAILABLE:
            text = self._with_cause(text)
        text += f"; RetryInfo: {pause:g} s" if pause is not None else ""
        return Answer(text, retryable=code in _RETRYABLE, pause=pause, code=code.name)

    def _with_cause(self, text: str) -> str:
        """Return the text with the probable cause of a connection that does not come about."""
        if proxy := self.proxy():
            return f"{text} (gRPC connects through the proxy {proxy.address} of {proxy.variable})"
        if self._guesses_tls and ("handshake" in text.lower() or "WRONG_VERSION_NUMBER" in text):
            return (
                f"{text} (an endpoint without a scheme uses TLS; if the receiver does not: "
                f"http://{self._target}, or OTEL_EXPORTER_OTLP_INSECURE=true)"
            )
        return text


def _credentials(otlp: OtlpSettings) -> grpc.ChannelCredentials:
    def content(path: Path | None) -> bytes | None:
        return path.read_bytes() if path else None

    return grpc.ssl_channel_credentials(
        content(otlp.certificate), content(otlp.client_key), content(otlp.client_certificate)
    )


def _pause(error: Any) -> float | None:
    """Return the seconds that the receiver asks for; None if it asks for none."""
    metadata = dict(error.trailing_metadata() or ())
    info = RetryInfo()
    try:
        if _RETRY_INFO in metadata:
            info.ParseFromString(metadata[_RETRY_INFO])
        elif not any(detail.Unpack(info) for detail in Status.FromString(metadata.get(_STATUS, b"")).details):
            return None
    except (DecodeError, TypeError):
        return None
    return float(max(info.retry_delay.seconds + info.retry_delay.nanos / 1e9, 0.0))
