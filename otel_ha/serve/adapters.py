"""The endpoint as a WSGI application and as an ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response: status code, headers, body."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def to(self, method: str) -> Response:
        """Return the response as it is sent: with its length, and without a body for HEAD.

        Browsers take every response for what its type says: names in a metric or an error may look like HTML.
        """
        headers = [*self.headers, ("X-Content-Type-Options", "nosniff"), ("Content-Length", str(len(self.body)))]
        return Response(self.status, headers, b"" if method == "HEAD" else self.body)


Respond = Callable[[str, str, Mapping[str, str], str, str], Response]
"""A function that answers a request: method, path, headers, query, and the path at which the application is mounted."""


def plain(status: HTTPStatus, text: str, *headers: tuple[str, str]) -> Response:
    """Return a response of one text."""
    return Response(status, [("Content-Type", "text/plain; charset=utf-8"), *headers], f"{text}\n".encode())


def joined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers by name in lower case; the values of repeated ones are joined (RFC 9110, section 5.3)."""
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        found[key] = f"{found[key]}, {value}" if key in found else value
    return found


class WsgiApplication:
    """A WSGI application (PEP 3333)."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        headers = {
            name.removeprefix("HTTP_").replace("_", "-"): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        mounted_at = _text(environ.get("SCRIPT_NAME", ""))
        path = _path_within(mounted_at, environ.get("PATH_INFO", ""))
        query = _text(environ.get("QUERY_STRING", ""))
        response = self._respond(environ["REQUEST_METHOD"], path, headers, query, mounted_at)
        start_response(f"{response.status} {HTTPStatus(response.status).phrase}", response.headers)
        return [response.body]


class AsgiApplication:
    """An ASGI application (version 3); responses are computed in a thread, so that they do not block the loop.

    An object, because uvicorn mistakes a bound method for an application of version 2.
    """

    def __init__(self, respond: Respond) -> None:
        self._respond = respond

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, or take part in the server's lifespan."""
        if scope["type"] == "http":
            await self._http(scope, send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        else:
            raise ValueError(f"unknown ASGI scope {scope['type']!r}; allowed: http, lifespan, websocket")

    async def _http(self, scope: Message, send: Send) -> None:
        import asyncio  # noqa: PLC0415 - a service without a loop should not load it

        root: str = scope.get("root_path", "").rstrip("/")
        path: str = scope["path"]
        # By the specification, the path begins with the root path; old servers omit that.
        if path == root or path.startswith(f"{root}/"):
            path = path[len(root) :]
        headers = joined((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        query = scope.get("query_string", b"").decode("utf-8", "surrogateescape")
        path = _path_within(root, path)
        response = await asyncio.to_thread(self._respond, scope["method"], path, headers, query, root)
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
        await send({"type": "http.response.start", "status": response.status, "headers": encoded})
        await send({"type": "http.response.body", "body": response.body})


def _path_within(mounted_at: str, path: str) -> str:
    """Return the requested page: an application mounted at …/metrics serves the metrics at its root."""
    if path in {"", "/"} and mounted_at.endswith("/metrics"):
        return "/metrics"
    return path


def _text(native: str) -> str:
    """Return a text of WSGI, whose characters stand for bytes."""
    return native.encode("latin-1", "replace").decode("utf-8", "surrogateescape")


async def _lifespan(receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] != "lifespan.shutdown":
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})
