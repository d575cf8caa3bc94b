"""Client: reads the endpoint of a service; every failure is one line that says which URL, why, and the remedy."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final
from urllib.parse import unquote

import urllib3
from urllib3.util import Timeout, parse_url

from otel_ha.cli.failures import FailedError
from otel_ha.config.secrets import Secret
from otel_ha.config.urls import basic_authorization
from otel_ha.errors import TelemetryError
from otel_ha.scrub import mask_url, protect, scrub
from otel_ha.version import DISTRO, __version__

__all__ = ["Access", "Answer", "Client", "FailedError"]

_LONGEST: Final = 64 * 2**20
"""The bytes of the longest answer; a summary has a few MB at most."""

_GRACE: Final = 0.5
"""More time than a request has by itself, which then reports its own reason."""
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_HALF: Final = re.compile(r"https?:/(?!/)", re.IGNORECASE)
"""A URL with one slash, whose host would otherwise be "http"."""
_BROKEN: Final = re.compile(r"[\s\0-\x1f\x7f]")
"""Characters that no URL has; urllib3 2.0 would take them for parts of a host."""

_PAGES: Final = ("/metrics", "/summary", "/healthz", "/health", "/ready")


@dataclass(frozen=True)
class Answer:
    """The response to a request: its status, its headers, and its text."""

    status: int
    headers: Mapping[str, str]
    text: str


@dataclass(frozen=True, kw_only=True)
class Access:
    """How to reach endpoints: basic authentication, and the certificates of TLS. Times are in seconds."""

    username: str | None = None
    password: Secret | None = None
    certificate_authority: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    timeout: float = 5.0

    def __post_init__(self) -> None:
        """Mask the password in every text from outside."""
        protect(self)

    def secrets(self) -> Iterable[str]:
        """Return the password in plain text."""
        return () if self.password is None else (self.password.reveal(),)

    def client(self, url: str) -> Client:
        """Return a client of the endpoint at this URL, which may name one of its pages, a user and a password.

        Raises TelemetryError for a text other than an http(s) URL, and for a certificate that cannot be used.
        """
        try:
            parts = (
                None if _HALF.match(url) or _BROKEN.search(url) else parse_url(url if "://" in url else f"http://{url}")
            )
        except urllib3.exceptions.LocationParseError:
            parts = None
        if parts is None or parts.scheme not in {"http", "https"} or not parts.host:
            raise TelemetryError(f"{mask_url(url)!r} is not a URL; write one such as http://127.0.0.1:9464")
        path = (parts.path or "").rstrip("/")
        base = path.removesuffix(next(filter(path.endswith, _PAGES), ""))
        access = self
        if parts.auth:
            username, _, password = parts.auth.partition(":")
            access = replace(self, username=unquote(username), password=Secret(unquote(password)))
        return Client(f"{parts.scheme}://{parts.netloc}{base}", access)

    def context(self) -> ssl.SSLContext:
        """Return the settings of TLS. Raises TelemetryError for a file that cannot be used."""
        try:
            context = ssl.create_default_context(cafile=self.certificate_authority)
        except (OSError, ValueError) as error:
            raise _unusable("--ca", self.certificate_authority, error) from error
        if self.client_certificate is not None:
            try:
                # The text is never the key's password; without one, Python would ask at the terminal.
                context.load_cert_chain(self.client_certificate, self.client_key, password="")
            except (OSError, ValueError) as error:
                raise _unusable("--client-certificate", self.client_certificate, error) from error
        elif self.client_key is not None:
            raise TelemetryError("--client-key needs --client-certificate; give both")
        return context


@dataclass(frozen=True)
class Client:
    """Reads one endpoint: never through a proxy, as services are near, and without following redirects."""

    url: str
    access: Access
    _pool: urllib3.PoolManager = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Make the pool of connections."""
        context = self.access.context() if self.url.startswith("https:") else None
        pool = urllib3.PoolManager(ssl_context=context, timeout=Timeout(total=self.access.timeout), retries=False)
        object.__setattr__(self, "_pool", pool)

    def summary(self) -> dict[str, Any]:
        """Return the service's summary. Raises FailedError."""
        found = self.json("summary")
        shape = {"schema_version": str, "system_info": dict}
        if not isinstance(found, dict) or not all(isinstance(found.get(name), kind) for name, kind in shape.items()):
            raise FailedError(f"{self.shown}/summary answers, but is not a service with otel-ha; check the URL")
        return found

    def json(self, page: str) -> Any:
        """Return a page's JSON. Raises FailedError."""
        text = self.text(page)
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            reason = "does not answer with JSON, so it is not a service with otel-ha"
            raise FailedError(f"{self.shown}/{page} {reason}; check the URL") from None

    def text(self, page: str, accept: str = "*/*") -> str:
        """Return a page's text. Raises FailedError, also for every status other than 200."""
        answer = self.fetch(page, accept)
        if answer.status != 200:  # noqa: PLR2004 - a status code of HTTP
            raise FailedError(f"{self.shown}/{page} answers {answer.status}: {self._remedy(answer)}", answer.status)
        return answer.text

    def get(self, page: str, accept: str = "*/*") -> tuple[int, str]:
        """Return the status and the text of the response. Raises FailedError if there is none."""
        answer = self.fetch(page, accept)
        return answer.status, answer.text

    def fetch(self, page: str, accept: str = "*/*", *, body: bytes | None = None, content_type: str = "") -> Answer:
        """Return the response to GET, or to POST if there is a body. Raises FailedError if there is none.

        A thread waits for it, as a name server or a service that drips would hold this one for any time.
        """
        headers = {"Accept": accept, "User-Agent": f"{DISTRO}/{__version__}"}
        if body is not None:
            headers["Content-Type"] = content_type
        if self.access.password is not None:
            authorization = basic_authorization(self.access.username or "", self.access.password.reveal())
            headers["Authorization"] = authorization.reveal()
        found: SimpleQueue[Answer | Exception] = SimpleQueue()
        Thread(target=lambda: found.put(self._outcome(page, headers, body)), daemon=True).start()
        try:
            outcome = found.get(timeout=self.access.timeout + _GRACE)
        except Empty:
            reason = f"does not end its answer within {self.access.timeout:g} s"
            raise FailedError(f"{self.shown} {reason}") from TimeoutError(reason)
        if isinstance(outcome, FailedError):
            raise outcome
        if isinstance(outcome, Exception):
            raise FailedError(f"{self.shown} does not answer: {_reason(outcome)}") from outcome
        return outcome

    def _outcome(self, page: str, headers: Mapping[str, str], body: bytes | None) -> Answer | Exception:
        method, url = "GET" if body is None else "POST", f"{self.url}/{page}"
        try:
            with self._pool.request(
                method, url, body=body, headers=headers, redirect=False, preload_content=False
            ) as response:
                found = response.read(_LONGEST + 1)
                if len(found) > _LONGEST:
                    return FailedError(f"{self.shown}/{page} sends more than {_LONGEST // 2**20} MiB; check the URL")
                return Answer(response.status, response.headers, found.decode(errors="replace"))
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            return error

    def _remedy(self, answer: Answer) -> str:
        match answer.status:
            case 401 | 403 if self.access.password is not None:
                return "it refuses the username and the password; check --username and OTEL_HA_ENDPOINT_PASSWORD"
            case 401 | 403:
                return "it asks for a username and a password; give --username and OTEL_HA_ENDPOINT_PASSWORD"
            case 404:
                return "there is no such page; check the URL, and whether the service uses otel-ha"
            case status if status in _REDIRECTS:
                address = _short(mask_url(answer.headers.get("Location", "nowhere")))
                return f"it redirects to {address}; give the URL of the service itself"
            case _:
                return _short(answer.text) or "without a reason; check the URL"

    @property
    def shown(self) -> str:
        """The URL without a user and a password."""
        return mask_url(self.url)


