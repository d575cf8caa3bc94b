"""The accounts of events in PromQL: the difference between what was received and what became of it."""

from __future__ import annotations

from otel_ha.render.promql import Selection, total_per_instance
from otel_ha.vocabulary import ingest

__all__ = ["unaccounted"]


def unaccounted(selection: Selection) -> str:
    """Return received - processed - discarded - in flight, for the sources whose events in flight are counted.

    It compares raw totals within each instance and way in, never rates: a pushed service that restarts is a new series.
    """
    received, in_flight, processed, discarded = (
        total_per_instance(series, ingest.SOURCE)
        for series in (
            selection.series(ingest.RECEIVED),
            selection.series(ingest.IN_FLIGHT),
            selection.series(ingest.EVENT_DURATION, part="_count"),
            selection.series(ingest.DISCARDED),
        )
    )
    nothing = f"0 * {received}"
    return f"{received} - {in_flight} - ({processed} or {nothing}) - ({discarded} or {nothing})"
