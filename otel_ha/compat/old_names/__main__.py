"""Render the earlier Prometheus names: as recording rules, or as the tables of the how-to page on standard input."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from otel_ha.compat.old_names.page import render_page
from otel_ha.compat.old_names.rules import render_rules


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the output that the arguments name; exit with status 2 if they are wrong."""
    parser = argparse.ArgumentParser(prog="python -m otel_ha.compat.old_names", description=__doc__)
    parser.add_argument(
        "output",
        nargs="?",
        choices=("rules", "page"),
        default="rules",
        help="rules (default): the recording rules; page: standard input with its tables rendered again",
    )
    if parser.parse_args(arguments).output == "rules":
        sys.stdout.write(render_rules())
        return
    try:
        sys.stdout.write(render_page(sys.stdin.read()))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
