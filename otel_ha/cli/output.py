"""Output of the commands: JSON for programs, and texts from outside made safe for a terminal."""

from __future__ import annotations

import json
from typing import Any

import click

__all__ = ["print_json", "printable"]


def print_json(data: Any) -> None:
    """Print data as JSON in ASCII, which every output can take."""
    click.echo(json.dumps(data, indent=2))


def printable(text: str) -> str:
    """Return text in one line, with a mark for each character that would steer the terminal or cannot be printed."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in " ".join(text.split()))
