"""Mosquitto, open to anyone on loopback."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

from tests.servers.running import HOST, Server, free_ports

# MQTT 3.1.1 CONNECT, clean session, client id "ready"; and the CONNACK that accepts it.
_CONNECT = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05ready"
_ACCEPTED = b"\x20\x02\x00\x00"


class Mosquitto(Server):
    """Keeps its retained messages and sessions over a restart; a kill loses what it had not saved."""

    name = "mosquitto"

    def __init__(self, program: Path, directory: Path) -> None:
        super().__init__(program, directory)
        self.host = HOST
        [self.port] = free_ports(1)

    def command(self) -> Sequence[str | Path]:
        """With a generated configuration."""
        config = self.directory / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} {self.host}\n"
            "allow_anonymous true\n"
            "persistence true\n"
            f"persistence_location {self.directory}/\n"
            # Started by root, it would switch to a user who cannot enter the test's directory. No effect otherwise.
            "user root\n"
            # Tests count every message: none may be dropped because a queue of 1,000 is full.
            "max_queued_messages 0\n"
            "log_dest stderr\n",
            encoding="utf-8",
        )
        return [self.program, "-c", config]

    def ready(self) -> bool:
        """A client is accepted."""
        with socket.create_connection((self.host, self.port), timeout=5) as connection:
            connection.sendall(_CONNECT)
            return connection.recv(4) == _ACCEPTED
