"""Recording rules and burn-rate alerts: complete for every catalog, and the same on disk as in the code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from otel_ha import Attribute, Catalog, CatalogError, Counter, Gauge, Histogram, Objective, Rename
from otel_ha.render.alerts.burn_rates import burn_rate_alerts, left_out
from otel_ha.render.alerts.groups import render_alerts
from otel_ha.render.catalogs import service_catalogs, united
from otel_ha.render.objectives import WINDOWS, missed_groups, slug
from otel_ha.render.promql import at_most, base_name
from otel_ha.render.rules import render_rules, rule_groups
from otel_ha.vocabulary import ingest

FOLDER = Path(__file__).parents[2] / "collector-config" / "prometheus"
OURS = united(service_catalogs())
QUICK, STORED = ingest.CATALOG.objectives


def records(catalog: Catalog, group: str) -> dict[str, str]:
    (found,) = (each for each in rule_groups(catalog) if each.name == group)
    return {rule.record: rule.expr for rule in found.rules}


def test_the_file_on_disk_is_the_rendered_one():
    assert (FOLDER / "otel_ha.rules.yml").read_text(encoding="utf-8") == render_rules(service_catalogs()), "make docs"


@pytest.mark.parametrize("instrument", OURS, ids=lambda each: each.name)
def test_every_instrument_has_figures_of_minutes_and_of_hours(instrument):
    names = {"counter": ("rate{}",), "gauge": ("avg_{}", "max_{}"), "updowncounter": ("avg_{}",)}
    names["histogram"] = ("mean_{}", "p50_{}", "p95_{}", "p99_{}")
    for group, window in (("otel_ha_minutes", "5m"), ("otel_ha_hours", "1h")):
        recorded = records(OURS, group)
        for name in names[instrument.kind]:
            assert f"job:{base_name(instrument)}:{name.format(window)}" in recorded


def test_a_name_is_recorded_by_one_rule_or_with_different_labels():
    rules = [rule for group in rule_groups(OURS) for rule in group.rules]
    assert len({(rule.record, tuple(rule.labels.items())) for rule in rules}) == len(rules)


def test_a_rule_keeps_every_attribute_but_of_entities_only_those_with_a_limit():
    minutes = records(OURS, "otel_ha_minutes")
    assert "homeassistant_source, homeassistant_discard_reason" in minutes["job:homeassistant_event_discarded:rate5m"]
    assert "homeassistant_domain" in minutes["job:homeassistant_entity_events:rate5m"]
    assert not [expression for expression in minutes.values() if "homeassistant_entity_id" in expression]


def test_an_instrument_of_a_user_with_an_outcome_has_a_share_of_errors():
    mine = Histogram("acme.sync.duration", unit="s", description="Sync.", attributes=(ingest.OUTCOME,))
    counted = Counter("acme.saves", unit="{save}", description="Saves.", attributes=(ingest.OUTCOME,))
    other = Counter("acme.starts", unit="{start}", description="Starts.")
    minutes = records(Catalog(mine, counted, other), "otel_ha_minutes")
    assert (
        'acme_sync_duration_seconds_count{homeassistant_outcome="error"}'
        in (minutes["job:acme_sync_duration_seconds_errors:ratio_rate5m"])
    )
    assert "job:acme_saves_errors:ratio_rate5m" in minutes
    assert "job:acme_starts_errors:ratio_rate5m" not in minutes


def test_a_share_needs_both_of_its_instruments():
    alone = records(Catalog(ingest.DISCARDED), "otel_ha_minutes")
    assert list(alone) == ["job:homeassistant_event_discarded:rate5m"]


def test_a_catalog_without_objectives_has_no_rules_for_them():
    seen = Gauge("acme.seen", unit="1", description="Seen.", attributes=(Attribute("acme.room", "Room."),))
    assert not [group.name for group in rule_groups(Catalog(seen)) if "objectives" in group.name]
    assert missed_groups([]) == []


def test_a_renamed_metric_has_its_earlier_name_too():
    opened = Counter("acme.opened", unit="{window}", description="Windows opened.")
    catalog = Catalog(opened, renames=[Rename("acme_openings_total", opened)])
    assert records(catalog, "otel_ha_renames") == {"acme_openings_total": "acme_opened_total"}


@pytest.mark.parametrize("window", WINDOWS)
def test_the_share_of_missed_measurements_is_recorded_over_every_window(window):
    rules = [rule for group in missed_groups([QUICK, STORED]) for rule in group.rules]
    assert [rule.record for rule in rules].count(f"job:objective_errors:ratio_rate{window}") == 1


def test_the_label_of_an_objective_outlives_a_change_of_its_target():
    assert slug(QUICK) == slug(replace(QUICK, target=0.5)) == "homeassistant_event_process_duration_0_25"
    assert slug(QUICK) != slug(replace(QUICK, bound=0.5))


def test_two_targets_for_one_bound_are_recorded_once_and_fire_apart():
    objectives = [QUICK, replace(QUICK, target=0.95)]
    (group, _) = missed_groups(objectives)
    assert [rule.record for rule in group.rules].count("job_via:objective_met:rate5m") == 1
    labels = [(alert.name, *alert.labels.values()) for alert in burn_rate_alerts(objectives)]
    assert len(set(labels)) == len(labels) == 4


@pytest.mark.parametrize(
    ("target", "factors", "missing"),
    [
        (0.99, {"14.4", "6", "3", "1"}, []),
        (0.9, {"6", "3", "1"}, ["ObjectiveBurnsFast"]),
        (0.75, {"3", "1"}, ["ObjectiveBurnsFast"] * 2),
        (0.5, {"1"}, ["ObjectiveBurnsFast"] * 2 + ["ObjectiveBurnsSlowly"]),
    ],
)
def test_a_burn_rate_that_can_never_fire_is_left_out_and_the_file_says_so(target, factors, missing):
    loose = replace(QUICK, target=target)
    alerts = list(burn_rate_alerts([loose]))
    text = "".join(alert.expr for alert in alerts)
    assert {factor for factor in ("14.4", "6", "3", "1") if f"> {factor} * (1 - {target})" in text} == factors
    sentences = left_out([loose])
    assert [sentence.split()[0] for sentence in sentences] == missing
    opening = render_alerts(Catalog(loose.histogram, objectives=[loose])).partition("groups:")[0]
    assert all(f"# {sentence}" in opening for sentence in sentences)


def test_targets_that_hardly_differ_fire_apart():
    alerts = burn_rate_alerts([replace(QUICK, target=0.9999999), replace(QUICK, target=0.99999999)])
    assert {alert.labels["target"] for alert in alerts} == {"0.9999999", "0.99999999"}


def test_a_large_bound_keeps_its_digits_in_words():
    size = Histogram("acme.size", unit="By", description="Size.", buckets=(1000000.5,))
    fast, _ = burn_rate_alerts([Objective(size, bound=1000000.5, target=0.99, description="Most are small.")])
    assert "are above 1000000.5 By." in fast.description


@pytest.mark.parametrize("render", [missed_groups, lambda objectives: list(burn_rate_alerts(objectives)), left_out])
def test_two_objectives_that_would_be_recorded_as_one_are_refused(render):
    one = Histogram("acme.x", unit="s", description="X.", buckets=(1.5e-05,))
    other = Histogram("acme.x.1", unit="s", description="X.", buckets=(5e-05,))
    objectives = [
        Objective(each, bound=each.buckets[0], target=0.99, description="Most are fast.") for each in (one, other)
    ]
    with pytest.raises(CatalogError, match=r"'acme.x' .bound 1.5e-05. and 'acme.x.1' .* both be recorded as 'acme_x_1"):
        render(objectives)


def test_two_rules_of_one_name_are_refused():
    mine = Counter("homeassistant.event", unit="{event}", description="Mine.", attributes=(ingest.OUTCOME,))
    rule_groups(Catalog(mine))
    with pytest.raises(CatalogError, match="both be recorded as job:homeassistant_event_errors:ratio_rate5m; rename"):
        rule_groups(OURS | Catalog(mine))


def test_an_alert_compares_both_windows_with_the_factor_of_each_burn_rate():
    fast, slow = burn_rate_alerts([QUICK])
    for alert, burns in ((fast, ((14.4, "5m", "1h"), (6, "30m", "6h"))), (slow, ((3, "2h", "1d"), (1, "6h", "3d")))):
        for factor, *windows in burns:
            for window in windows:
                assert f"job:objective_errors:ratio_rate{window}{{" in alert.expr
                assert f'ratio_rate{window}{{objective="{slug(QUICK)}"}} > {factor} * (1 - 0.99)' in alert.expr
    assert (fast.severity, slow.severity, fast.cause) == ("page", "ticket", slow.cause)


@pytest.mark.parametrize(
    ("bound", "matcher"),
    [
        (0.25, 'le="0.25"'),
        (0.00005, 'le=~"5e-05|0.00005"'),
        (1048576.5, 'le=~"1.0485765e[+]06|1048576.5"'),
    ],
)
def test_a_bucket_is_found_in_every_spelling_of_its_bound(bound, matcher):
    assert at_most(bound) == matcher
