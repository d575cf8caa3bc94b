"""The expressions of the recording rules on VictoriaMetrics, whose own language differs from PromQL in details."""

from __future__ import annotations

import time

import pytest

from otel_ha.declare.catalog import Catalog
from otel_ha.render.objectives import missed_groups
from otel_ha.render.rule import Rule
from otel_ha.render.rules import rule_groups
from tests.integration.test_rules import acme
from tests.promtool import spelt
from tests.servers.running import post
from tests.servers.victoria_metrics import VictoriaMetrics

pytestmark = pytest.mark.servers

HEATING = "acme_heating_duration_seconds"
STEP, SAMPLES = 30, 21
WAYS = ({"via": "scrape", "instance": "one"}, {"instance": "b0c1"})

OK, ERROR = {"homeassistant_outcome": "ok"}, {"homeassistant_outcome": "error"}
GROWTH = [
    ("acme_window_openings_total", {}, 60),
    *((f"{HEATING}_bucket", {**OK, "le": le}, each) for le, each in (("0.5", 10), ("1.0", 15), ("+Inf", 15))),
    (f"{HEATING}_sum", OK, 7.5),
    (f"{HEATING}_count", OK, 15),
    (f"{HEATING}_count", ERROR, 5),
]
"""Each series grows by so much in half a minute; failed heatings have no buckets."""

LEVELS = {"acme_window_open": 4, "acme_room_warmth_ratio": 0.5}


def lines(now: int) -> str:
    """The samples of the last ten minutes, by two ways in, in Prometheus' text format."""
    text = []
    for way in WAYS:
        for sample in range(SAMPLES):
            at = 1000 * (now - STEP * (SAMPLES - 1 - sample))
            text += [f"{spelt(name, job='acme', **way, **of)} {each * sample} {at}" for name, of, each in GROWTH]
            text += [f"{spelt(name, job='acme', **way)} {value} {at}" for name, value in LEVELS.items()]
    return "\n".join(text)


def expressions(catalog: Catalog) -> dict[str, str]:
    """The rules of 5 minutes by name, each with the rules that it reads written out."""
    groups = (rule_groups(catalog)[0], missed_groups(catalog.objectives)[0])
    found: dict[str, str] = {}
    for rule in (rule for group in groups for rule in group.rules if isinstance(rule, Rule)):
        expression = rule.expr
        for name, read in found.items():
            expression = expression.replace(name, f"({read})")
        found[rule.record] = expression
    return found


@pytest.fixture
def store(victoria_metrics) -> VictoriaMetrics:
    post(f"{victoria_metrics.url}/api/v1/import/prometheus", lines(int(time.time())).encode())
    return victoria_metrics


def test_victoria_metrics_calculates_what_prometheus_does_and_counts_one_way(store):
    rules = expressions(acme().catalog)
    expected = {
        "job:acme_window_openings:rate5m": 2.0,
        f"job:{HEATING}:p95_5m": 0.925,
        f"job:{HEATING}:mean_5m": 0.375,
        f"job:{HEATING}_errors:ratio_rate5m": 0.25,
        "job:objective_errors:ratio_rate5m": 1 / 3,
        "job:acme_window_open:avg_5m": 4.0,
        "job:acme_room_warmth_ratio:avg_5m": 0.5,
        "job:acme_room_warmth_ratio:max_5m": 0.5,
    }
    found = {name: store.query(rules[name]) for name in expected}
    assert {name: [value for _, value in series] for name, series in found.items()} == {
        name: [pytest.approx(value, rel=0.01)] for name, value in expected.items()
    }
    assert all(labels == {"job": "acme"} for series in found.values() for labels, _ in series)
