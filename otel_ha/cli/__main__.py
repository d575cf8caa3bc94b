"""The entry point of `otel-ha`: without the extra cli, it says so in one line. No mistake ends in a traceback."""

from __future__ import annotations

import codecs
import os
import sys
from typing import Final

from otel_ha.cli.failures import tell

__all__ = ["main"]

_ERRORS: Final = "otel_ha.cli"
_SPELLED: Final = {"✓": "+", "✗": "x", "µ": "u", "…": "...", "→": "->", "·": "-", "≠": "!="}


def main() -> None:
    """Run the command and exit: 0 fine, 1 a finding, 2 wrong usage, 130 after Ctrl-C."""
    _prepare_output()
    try:
        status = _run(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = 130
    except OSError as error:
        # Python flushes again at its end, and must not fail then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1 if isinstance(error, BrokenPipeError) else 2
        if status == 2:  # noqa: PLR2004 - the exit code
            tell(f"cannot print: {error.strerror}; free the disk, or print elsewhere", as_json=False)
    sys.exit(status)


def _run(arguments: list[str]) -> int:
    try:
        from otel_ha.cli.commands import run  # noqa: PLC0415 - click and rich may be missing

        return run(arguments)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in {"click", "packaging", "rich"}:
            raise
        remedy = "install the extra cli: pip install 'otel-ha[cli]'"
        tell(f"{missing} is missing; {remedy}", as_json="--json" in arguments)
        return 2


def _prepare_output() -> None:
    """Make printing possible on every terminal: one that lacks a character gets another, a closed one gets nothing."""
    codecs.register_error(_ERRORS, _spelled)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - until the end
        stream.reconfigure(errors=_ERRORS)
        setattr(sys, name, stream)


def _spelled(error: UnicodeError) -> tuple[str, int]:
    """Return other characters for those that an output's encoding lacks, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_SPELLED.get(each, "?") for each in lacking), error.end


if __name__ == "__main__":
    main()
