"""A server as a child process: started on free ports, probed until it answers, ended by its process id."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

HOST = "127.0.0.1"
READY_WITHIN = 45.0
STOP_WITHIN = 20.0
_POLL = 0.05

T = TypeVar("T")

# Ignore a proxy from the environment: every server is local.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
# pytest-randomly seeds the shared generator alike in every worker, which would then all try the same ports.
_random = random.SystemRandom()
# Each worker of pytest-xdist has ports of its own: another's server may not have started yet. Four at the most run.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
_PORTS = range(20_000 + 3_000 * _WORKER, 23_000 + 3_000 * _WORKER)
# A fleet gets the ports of all its servers before the first one listens.
_given: deque[int] = deque(maxlen=1_000)


class ServerError(Exception):
    """A server ended, or did not answer in time; holds the end of its log."""


class RefusedError(OSError):
    """An answer whose status is not 2xx, with the status and the body."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"HTTP {status}: {body.strip()}")
        self.status = status
        self.body = body


# The errors of a server that has not started, is stopping, or refuses.
UNREACHABLE = (OSError, http.client.HTTPException)


class Server:
    """One process. A subclass defines the command and the readiness check; ports and data survive a restart."""

    name = "server"
    # 0 gives the process a group of its own, which Ctrl-C in the terminal does not reach.
    process_group: int | None = None

    def __init__(self, program: Path, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.program = program
        self.directory = directory
        self.log = directory / f"{self.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str | Path]:
        """The command line."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether a real request succeeds. May raise UNREACHABLE instead of returning False."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """The environment: none of the user's settings except those that a subclass passes on."""
        return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.directory)}

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def running(self) -> bool:
        """Whether the process exists, ready or not."""
        return self.pid is not None

    def start(self) -> Self:
        """Start and wait until ready. A running server is left alone."""
        if not self.running:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    list(map(str, self.command())),
                    cwd=self.directory,
                    env=dict(self.environment()),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    process_group=self.process_group,
                )
            self._wait_until_ready()
        return self

    def stop(self) -> None:
        """Ask the server to end, and kill it if that takes too long."""
        if self._signal(signal.SIGTERM):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._wait(STOP_WITHIN)
        self.kill()

    def kill(self) -> None:
        """Kill the server, as a crash or a power cut would."""
        if self._signal(signal.SIGKILL):
            self._wait(STOP_WITHIN)

    def restart(self) -> Self:
        """Stop and start, on the same ports and the same data."""
        self.stop()
        return self.start()

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of the log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def _signal(self, number: signal.Signals) -> bool:
        if self._process is None or self._process.poll() is not None:
            return False
        self._process.send_signal(number)
        return True

    def _wait(self, seconds: float) -> None:
        if self._process is not None:
            self._process.wait(seconds)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            if not self.running:
                raise ServerError(f"{self.name} ended while starting:\n{self.log_tail()}")
            with contextlib.suppress(*UNREACHABLE):
                if self.ready():
                    return
            time.sleep(_POLL)
        self.kill()
        raise ServerError(f"{self.name} was not ready within {READY_WITHIN:.0f} s:\n{self.log_tail()}")


def free_ports(count: int) -> list[int]:
    """Distinct free ports on loopback, none of which was given lately.

    Below Linux's range for outgoing connections (32768 and up): a client's connection could take a port from that range
    while the server is down between two starts. Without SO_REUSEADDR, a program that another thread starts meanwhile
    would keep the port until it has replaced the copy of this process.
    """
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            port = _random.choice(_PORTS)
            if port in _given:
                continue
            taken = held.enter_context(socket.socket())
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                taken.bind((HOST, port))
                ports.append(port)
                _given.append(port)
        return ports


def get(url: str, **parameters: str) -> str:
    """The body of an answer to GET. Raises RefusedError unless the status is 2xx."""
    query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
    return _body(urllib.request.Request(url + query))


def post(
    url: str, body: bytes | str = b"", content_type: str = "application/x-www-form-urlencoded", **headers: str
) -> str:
    """The body of an answer to POST. Raises RefusedError unless the status is 2xx."""
    data = body.encode() if isinstance(body, str) else body
    return _body(
        urllib.request.Request(url, data=data, headers={"Content-Type": content_type, **headers}, method="POST")
    )


def _body(request: urllib.request.Request) -> str:
    try:
        with _opener.open(request, timeout=30) as answer:
            body: bytes = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            raise RefusedError(error.code, error.read().decode(errors="replace")) from None
    return body.decode()


def get_json(url: str, **parameters: str) -> Any:
    """The parsed JSON body of an answer to GET."""
    return json.loads(get(url, **parameters))


def instant_query(url: str, promql: str, **parameters: str) -> list[tuple[dict[str, str], float]]:
    """Every (labels, value) of an instant PromQL query; a scalar has no labels."""
    data = get_json(f"{url}/api/v1/query", query=promql, **parameters)["data"]
    if data["resultType"] == "scalar":
        return [({}, float(data["result"][1]))]
    return [(each["metric"], float(each["value"][1])) for each in data["result"]]


def eventually(probe: Callable[[], T], until: Callable[[T], bool] = bool, timeout: float = 30.0) -> T:
    """Probe until the result satisfies `until`; fail with the last result. Unreachable means not yet."""
    deadline = time.monotonic() + timeout
    last: object = None
    while time.monotonic() < deadline:
        try:
            result = probe()
        except UNREACHABLE as error:
            last = error
        else:
            if until(result):
                return result
            last = result
        time.sleep(_POLL * 4)
    raise AssertionError(f"still not so after {timeout:.0f} s; last seen: {last!r}")
