"""The push by HTTP: one attempt, bounded in time and in the size of the response."""

from __future__ import annotations

import contextvars
import gzip
import os
import re
import threading
import time
import zlib
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from otel_ha.config.urls import Url
from otel_ha.export.otlp.answer import LIMIT, Answer, accepted, excerpt, seconds_to_wait
from otel_ha.export.otlp.proxy import Proxy
from otel_ha.export.otlp.transport import Transport

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_PIECE = 1 << 16
_GRACE = 0.1
"""Seconds by which a connection's own time limit is shorter, as it knows the cause; and to end when cut off."""
_SUCCESS, _REDIRECT = 2, 3
_HTTP_1_1 = 11
_UNAVAILABLE = "UNAVAILABLE"
_RETRYABLE = {429, 502, 503, 504}
_ADVICE: dict[int, str] = {
    HTTPStatus.TOO_MANY_REQUESTS: " (the receiver limits pushes)",
    HTTPStatus.SERVICE_UNAVAILABLE: " (the receiver is overloaded or not ready)",
}


class _ResponseError(Exception):
    """A response that cannot be read, even with more time."""


class HttpSender:
    """Sends to `url` by HTTP, with `headers`; `compression` is none, gzip or deflate."""

    def __init__(self, transport: Transport, url: str, headers: dict[str, str], compression: str) -> None:
        self._transport = transport
        self._url = url
        self._compression = compression
        # No compressed response is asked for; a receiver that sends one has it decoded all the same.
        self._headers = {"content-type": "application/x-protobuf", "accept-encoding": "identity", **headers}
        if compression != "none":
            self._headers.setdefault("content-encoding", compression)
        self._attempt: threading.Thread | None = None

    def load(self) -> None:
        """Import the modules that an attempt and its failure import otherwise, in its thread."""
        from google.rpc import status_pb2  # noqa: F401, PLC0415

        self._transport.load()

    def send(self, payload: bytes, timeout: float) -> Answer:
        """Return the receiver's answer, or a failure, within `timeout` seconds."""
        body = _compressed(payload, self._compression)
        deadline = time.monotonic() + timeout
        try:
            return self._bounded(lambda: self._sent(body, deadline - min(_GRACE, timeout / 4)), timeout)
        except Exception as error:  # noqa: BLE001 - a transport that raises is an attempt that failed
            return self._failure(error, timeout)

    def proxy(self) -> Proxy | None:
        """Return the proxy through which pushes go, if there is one."""
        url = self._transport.proxy(self._url)
        if not url:
            return None
        names = (f"{urlsplit(self._url).scheme}_proxy", "all_proxy")
        variable = next((each for name in names for each in (name, name.upper()) if os.environ.get(each)), "")
        return Proxy(Url(url if "://" in url else f"http://{url}"), variable)

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def _bounded(self, attempt: Callable[[], Answer], timeout: float) -> Answer:
        """Run an attempt in a thread: a name server or a receiver that drips would hold this one for any time."""
        if self._attempt is not None and self._attempt.is_alive():
            raise _ResponseError("an earlier request has not ended yet")
        results: list[Answer | Exception] = []

        def work() -> None:
            try:
                results.append(attempt())
            except Exception as error:  # noqa: BLE001 - raised again below
                results.append(error)

        context = contextvars.copy_context()  # it says that pushes are not traced
        self._attempt = threading.Thread(target=context.run, args=(work,), name="otel-ha-push", daemon=True)
        try:
            self._attempt.start()
        except RuntimeError:  # at its end, the interpreter starts no threads
            self._attempt = None
            work()
        else:
            self._attempt.join(timeout)
            if self._attempt.is_alive():
                self._transport.cut_off()
                self._attempt.join(_GRACE)
                raise TimeoutError(f"the response did not end within {timeout:.3g} s")
        if isinstance(results[0], Exception):
            raise results[0]
        return results[0]

    def _sent(self, body: bytes, deadline: float) -> Answer:
        response = self._transport.post(self._url, body, self._headers, max(deadline - time.monotonic(), 0.001))
        received = bytearray()
        try:
            _receive(response, received, deadline)
            content = _decoded(response, received)
        except BaseException:
            response.close()  # reading the rest to use the connection again could take forever
            if response.status // 100 == _SUCCESS:
                raise
            content = bytes(received)  # of a failure, the beginning is enough
        else:
            response.release_conn()
        return self._judged(response, content)

    def _judged(self, response: BaseHTTPResponse, content: bytes) -> Answer:
        """Return the answer that a response is."""
        status, kind = response.status, response.headers.get("content-type") or ""
        message = f"{status} {excerpt(response.reason or '')}".strip()
        is_page = bool(content) and "html" in kind.lower()
        if status // 100 == _SUCCESS:
            answer = None if is_page else accepted(content)
            if answer is not None:
                return answer
            message += " with a body that is not an answer of OTLP: not an OTLP receiver?"
        elif status // 100 == _REDIRECT:
            message += " (redirects are not followed; push to their target)"
        pause = seconds_to_wait(response.headers.get("retry-after")) if status in _RETRYABLE else None
        message += _ADVICE.get(status, "")
        location = (response.headers.get("location") or "").partition("?")  # the rest may be a token
        message += f"; Location: {excerpt(location[0])}{'?***' if location[1] else ''}" if location[0] else ""
        message += f"; Retry-After: {excerpt(response.headers['retry-after'])}" if pause is not None else ""
        message += f"; body: {_text(content, kind)}" if content else ""
        return Answer(self._by_proxy(message), retryable=status in _RETRYABLE, pause=pause, code=str(status))

    def _failure(self, error: Exception, timeout: float) -> Answer:
        """Return the answer for an attempt without a usable response."""
        inner = _innermost(error)
        name, text = type(inner).__name__, excerpt(str(inner))
        if isinstance(inner, _ResponseError):
            return Answer(self._by_proxy(text), code=_UNAVAILABLE)
        system_error = re.search(r"\[Errno -?\d+\] [^\"')]+", text)
        if system_error:
            text = system_error[0]
        elif "ConnectTimeout" in name:
            text = f"no connection within {timeout:.3g} s"
        elif "ReadTimeout" in name:
            text = f"connected, but no response within {timeout:.3g} s"
        elif "WRONG_VERSION_NUMBER" in text or "record layer failure" in text:
            text += " (the port does not use TLS: http:// in place of https://?)"
        proxy = self.proxy()
        if proxy and any(part in name for part in ("NewConnection", "ConnectTimeout", "NameResolution", "Proxy")):
            text = f"the proxy {proxy} cannot be used: {text}"
        elif proxy and "Tunnel" in text:
            text = f"the proxy {proxy} refuses: {text}"
        else:
            text = self._by_proxy(text)
        is_untrusted = "CERTIFICATE_VERIFY_FAILED" in text
        is_old = any(part in name for part in ("RemoteDisconnected", "ConnectionReset", "BrokenPipe"))
        code = "DEADLINE_EXCEEDED" if isinstance(inner, TimeoutError) or "Timeout" in name else _UNAVAILABLE
        return Answer(text, retryable=not is_untrusted, at_once=is_old, code=code)

    def _by_proxy(self, message: str) -> str:
        proxy = self.proxy()
        return f"{message} (through the proxy {proxy})" if proxy else message


