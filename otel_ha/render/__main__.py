"""Render files from the declared metrics: ``python -m otel_ha.render KIND`` prints them, ``--out DIR`` writes them.

The command ``otel-ha render`` does the same.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from otel_ha.errors import TelemetryError
from otel_ha.render.kinds import KINDS, Files

__all__ = ["arguments_of", "main", "render"]


class _Parser(argparse.ArgumentParser):
    """Reports a wrong argument as an error in one line, where argparse prints the usage and ends the process."""

    def error(self, message: str) -> NoReturn:
        raise TelemetryError(f"{message}; see {self.prog} --help")


def arguments_of(prog: str) -> argparse.ArgumentParser:
    """Return the parser of the arguments, for the program that the user calls."""
    parser = _Parser(
        prog=prog,
        description="Render files from the declared metrics: print them, or write them with --out.",
        epilog=f"Examples:\n  {prog} rules --catalog acme.metrics:CATALOG\n"
        f"  {prog} dashboards --format grafana --out dashboards\n  {prog} alerts --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    for name, kind in KINDS.items():
        about = f"Render {kind.help}."
        of_kind = kinds.add_parser(name, help=kind.help, description=about, allow_abbrev=False)
        of_kind.add_argument("--out", type=Path, metavar="DIR", help="write files to this folder instead of printing")
        of_kind.add_argument(
            "--json", action="store_true", help="print JSON, for programs: the written files, or names and texts"
        )
        kind.add_arguments(of_kind)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Print or write one kind of output; returns the exit status. A wrong argument exits with status 2 and one line."""
    prog = "python -m otel_ha.render"
    try:
        return render(sys.argv[1:] if arguments is None else arguments, prog)
    except TelemetryError as error:
        parser = arguments_of(prog)
        parser.exit(2, f"{parser.format_usage()}{prog}: error: {error}\n")


def render(arguments: Sequence[str], prog: str) -> int:
    """Print or write one kind of output, for a program that the user calls `prog`. Raises TelemetryError."""
    given = arguments_of(prog).parse_args(arguments)
    files = KINDS[given.kind].files(given)
    if given.out is None:
        texts = [{"name": name, "text": text} for name, text in files.items()]
        return _print(_as_json(texts) if given.json else "".join(files.values()))
    written = _write(files, given.out)
    states = [{"path": str(path), "written": changed} for path, changed in written.items()]
    lines = (f"{path}: {'written' if changed else 'unchanged'}\n" for path, changed in written.items())
    return _print(_as_json(states) if given.json else "".join(lines))


def _as_json(files: Sequence[Mapping[str, object]]) -> str:
    return f"{json.dumps({'files': files}, indent=2)}\n"


def _print(text: str) -> int:
    """Print text as UTF-8, whatever the terminal's encoding; returns the exit status, 1 if nobody reads it."""
    try:
        sys.stdout.buffer.write(_encoded(text))
        sys.stdout.flush()
    except OSError as error:
        # Python flushes again at its end, and must not fail then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return 1
        raise TelemetryError(f"cannot print: {error.strerror}; --out DIR writes files instead") from error
    return 0


def _write(files: Files, folder: Path) -> dict[Path, bool]:
    """Write the files that have changed, and return the paths of all, each with whether it was written."""
    written = {}
    for name, text in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            written[path] = not path.is_file() or path.read_bytes() != _encoded(text)
            if written[path]:
                path.write_bytes(_encoded(text))
        except OSError as error:
            raise TelemetryError(f"cannot write {path}: {error.strerror}; --out names a folder to write to") from error
    return written


def _encoded(text: str) -> bytes:
    """Return text as UTF-8, which has no half of a surrogate pair: a description may have one by mistake."""
    return text.encode(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
