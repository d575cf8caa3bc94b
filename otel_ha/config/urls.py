"""URLs and gRPC targets to push to, and the user and password that a URL may contain."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Final
from urllib.parse import unquote, urlsplit

from otel_ha.config.secrets import MASK, Secret

__all__ = ["Url", "WholeUrl", "harmless", "split_userinfo", "target", "url_path", "with_path"]

# Colons before slashes or a port only: no user:password, no user@host.
_HARMLESS: Final = re.compile(r"[\w.\[\]/-]*(:(//|\d+)[\w.\[\]/-]*)*")
_GRPC_SCHEMES: Final = ("dns://", "unix://")


class Url(str):
    """A URL or target whose repr hides its query, which may be a token."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the repr of the text, with a mask instead of the query."""
        address, question_mark, _ = self.partition("?")
        return repr(f"{address}?{MASK}" if question_mark else str(self))


class WholeUrl(Url):
    """A URL that is complete: a copy of a configuration uses it as it is."""

    __slots__ = ()


def target(text: str) -> str:
    """Return `text` if it is an http or https URL or a gRPC target; raise ValueError otherwise."""
    if re.search(r"\s", text):
        raise ValueError
    if not _is_url(text):
        # host:port, or another form of gRPC's; they have no user and no password.
        if "@" in text or ("://" in text and not text.startswith(_GRPC_SCHEMES)):
            raise ValueError
        return text
    parts = urlsplit(text)
    host = parts.hostname or ""
    # A percent sign belongs to an IPv6 zone, or to an "@" that was encoded; reading the port checks it.
    if not host or ("%" in host and ":" not in host) or parts.port == 0 or parts.fragment:
        raise ValueError
    # An "@" after the host comes from a password with a slash that should have been encoded.
    if "@" in parts.path + parts.query:
        raise ValueError
    return text


def harmless(text: str) -> bool:
    """Whether an invalid URL can be shown, because no part of it can be a password."""
    return _HARMLESS.fullmatch(text) is not None


def split_userinfo(url: str) -> tuple[str, Secret | None]:
    """Return `url` without its user and password, and these, if any, as the value of a header (RFC 7617)."""
    if not _is_url(url):
        return url, None
    parts = urlsplit(url)
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    user, _, password = userinfo.partition(":")
    credentials = b64encode(f"{unquote(user)}:{unquote(password)}".encode())
    return parts._replace(netloc=host).geturl(), Secret(f"Basic {credentials.decode()}")


def url_path(url: str) -> str | None:
    """Return the path of a URL, or None if it is a gRPC target."""
    return urlsplit(url).path if _is_url(url) else None


def with_path(url: str, path: str) -> str:
    """Return `url` with another path."""
    return urlsplit(url)._replace(path=path).geturl()


def _is_url(text: str) -> bool:
    return text.lower().startswith(("http://", "https://"))
