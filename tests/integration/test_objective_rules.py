"""The rules and alerts of objectives, as promtool evaluates them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from otel_ha import Catalog, Objective
from otel_ha.render.alerts.groups import render_alerts
from otel_ha.render.objectives import missed_groups, slug
from otel_ha.render.rule import rules_file
from otel_ha.vocabulary import ingest
from tests.promtool import Case, Phase, counter, rules_give, spelt

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

QUICK = ingest.CATALOG.objectives[0]
DURATION = "homeassistant_event_process_duration_seconds"
JOB = "ha-ingestor"
HOUR, MINUTE = 120, 2  # in samples
EVENTS = 100
"""Events between two samples; a phase with a growth of 15 misses has a share of 15 %."""

SCRAPED = {"job": JOB, "instance": "one", "via": "scrape"}


def rendered(objective: Objective = QUICK) -> list[str]:
    catalog = Catalog(objective.histogram, objectives=[objective])
    return [rules_file("", missed_groups(catalog.objectives)), render_alerts(catalog)]


def events(*missed: Phase, each: int = EVENTS, le: str = "0.25", **labels: str) -> dict[str, str]:
    """The two series of a histogram whose measurements miss the bound at the rates of the phases."""
    met = [Phase(p.samples, None if p.growth is None else each - p.growth, p.reset) for p in missed]
    all_of_them = [Phase(p.samples, None if p.growth is None else each, p.reset) for p in missed]
    of = {**SCRAPED, **labels}
    return {
        spelt(f"{DURATION}_bucket", **of, le=le): counter(*met),
        spelt(f"{DURATION}_count", **of): counter(*all_of_them),
    }


def firing(alert: str, at: str, *, expected: bool = True) -> tuple[str, str, dict[str, float]]:
    return f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})', at, {"{}": 1.0} if expected else {}


def fast(at: str, *, expected: bool = True) -> tuple[str, str, dict[str, float]]:
    return firing("ObjectiveBurnsFast", at, expected=expected)


def slow(at: str, *, expected: bool = True) -> tuple[str, str, dict[str, float]]:
    return firing("ObjectiveBurnsSlowly", at, expected=expected)


def share(window: str, at: str, value: float | None, objective: Objective = QUICK) -> tuple[str, str, dict[str, float]]:
    labels = spelt("", job=JOB, objective=slug(objective))
    expected = {} if value is None else {labels: value}
    return f"round(job:objective_errors:ratio_rate{window}, 1e-6)", at, expected


GOOD = Phase(6 * HOUR + 10, 0)
"""Enough of a past for the window of six hours, so that only the burn rate under test fires."""


@pytest.mark.parametrize(("missed", "fires"), [(14.5, True), (14.3, False)], ids=["above 14.4", "just below 14.4"])
def test_an_hour_above_the_fast_burn_rate_pages_and_just_below_does_not(promtool, tmp_path, missed, fires):
    series = events(GOOD, Phase(HOUR + 10 * MINUTE, missed))
    rules_give(promtool, tmp_path, rendered(), Case(series, [fast("7h15m", expected=fires)]))


@pytest.mark.parametrize(("missed", "fires"), [(6.1, True), (5.9, False)], ids=["above 6", "just below 6"])
def test_six_hours_above_the_burn_rate_of_six_page_and_just_below_do_not(promtool, tmp_path, missed, fires):
    series = events(Phase(7 * HOUR, missed))
    rules_give(promtool, tmp_path, rendered(), Case(series, [fast("6h50m", expected=fires), slow("6h50m")]))


@pytest.mark.parametrize(("missed", "fires"), [(1.1, True), (0.9, False)], ids=["above 1", "just below 1"])
def test_a_budget_that_is_used_up_in_time_makes_a_ticket_and_just_below_does_not(promtool, tmp_path, missed, fires):
    series = events(Phase(7 * HOUR, missed))
    expected = [slow("6h50m", expected=fires), fast("6h50m", expected=False)]
    rules_give(promtool, tmp_path, rendered(), Case(series, expected))


def test_it_pages_once_the_condition_has_held_and_resolves_when_the_fault_is_over(promtool, tmp_path):
    series = events(GOOD, Phase(HOUR, 50), Phase(HOUR, 0))
    samples = [fast("6h5m", expected=False), fast("7h"), fast("7h40m", expected=False)]
    rules_give(promtool, tmp_path, rendered(), Case(series, samples))


def test_a_ticket_resolves_when_the_fault_is_over(promtool, tmp_path):
    series = events(Phase(3 * HOUR, 2), Phase(7 * HOUR, 0))
    samples = [slow("2h50m"), slow("9h30m", expected=False)]
    rules_give(promtool, tmp_path, rendered(), Case(series, samples))


@pytest.mark.parametrize("missed", [0, 20], ids=["a healthy service", "a fault"])
def test_a_counter_reset_changes_nothing(promtool, tmp_path, missed):
    series = events(Phase(HOUR, missed), Phase(HOUR, missed, reset=True))
    at = ("55m", "1h1m", "1h30m")
    samples = [fast(each, expected=bool(missed)) for each in at]
    rules_give(promtool, tmp_path, rendered(), Case(series, samples))


@pytest.mark.parametrize("missed", [0, 20], ids=["a healthy service", "a fault"])
def test_a_restart_with_a_new_instance_changes_nothing(promtool, tmp_path, missed):
    before = events(Phase(HOUR, missed), Phase(HOUR, None))
    after = events(Phase(HOUR + 2, None), Phase(HOUR, missed), instance="two")
    samples = [fast(each, expected=bool(missed)) for each in ("55m", "1h3m", "1h30m")]
    rules_give(promtool, tmp_path, rendered(), Case(before | after, samples))


def test_a_gap_in_the_data_fires_nothing_and_hides_no_fault(promtool, tmp_path):
    gap = Phase(15 * MINUTE, None)
    healthy = events(Phase(HOUR, 0), gap, Phase(HOUR, 0))
    faulty = events(Phase(HOUR, 20), gap, Phase(HOUR, 20))
    moments = ("55m", "1h12m", "1h25m")
    rules_give(
        promtool,
        tmp_path,
        rendered(),
        Case(healthy, [fast(at, expected=False) for at in moments]),
        Case(faulty, list(map(fast, moments))),  # half an hour ago the fault was there
    )


def test_a_service_without_events_has_no_share(promtool, tmp_path):
    series = events(Phase(HOUR, 0), each=0)
    rules_give(promtool, tmp_path, rendered(), Case(series, [share("5m", "50m", None), share("1h", "50m", None)]))


QUIET = (Phase(20 * MINUTE), Phase(1, 1), Phase(20 * MINUTE), Phase(1, 1), Phase(18 * MINUTE))
"""Two events within an hour, both too slow."""


def both_slow(**labels: str) -> dict[str, str]:
    of = {**SCRAPED, **labels}
    never = counter(Phase(59 * MINUTE))
    return {
        spelt(f"{DURATION}_bucket", **of, le="0.25"): never,
        spelt(f"{DURATION}_count", **of): counter(Phase(MINUTE, 1), *QUIET),
    }


def test_two_slow_events_in_a_quiet_hour_page_nobody_though_each_way_in_reports_them(promtool, tmp_path):
    ways = both_slow() | both_slow(via="collector", instance="x") | both_slow(via="", instance="y")
    samples = [share("1h", "45m", 1.0), fast("45m", expected=False)]
    rules_give(promtool, tmp_path, rendered(), Case(ways, samples))


def test_the_share_is_that_of_one_way_and_of_all_instances_together(promtool, tmp_path):
    series = (
        events(Phase(40, 20))
        | events(Phase(40, 20), instance="x", via="collector")
        | events(Phase(40, 40), instance="y", via="collector")
        | events(Phase(40, 10), instance="z", via="")
    )
    rules_give(promtool, tmp_path, rendered(), Case(series, [share("5m", "15m", 0.3)]))


def test_a_service_without_buckets_has_no_share_and_changes_none(promtool, tmp_path):
    only_counted = {key: text for key, text in events(Phase(40), instance="two").items() if "_count" in key}
    other_buckets = events(Phase(40, 0), instance="three", le="0.5")
    alone = Case(only_counted | other_buckets, [share("5m", "15m", None)])
    beside = Case(only_counted | other_buckets | events(Phase(40, 2)), [share("5m", "15m", 0.02)])
    rules_give(promtool, tmp_path, rendered(), alone, beside)


@pytest.mark.parametrize("le", ["5e-05", "0.00005"], ids=["as scraped", "as pushed"])
def test_a_small_bound_is_found_in_either_spelling(promtool, tmp_path, le):
    tiny = replace(QUICK, bound=0.00005)
    series = events(Phase(40, 2), le=le)
    rules_give(promtool, tmp_path, rendered(tiny), Case(series, [share("5m", "15m", 0.02, tiny)]))


def test_the_notification_says_how_much_is_too_slow_and_what_is_allowed(promtool, tmp_path):
    odd = replace(QUICK, description="Fast {{ enough }} for <everybody>, {<window> {{<lag> {{{x}}} too.")
    alert = {
        "alertname": "ObjectiveBurnsFast",
        "eval_time": "15m",
        "exp_alerts": [
            {
                "exp_labels": {
                    "severity": "page",
                    "cause": f"objective_{slug(odd)}",
                    "job": JOB,
                    "objective": slug(odd),
                    "target": "0.99",
                },
                "exp_annotations": {
                    "summary": f"ha-ingestor misses an objective fast: {odd.description}",
                    "description": "50% of the measurements of homeassistant.event.process.duration are above 0.25 s. "
                    "The objective allows 1 %; this alert fires above 14.4 % over both 5 min and 1 h, "
                    "or 6 % over both 30 min and 6 h.",
                    "runbook": "docs/runbooks/ObjectiveBurnsFast.md",
                },
            }
        ],
    }
    rules_give(promtool, tmp_path, rendered(odd), Case(events(Phase(40, 50)), alerts=[alert]))


def test_a_service_that_is_never_asked_for_more_than_nine_in_ten_still_pages(promtool, tmp_path):
    loose = replace(QUICK, target=0.9)
    series = events(Phase(7 * HOUR, 61))
    below = events(Phase(7 * HOUR, 59))
    rules_give(
        promtool,
        tmp_path,
        rendered(loose),
        Case(series, [fast("6h50m")]),
        Case(below, [fast("6h50m", expected=False)]),
    )