def _compressed(payload: bytes, compression: str) -> bytes:
    if compression == "gzip":
        return gzip.compress(payload)
    return zlib.compress(payload) if compression == "deflate" else payload


def _receive(response: BaseHTTPResponse, received: bytearray, deadline: float) -> None:
    """Read the body of a response, of at most LIMIT bytes, by the deadline."""
    while piece := response.read(_PIECE, decode_content=False):
        received += piece
        if len(received) > LIMIT:
            raise _ResponseError(_too_large(response))
        if time.monotonic() > deadline:
            raise TimeoutError("the response did not end in time")
    if not received and not _has_an_end(response):
        raise ConnectionResetError(f"{response.status}, but the connection ended before the headers did")


def _has_an_end(response: BaseHTTPResponse) -> bool:
    """Whether an empty response is known to be whole: http.client takes the end of a connection for that of headers."""
    return (
        response.version != _HTTP_1_1
        or response.status in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
        or any(name in response.headers for name in ("content-length", "transfer-encoding", "connection"))
    )


def _decoded(response: BaseHTTPResponse, received: bytearray) -> bytes:
    """Return the body without its compression, of at most LIMIT bytes."""
    coding = (response.headers.get("content-encoding") or "identity").strip().lower()
    if not received or coding == "identity":
        return bytes(received)
    if coding not in {"gzip", "x-gzip", "deflate"}:
        raise _ResponseError(f"{response.status} with an unknown Content-Encoding: {excerpt(coding)}")
    inflating = zlib.decompressobj(wbits=47)  # gzip or zlib
    try:
        decoded = inflating.decompress(received, LIMIT + 1)
    except zlib.error as error:
        raise _ResponseError(f"{response.status} with a body that cannot be decoded: {error}") from error
    if len(decoded) > LIMIT:
        raise _ResponseError(_too_large(response))
    if not inflating.eof or inflating.unused_data:
        raise _ResponseError(f"{response.status} with a body that cannot be decoded")
    return decoded


def _too_large(response: BaseHTTPResponse) -> str:
    return f"{response.status} with a body of more than {LIMIT >> 20} MiB: not an OTLP receiver?"


def _text(content: bytes, kind: str) -> str:
    """Return the beginning of a body, or the message in it if it is a Status of OTLP."""
    if "protobuf" in kind:
        from google.protobuf.message import DecodeError  # noqa: PLC0415 - only for a failure
        from google.rpc.status_pb2 import Status  # noqa: PLC0415

        try:
            return excerpt(Status.FromString(content).message) or excerpt(content)
        except DecodeError:
            pass
    return excerpt(content)


def _innermost(error: BaseException) -> BaseException:
    """Return the error at the bottom: the others wrap it, and quote the URL, which may have a token."""
    for _ in range(10):
        inner = [each for each in (getattr(error, "reason", None), *error.args) if isinstance(each, BaseException)]
        if not inner:
            break
        error = inner[0]
    return error
