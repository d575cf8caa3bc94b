"""The entry point of `otel-ha`: without the extra cli, it says so in one line."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command and exit: 0 fine, 1 a finding, 2 wrong usage."""
    try:
        from otel_ha.cli.commands import run  # noqa: PLC0415 - click and rich may be missing
    except ModuleNotFoundError as error:
        if error.name not in {"click", "rich"}:
            raise
        sys.stderr.write(f"otel-ha: {error.name} is missing; install the extra cli: pip install 'otel-ha[cli]'\n")
        sys.exit(2)
    sys.exit(run())


if __name__ == "__main__":
    main()
