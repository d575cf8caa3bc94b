"""Becomes a web server with several processes: `python -m tests.faults.serving DIRECTORY URL MODULE ARGUMENT…`."""

from __future__ import annotations

import os
import sys

from tests.faults.events import DIRECTORY


def main() -> None:
    """Say the URL, which answers as soon as the server has started, and run its module instead of this program."""
    directory, url, *command = sys.argv[1:]
    os.environ[DIRECTORY] = directory
    print("ready", url, flush=True)
    os.execv(sys.executable, [sys.executable, "-m", *command])


if __name__ == "__main__":
    main()
