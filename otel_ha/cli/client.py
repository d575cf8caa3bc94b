"""Client: reads the endpoint of a service; every failure is one line that says which URL, why, and the remedy."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.util import Timeout, make_headers

from otel_ha.config.secrets import Secret
from otel_ha.errors import TelemetryError
from otel_ha.scrub import mask_url, scrub

__all__ = ["Access", "Client", "FailedError"]

_LONGEST = 64 * 2**20


class FailedError(TelemetryError):
    """A request that failed; `status` is the response's status code, or None without a response."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, kw_only=True)
class Access:
    """How to reach endpoints: basic authentication, and the certificates of TLS. Times are in seconds."""

    username: str | None = None
    password: Secret | None = None
    certificate_authority: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    timeout: float = 5.0

    def client(self, url: str) -> Client:
        """Return a client of the endpoint at this URL. Raises TelemetryError for one that is no http(s) URL."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise TelemetryError(f"{mask_url(url)!r} is not a URL; write one such as http://127.0.0.1:9464")
        return Client(parts.geturl().rstrip("/"), self)


@dataclass(frozen=True)
class Client:
    """Reads one endpoint: never through a proxy, as services are near, and without following redirects."""

    url: str
    access: Access
    _pool: urllib3.PoolManager = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Make the pool of connections."""
        access = self.access
        pool = urllib3.PoolManager(
            ca_certs=None if access.certificate_authority is None else os.fspath(access.certificate_authority),
            cert_file=None if access.client_certificate is None else os.fspath(access.client_certificate),
            key_file=None if access.client_key is None else os.fspath(access.client_key),
            timeout=Timeout(total=access.timeout),
            retries=False,
        )
        object.__setattr__(self, "_pool", pool)

    def summary(self) -> dict[str, Any]:
        """Return the service's summary. Raises FailedError."""
        found = self.json("summary")
        if not isinstance(found, dict) or not {"schema_version", "system_info"} <= found.keys():
            raise FailedError(f"{self.shown}/summary answers, but is not a service with otel-ha; check the URL")
        return found

    def json(self, page: str) -> Any:
        """Return a page's JSON. Raises FailedError."""
        text = self.text(page)
        try:
            return json.loads(text)
        except ValueError:
            reason = "does not answer with JSON, so it is not a service with otel-ha"
            raise FailedError(f"{self.shown}/{page} {reason}; check the URL") from None

    def text(self, page: str, accept: str = "*/*") -> str:
        """Return a page's text. Raises FailedError, also for every status other than 200."""
        status, text = self.get(page, accept)
        if status != 200:  # noqa: PLR2004 - a status code of HTTP
            raise FailedError(f"{self.shown}/{page} answers {status}: {_remedy(status, text)}", status)
        return text

    def get(self, page: str, accept: str = "*/*") -> tuple[int, str]:
        """Return the status and the text of the response. Raises FailedError if there is none."""
        headers = {"Accept": accept}
        if self.access.password is not None:
            credentials = f"{self.access.username or ''}:{self.access.password.reveal()}"
            headers |= make_headers(basic_auth=credentials)
        try:
            response = self._pool.request("GET", f"{self.url}/{page}", headers=headers, redirect=False)
            return response.status, response.data[:_LONGEST].decode(errors="replace")
        except (urllib3.exceptions.HTTPError, OSError, UnicodeError) as error:
            raise FailedError(f"{self.shown} does not answer: {_reason(error)}") from error

    @property
    def shown(self) -> str:
        """The URL without a user and a password."""
        return mask_url(self.url)


def _remedy(status: int, text: str) -> str:
    match status:
        case 401 | 403:
            return "it asks for a username and a password; give --username and OTEL_HA_ENDPOINT_PASSWORD"
        case 404:
            return "there is no such page; check the URL, or whether the service uses otel-ha"
        case 421:
            return f"{scrub(text.strip())}"
        case _:
            return scrub(" ".join(text.split())[:200])


def _reason(error: BaseException) -> str:
    """Return the innermost reason of a failure in a few words."""
    inner = error
    while (cause := getattr(inner, "reason", None) or inner.__cause__ or inner.__context__) and isinstance(
        cause, BaseException
    ):
        inner = cause
    return scrub(getattr(inner, "strerror", None) or str(inner).rpartition(": ")[2] or type(inner).__name__)
