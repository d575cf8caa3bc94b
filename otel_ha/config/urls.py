"""URLs and gRPC targets to push to, and the user and password that a URL may contain."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from typing import Final, Self
from urllib.parse import unquote, unquote_plus, urlsplit

from otel_ha.config.secrets import Secret
from otel_ha.scrub import mask_url, protect

__all__ = [
    "BaseUrl",
    "Url",
    "WholeUrl",
    "basic_authorization",
    "receiver_of",
    "split_userinfo",
    "target",
    "url_path",
    "with_path",
]

_GRPC_SCHEMES: Final = ("dns://", "unix://")


class Url(str):
    """A URL or target whose repr hides user, password and query, which the scrubber masks as long as it lives."""

    __slots__ = ("__weakref__",)

    def __new__(cls, text: str) -> Self:
        """Take `text` as it is."""
        url = super().__new__(cls, text)
        if "?" in url or "@" in url:
            protect(url)
        return url

    def secrets(self) -> Iterator[str]:
        """Yield the password, the query, and their parts, for the scrubber."""
        userinfo = self.rpartition("@")[0].rpartition("://")[2]
        query = self.partition("?")[2]
        password = userinfo.partition(":")[2] or userinfo
        values = [pair.partition("=")[2] or pair for pair in re.split("[&;]", query)]
        # A library may take a password with a slash apart, and quote a part.
        for text in (password, *re.split("[/?#:@]", password), query, *values):
            yield from (text, unquote(text), unquote_plus(text))

    def __repr__(self) -> str:
        """Return the repr of the text, with masks instead of user, password and query."""
        return repr(mask_url(str(self)))


class WholeUrl(Url):
    """A URL that is complete: a copy of a configuration uses it as it is."""

    __slots__ = ()


class BaseUrl(Url):
    """A URL to which each signal adds its path, also in a copy of a configuration."""

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


def split_userinfo(url: str) -> tuple[str, Secret | None]:
    """Return `url` without its user and password, and these, if any, as the value of a header (RFC 7617)."""
    if not _is_url(url):
        return url, None
    parts = urlsplit(url)
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    user, _, password = userinfo.partition(":")
    return parts._replace(netloc=host).geturl(), basic_authorization(unquote(user), unquote(password))


def basic_authorization(user: str, password: str) -> Secret:
    """Return the value of the header for basic authentication (RFC 7617)."""
    return Secret(f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}")


def receiver_of(target: str) -> str:
    """Return a URL without its path; another target as it is."""
    parts = urlsplit(target)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else target


def url_path(url: str) -> str | None:
    """Return the path of a URL, or None if it is a gRPC target."""
    return urlsplit(url).path if _is_url(url) else None


def with_path(url: str, path: str) -> str:
    """Return `url` with another path."""
    return urlsplit(url)._replace(path=path).geturl()


def _is_url(text: str) -> bool:
    return text.lower().startswith(("http://", "https://"))
