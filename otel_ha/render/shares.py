"""Shares that follow from the declared metrics: errors, duplicates, filtered events, successful transformations.

They are data: which measurements are the part, and which are the whole. Every other instrument that records an outcome
has a share of errors as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from otel_ha.declare.catalog import Catalog
from otel_ha.declare.instruments import Attribute, Histogram, Instrument
from otel_ha.render.promql import Selection, base_name, once, ratio, total
from otel_ha.render.rule import Rule
from otel_ha.vocabulary import ingest

__all__ = ["SHARES", "Share", "share_rules"]


class Share(NamedTuple):
    """One share: the measurements of `part` whose attribute has the value, of all those of `whole`."""

    name: str
    part: Instrument
    attribute: Attribute
    value: str
    whole: Instrument

    def expression(self, selection: Selection) -> str:
        """Return the share for each job; a job without measurements has none."""
        only = f'{self.attribute.prometheus_label}="{self.value}"'
        part = total(selection.rate(self.part, only, part=_counted(self.part)))
        whole = total(selection.rate(self.whole, part=_counted(self.whole)))
        return once(ratio(part, whole))


def _errors(name: str, of: Instrument) -> Share:
    return Share(name, of, ingest.OUTCOME, "error", of)


def _counted(instrument: Instrument) -> str:
    return "_count" if isinstance(instrument, Histogram) else ""


SHARES: Final = (
    _errors("homeassistant_event_errors", ingest.EVENT_DURATION),
    Share("homeassistant_event_duplicates", ingest.DISCARDED, ingest.REASON, "duplicate", ingest.RECEIVED),
    Share("homeassistant_event_filtered", ingest.DISCARDED, ingest.REASON, "filtered", ingest.RECEIVED),
    Share(
        "homeassistant_transform_success", ingest.TRANSFORM_DURATION, ingest.OUTCOME, "ok", ingest.TRANSFORM_DURATION
    ),
)
"""The error ratio of events, the de-duplication rate, the filter efficiency, and the success of transformations."""


def share_rules(catalog: Catalog, selection: Selection) -> Iterator[Rule]:
    """Yield the rules for the shares whose instruments the catalog has."""
    curated = [share for share in SHARES if share.part in catalog and share.whole in catalog]
    covered = {share.part for share in curated if share.part is share.whole}
    others = [
        _errors(f"{base_name(each)}_errors", each)
        for each in catalog
        if ingest.OUTCOME in each.attributes and (isinstance(each, Histogram) or each.kind == "counter")
        if each not in covered
    ]
    for share in (*curated, *others):
        yield Rule(f"job:{share.name}:ratio_rate{selection.window}", share.expression(selection))
