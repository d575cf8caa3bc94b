"""An OTLP server under a name, whose resolver a test commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.otlp_server import ScriptedServer
from tests.faults.resolving import NAME, WORKS
from tests.servers.running import free_ports


@dataclass
class NamedServer(ScriptedServer):
    """A server by HTTP under a name, which a resolver (see resolving) looks up as the file `resolver` says."""

    resolver: Path = field(kw_only=True)

    @property
    def url(self) -> str:
        """The URL, with the name."""
        return f"http://{NAME}:{self.port}"

    def fail(self, *states: str) -> None:  # type: ignore[override]  # the resolver fails, not the server
        """Let the resolver be in this state, and close the connections."""
        self.resolver.write_text(states[0], encoding="utf-8")
        self._close_all(self._open)

    def recover(self) -> None:
        """Let the resolver find the server."""
        self.resolver.write_text(WORKS, encoding="utf-8")


@contextmanager
def named(resolver: Path) -> Iterator[NamedServer]:
    """A server by HTTP under a name."""
    [port] = free_ports(1)
    server = NamedServer(port, resolver=resolver)
    server.recover()
    server.start()
    try:
        yield server
    finally:
        server.stop()
