"""A user's file, which mypy checks strictly: the kit is typed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from otel_ha.testing import CapturedMetrics, Recorded, Series, captured_metrics
from otel_ha.vocabulary import ingest


@pytest.fixture
def metrics() -> Iterator[CapturedMetrics]:
    with captured_metrics(ingest.CATALOG, entity_metrics=True) as captured:
        yield captured


def test_questions_and_assertions_have_types(metrics: CapturedMetrics) -> None:
    ingest.EVENT.record(0.25, source="mqtt", domain="light")
    ingest.DISCARDED.add(1, source="mqtt", reason="duplicate")
    ingest.RECEIVED.add(1, source="mqtt")
    discarded: Recorded = metrics[ingest.DISCARDED]
    total: int | float = discarded.total(reason="duplicate")
    count: int = metrics[ingest.EVENT].count(outcome="ok", **{"error.type": None})
    median: float = metrics["homeassistant.event.process.duration"].quantile(0.5)
    series: list[Series] = discarded.series(source="mqtt")
    assert (total, count, series[0].value) == (1, 1, 1)
    assert median == pytest.approx(0.25)
    assert series[0].attributes["reason"] == "duplicate"
    metrics.mark()
    assert discarded.increase() == 0
    metrics.assert_recorded(ingest.DISCARDED, 1, reason="duplicate")
    metrics.assert_nothing_recorded("http.server.request.duration", codes=[200, 204])
    metrics.assert_accounts(ingest.EVENT)
    metrics.assert_no_problems()
    metrics.wait_for(ingest.EVENT, 1, within=1, outcome="ok")
    metrics.wait_for(lambda: discarded.total() == 1)
    assert metrics.telemetry is not None


async def test_waiting_in_a_loop_has_types(metrics: CapturedMetrics) -> None:
    ingest.RECEIVED.add(1, source="mqtt")
    await metrics.wait_for_async(ingest.RECEIVED, source="mqtt")
    await metrics.wait_for_async(lambda: True, within=1.5)
