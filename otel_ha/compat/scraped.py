"""The samples of a scrape, with the earlier labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client.parser import text_string_to_metric_families

from otel_ha.compat.spelling import Labels
from otel_ha.declare.instruments import Attribute, Instrument

Rows = dict[Labels, float]
"""The values of one name by their labels."""

Names = Mapping[str, Attribute]
"""The earlier labels, and the attributes that they come from."""


class Scrape:
    """The samples of one scrape by name."""

    def __init__(self, text: str) -> None:
        self._samples: dict[str, list[tuple[dict[str, str], float]]] = {}
        for family in text_string_to_metric_families(text):
            for each in family.samples:
                self._samples.setdefault(each.name, []).append((each.labels, each.value))

    def rows(
        self, instrument: Instrument, names: Names, part: str = "", *, also: Iterable[str] = (), **only: str
    ) -> Rows:
        """Return an instrument's samples with the earlier labels, added up; `only` selects by keyword."""
        keys = {each.keyword: each.prometheus_label for each in instrument.attributes}
        found: Rows = {}
        for labels, value in self._samples.get(instrument.prometheus_name + part, ()):
            if all(labels.get(keys[keyword]) == wanted for keyword, wanted in only.items()):
                pairs = {old: labels.get(each.prometheus_label, "") for old, each in names.items()}
                pairs |= {label: labels[label] for label in also}
                if pairs.get("status") == "ok":
                    pairs["status"] = "success"
                key = tuple((name, text) for name, text in pairs.items() if text)
                found[key] = found.get(key, 0.0) + value
        return found

    @property
    def target_info(self) -> dict[str, str]:
        """The attributes of the resource."""
        return dict(next(iter(self._samples.get("target_info", ())), ({}, 1.0))[0])


def added_up(rows: Rows, names: Names) -> Rows:
    """Return rows without other labels than these."""
    found: Rows = {}
    for labels, value in rows.items():
        key = tuple(pair for pair in labels if pair[0] in names)
        found[key] = found.get(key, 0.0) + value
    return found
