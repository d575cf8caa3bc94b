"""The measured program with a resolver that a test commands: a file says how it looks up the one name that it knows."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.faults import service

NAME = "receiver.invalid"
VARIABLE = "FAULTS_RESOLVER"
WORKS, FAILS, HANGS = "works", "fails", "hangs"

_look_up = socket.getaddrinfo


def resolve(host: Any, *arguments: Any, **more: Any) -> Sequence[Any]:
    """Look a name up as the file says; nobody knows a name below .invalid."""
    if host != NAME:
        return _look_up(host, *arguments, **more)
    file = Path(os.environ[VARIABLE])
    while (state := file.read_text(encoding="utf-8")) == HANGS:
        time.sleep(0.05)
    return _look_up("127.0.0.1" if state == WORKS else host, *arguments, **more)


if __name__ == "__main__":
    socket.getaddrinfo = resolve
    service.main()
