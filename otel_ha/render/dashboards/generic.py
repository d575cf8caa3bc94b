"""Panels for any instrument, from its kind, unit, attributes and objective.

So a metric that a user declares needs no panel of its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Final

from otel_ha.declare.catalog import Objective
from otel_ha.declare.instruments import Histogram, Instrument
from otel_ha.render.catalogs import NamedCatalog
from otel_ha.render.dashboards.panels import Dashboard, Panel, Query, Row
from otel_ha.render.dashboards.queries import highest, level, quantiles, rate, within

__all__ = ["generic_dashboard", "objectives_row"]

_MOST_SERIES: Final = 20
_UID: Final = 40  # Grafana takes no longer one
_EMPTY: Final = "Empty until it is recorded."


def generic_dashboard(named: NamedCatalog, instruments: Iterable[Instrument], taken: Collection[str]) -> Dashboard:
    """Return a dashboard of these instruments, named after their module; its uid differs from those in `taken`."""
    name = named.module if named.name == "CATALOG" else f"{named.module}:{named.name}"
    panels = tuple(panel for instrument in instruments for panel in _panels(instrument))
    return Dashboard(
        uid=_uid(name, taken),
        title=name,
        description=named.about or f"The metrics of {name}.",
        place=9,
        rows=(Row("Metrics", panels),),
    )


def objectives_row(objectives: Sequence[Objective]) -> Row:
    """Return a row with one panel for each objective."""
    panels = [_objective(objective) for objective in objectives]
    width = max(8, 24 // len(panels))
    return Row("Objectives", tuple(replace(panel, width=width) for panel in panels))


def _objective(objective: Objective) -> Panel:
    """Return the panel that compares the share within the bound with the target."""
    return Panel(
        title=objective.description.rstrip("."),
        description=f"Share of measurements of {objective.histogram.name} that are at most {objective.bound:g}. "
        f"The line is the target, {objective.target:.4g}.",
        unit="1",
        queries=(within(objective.histogram, objective.bound),),
        limit=objective.target,
        floor=True,
        from_zero=False,
        top=1,
        empty="Empty while nothing is measured.",
    )


def _panels(instrument: Instrument) -> Iterable[Panel]:
    title = re.sub(r"[^a-z0-9]+", " ", instrument.name).capitalize()
    if isinstance(instrument, Histogram):
        yield _panel(instrument, f"{title}, per second", "/s", _rate(instrument, part="_count"))
        yield _panel(instrument, title, instrument.unit, *quantiles(instrument), objective=instrument)
    elif type(instrument).kind == "counter":
        yield _panel(instrument, f"{title}, per second", f"{instrument.unit}/s", _rate(instrument))
    elif type(instrument).kind == "updowncounter":
        yield _panel(
            instrument, title, instrument.unit, level(instrument, *instrument.attributes, top=_top(instrument))
        )
    else:
        found = highest(instrument, *instrument.attributes, top=_top(instrument))
        yield replace(_panel(instrument, title, instrument.unit, found), from_zero=False)


def _rate(instrument: Instrument, part: str = "") -> Query:
    return rate(instrument, *instrument.attributes, part=part, top=_top(instrument))


def _panel(instrument: Instrument, title: str, unit: str, *queries: Query, objective: Histogram | None = None) -> Panel:
    of_many = f" The {_MOST_SERIES} largest." if _top(instrument) else ""
    return Panel(
        title=title,
        description=f"{instrument.description}{of_many}",
        unit=unit,
        queries=queries,
        objective=objective,
        empty=_EMPTY,
        width=12,
    )


def _top(instrument: Instrument) -> int:
    """Return the number of series to draw; 0 stands for all, where closed sets of values keep them few."""
    return 0 if all(attribute.values for attribute in instrument.attributes) else _MOST_SERIES


def _uid(name: str, taken: Collection[str]) -> str:
    uid = "otel-ha-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if len(uid) <= _UID and uid not in taken:
        return uid
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{uid[: _UID - len(mark) - 1]}-{mark}"
