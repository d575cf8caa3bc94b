"""Strangers: another program at the service's address."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

import psutil

from otel_ha.cli.client import Answer, Client
from otel_ha.cli.doctor.reach import is_this_machine, quoted
from otel_ha.cli.doctor.step import Result, Step
from otel_ha.scrub import scrub

__all__ = ["stranger"]


def stranger(step: Callable[..., Step], client: Client, answer: Answer | None) -> Step:
    """Return the finding that another program has the address; `answer` is None if it does not speak HTTP."""
    parts = urlsplit(client.url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    process = _listening(port) if is_this_machine(host) else None
    said = [f"another program has {client.shown}"]
    if process:
        said.append(f"it is the process {process}")
    if answer is None:
        said.append(f"it does not speak HTTP, and begins with {scrub(_greeting(host, port))!r}")
    else:
        if server := answer.headers.get("Server"):
            said.append(f"it calls itself {scrub(quoted(server))!r}")
        said.append(f"it answers {answer.status}: {scrub(quoted(answer.text))!r}")
    return step(
        result=Result.FINDING,
        found="; ".join(said),
        cause="taken_by_program",
        remedy="give the service another port by OTEL_EXPORTER_PROMETHEUS_PORT, or stop that program; if the service "
        "is elsewhere, name its URL by --service-url, with the path under which its endpoint is mounted",
        facts={"process": process, "status": None if answer is None else answer.status},
    )


def _listening(port: int) -> str | None:
    """Return the name and the id of the process that listens at a port; None if the system does not say."""
    with suppress(psutil.Error, OSError):
        for each in psutil.net_connections(kind="tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port and each.pid:
                return f"{psutil.Process(each.pid).name()} ({each.pid})"
    return None


def _greeting(host: str, port: int) -> str:
    """Return the first line that a program sends by itself, or in answer to a request."""
    with suppress(OSError), socket.create_connection((host, port), 2) as connection:
        connection.settimeout(2)
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return quoted(connection.recv(256).decode(errors="replace"))
    return ""
