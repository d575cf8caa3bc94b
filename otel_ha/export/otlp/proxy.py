"""Proxy: a proxy through which pushes go, because the environment names one."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from otel_ha.config.urls import Url


@dataclass(frozen=True)
class Proxy:
    """A proxy: its URL, which may have a password, and the variable that names it (empty if a session has its own)."""

    url: Url
    variable: str

    @property
    def address(self) -> str:
        """The host and the port."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    def __str__(self) -> str:
        """Return the URL without user and password, and the variable."""
        shown = f"{urlsplit(self.url).scheme}://{self.address}"
        return f"{shown} of {self.variable}" if self.variable else shown
