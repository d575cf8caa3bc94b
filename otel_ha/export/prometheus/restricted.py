"""A scrape of some samples only: those that the parameters `name[]` of its query name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

from prometheus_client.metrics_core import Metric as Family

from otel_ha.export.prometheus.exporter import Encode, Families

_NAME = re.compile(r"[^{ ]*")


def restricted_families(families: Iterable[Family], names: AbstractSet[str]) -> list[Family]:
    """Return the families that have samples of these names, with only those samples."""
    found = []
    for family in families:
        samples = [sample for sample in family.samples if sample.name in names]
        if samples:
            part = Family(family.name, family.documentation, family.type, family.unit)
            part.samples = samples
            found.append(part)
    return found


def restricted_text(pieces: Iterable[str], names: AbstractSet[str], encode: Encode) -> Iterator[str]:
    """Return the lines of samples of these names, each family's first ones after its head.

    `pieces` are whole lines that `encode` has written for the exporter's names, which need no quotes.
    """
    wanted = {_written(name, encode) for name in names}
    head, in_head = "", False
    for piece in filter(None, pieces):
        for line in piece.removesuffix("\n").split("\n"):
            if line.startswith("# "):
                head = f"{head if in_head else ''}{line}\n"
                in_head = True
                continue
            in_head = False
            if _name(line) in wanted:
                yield f"{head}{line}\n"
                head = ""


def _written(name: str, encode: Encode) -> str:
    """Return a sample's name as `encode` writes it: some formats escape underscores."""
    try:
        family = Family(name, "", "gauge")
    except ValueError:  # not a name
        return ""
    family.add_sample(name, {}, 0)
    lines = encode(Families([family])).decode().split("\n")
    return next(_name(line) for line in lines if not line.startswith("# "))


def _name(line: str) -> str:
    return _NAME.match(line).group()  # type: ignore[union-attr]  # it matches every text