def _unusable(option: str, path: Path | None, error: Exception) -> TelemetryError:
    return TelemetryError(f"{option} {path} cannot be used: {error}; name a PEM file")


def _short(text: str) -> str:
    return scrub("".join(each for each in " ".join(text.split())[:200] if each.isprintable()))


def _reason(error: BaseException) -> str:
    """Return the innermost reason of a failure in a few words, for TLS with the options that may help."""
    inner = error
    while isinstance(cause := getattr(inner, "reason", None) or inner.__cause__ or inner.__context__, BaseException):
        inner = cause
    if isinstance(inner, ssl.SSLCertVerificationError):
        return f"{_short(inner.verify_message)}; --ca names the certificates to trust"
    if isinstance(inner, ssl.SSLError):
        problem = _short((inner.reason or "TLS fails").lower().replace("_", " "))
        return f"{problem}; check http:// and https://, --ca and --client-certificate"
    if isinstance(inner, TimeoutError) and "handshake" in str(inner):
        return "no TLS within the time limit; check http:// and https://"
    if isinstance(inner, ConnectionResetError):  # as a server with TLS does that is asked without
        return "it closes the connection; check http:// and https://"
    return _short(getattr(inner, "strerror", None) or str(inner).rpartition(": ")[2]) or type(inner).__name__
