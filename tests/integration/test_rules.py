"""The recording rules, as promtool evaluates them; promtool and vmalert load the files."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from otel_ha import Attribute, Catalog, Counter, Gauge, Histogram, Objective, UpDownCounter
from otel_ha.render.catalogs import NamedCatalog, service_catalogs
from otel_ha.render.rules import render_rules
from otel_ha.vocabulary import ingest
from tests.pages import ROOT, blocks
from tests.promtool import Case, Phase, counter, rules_give, run, spelt
from tests.servers.fixtures import needed

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

SCRAPE = {"job": "ha", "instance": "127.0.0.1:9464", "via": "scrape"}
COLLECTOR = {"job": "ha", "instance": "b0c1", "via": "collector"}
PUSH = {"job": "ha", "instance": "b0c1", "host_name": "pi"}
WAYS = (SCRAPE, COLLECTOR, PUSH)
SAMPLES = 25
MQTT = {"homeassistant_source": "mqtt"}
DURATION = "homeassistant_event_process_duration_seconds"

ROOM = Attribute("acme.room", "The room.", budget=50)


def acme(target: float = 0.95) -> NamedCatalog:
    """A catalog as a user declares it: each kind of instrument once, and an objective."""
    module = types.ModuleType("acme.metrics")
    module.OPENINGS = Counter("acme.window.openings", unit="{opening}", description="Openings.", attributes=(ROOM,))
    module.HEATING = Histogram(
        "acme.heating.duration", unit="s", description="Heating.", attributes=(ROOM, ingest.OUTCOME), buckets=(0.5, 1.0)
    )
    module.OPEN = UpDownCounter("acme.window.open", unit="{window}", description="Open windows.", attributes=(ROOM,))
    module.WARMTH = Gauge("acme.room.warmth", unit="1", description="Warmth.", attributes=(ROOM,))
    warm = Objective(module.HEATING, bound=0.5, target=target, description="Most rooms are warm soon.")
    module.CATALOG = Catalog(module.OPENINGS, module.HEATING, module.OPEN, module.WARMTH, objectives=[warm])
    return NamedCatalog.of(module)


CATALOGS = {"ours": service_catalogs(), "a user's": [acme()], "both": [*service_catalogs(), acme()], "0.9": [acme(0.9)]}


@pytest.fixture(params=CATALOGS.values(), ids=CATALOGS)
def file(request, tmp_path) -> Path:
    path = tmp_path / "otel_ha.rules.yml"
    path.write_text(render_rules(request.param), encoding="utf-8")
    return path


def test_promtool_finds_the_rules_valid(promtool, file):
    run(promtool, "check", "rules", "--lint=all", "--lint-fatal", str(file))


def test_vmalert_loads_the_same_file(file):
    run(needed("vmalert"), "-dryRun", f"-rule={file}")


def test_a_users_metrics_of_the_how_to_page_render_to_files_that_promtool_and_vmalert_accept(promtool, tmp_path):
    declared, gathered = blocks(ROOT / "docs" / "how-to" / "metrics-of-your-own.md")[:2]
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "metrics.py").write_text(declared + gathered, encoding="utf-8")
    for kind in ("rules", "alerts"):
        render = (sys.executable, "-m", "otel_ha.render", kind, "--catalog", "acme.metrics:ACME", "--out", "prometheus")
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(render, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=60)
        file = tmp_path / "prometheus" / f"acme_metrics.{kind}.yml"
        run(promtool, "check", "rules", "--lint=all", "--lint-fatal", str(file))
        run(needed("vmalert"), "-dryRun", f"-rule={file}")
        text = file.read_text(encoding="utf-8")
        assert "acme_heating_duration_900_5" in text
        assert "homeassistant" not in text


def growing(each: float) -> str:
    return counter(Phase(SAMPLES, each))


def constant(value: float) -> str:
    return f"{value}x{SAMPLES}"


def recorded(name: str, value: float, **labels: str) -> tuple[str, str, dict[str, float]]:
    return f"round({name}, 1e-6)", "10m", {spelt("", job="ha", **labels): value}


def nothing(name: str) -> tuple[str, str, dict[str, float]]:
    return name, "10m", {}


def give(promtool: Path, folder: Path, series: dict[str, str], *expected: tuple[str, str, dict[str, float]]) -> None:
    rules_give(promtool, folder, [render_rules(CATALOGS["both"])], Case(series, expected))


def test_a_rate_is_that_of_one_way_even_if_all_ways_report_it(promtool, tmp_path):
    series = {spelt("homeassistant_event_received_total", **way, **MQTT): growing(60) for way in WAYS}
    give(promtool, tmp_path, series, recorded("job:homeassistant_event_received:rate5m", 2.0, **MQTT))


def test_instances_of_one_way_are_added_up(promtool, tmp_path):
    series = {
        spelt("homeassistant_event_received_total", **{**SCRAPE, "instance": name}, **MQTT): growing(60)
        for name in ("one", "two")
    }
    give(promtool, tmp_path, series, recorded("job:homeassistant_event_received:rate5m", 4.0, **MQTT))


def test_the_rate_of_an_hour_reaches_back_before_the_last_minutes(promtool, tmp_path):
    series = {spelt("acme_window_openings_total", **SCRAPE): counter(Phase(10, 36), Phase(15, 0))}
    hour = ("round(job:acme_window_openings:rate1h, 0.01)", "10m", {spelt("", job="ha"): 0.09})  # 324 in the hour
    give(promtool, tmp_path, series, hour, recorded("job:acme_window_openings:rate5m", 0.0))


def ended(name: str = DURATION, **ends: float) -> dict[str, str]:
    """Each way's counts of a histogram by outcome, growing by so much in half a minute."""
    return {
        spelt(f"{name}_count", **way, homeassistant_outcome=outcome): growing(each)
        for way in WAYS
        for outcome, each in ends.items()
    }


def test_the_error_ratio_of_events_and_of_a_users_instrument(promtool, tmp_path):
    series = ended(ok=9, error=3) | ended("acme_heating_duration_seconds", ok=6, cancelled=2, error=2)
    give(
        promtool,
        tmp_path,
        series,
        recorded("job:homeassistant_event_errors:ratio_rate5m", 0.25),
        recorded("job:acme_heating_duration_seconds_errors:ratio_rate5m", 0.2),
    )


def test_without_errors_the_ratio_is_zero_and_without_work_there_is_none(promtool, tmp_path):
    give(promtool, tmp_path, ended(ok=9), recorded("job:homeassistant_event_errors:ratio_rate5m", 0.0))
    give(promtool, tmp_path, ended(ok=0), nothing("job:homeassistant_event_errors:ratio_rate5m"))


def test_shares_of_duplicates_filtered_events_and_successful_transformations(promtool, tmp_path):
    series = ended("homeassistant_transform_duration_seconds", ok=3, error=1)
    for way in WAYS:
        for source in ("mqtt", "websocket"):
            of = {**way, "homeassistant_source": source}
            series[spelt("homeassistant_event_received_total", **of)] = growing(10)
            for reason, each in {"duplicate": 4, "filtered": 1, "invalid": 5}.items():
                name = spelt("homeassistant_event_discarded_total", **of, homeassistant_discard_reason=reason)
                series[name] = growing(each)
    give(
        promtool,
        tmp_path,
        series,
        recorded("job:homeassistant_event_duplicates:ratio_rate5m", 0.4),
        recorded("job:homeassistant_event_filtered:ratio_rate5m", 0.1),
        recorded("job:homeassistant_transform_success:ratio_rate5m", 0.75),
    )


def buckets(way: dict[str, str], one: str) -> dict[str, str]:
    """Twenty measurements in half a minute: ten of up to 0.5 s, ten of up to a second; `one` is the spelling of 1."""
    heights = {"0.5": 10, one: 20, "+Inf": 20}
    return {spelt("acme_heating_duration_seconds_bucket", **way, le=le): growing(each) for le, each in heights.items()}


HEATING = "job:acme_heating_duration_seconds"


def test_quantiles_are_those_of_one_way_in_either_spelling_of_a_whole_bound(promtool, tmp_path):
    series = buckets(SCRAPE, "1.0") | buckets(COLLECTOR, "1") | buckets(PUSH, "1")
    give(
        promtool,
        tmp_path,
        series,
        recorded(f"{HEATING}:p50_5m", 0.5),
        recorded(f"{HEATING}:p95_5m", 0.95),
        recorded(f"{HEATING}:p99_5m", 0.99),
        recorded(f"{HEATING}:p95_1h", 0.95),
    )


def test_instances_that_spell_a_whole_bound_differently_have_one_quantile(promtool, tmp_path):
    other = {**SCRAPE, "instance": "two"}
    give(promtool, tmp_path, buckets(SCRAPE, "1.0") | buckets(other, "1"), recorded(f"{HEATING}:p95_5m", 0.95))


def test_a_histogram_without_buckets_or_without_measurements_has_no_quantiles(promtool, tmp_path):
    counted = {spelt("acme_heating_duration_seconds_bucket", **SCRAPE, le="+Inf"): growing(5)}
    idle = {series: constant(7) for series in buckets(SCRAPE, "1.0")}
    for series in (counted, idle):
        give(promtool, tmp_path, series, nothing(f"{HEATING}:p95_5m"), nothing(f"{HEATING}:p95_1h"))


def test_the_mean_of_a_histogram(promtool, tmp_path):
    series = {}
    for way in WAYS:
        series[spelt("acme_heating_duration_seconds_sum", **way)] = growing(3)
        series[spelt("acme_heating_duration_seconds_count", **way)] = growing(6)
    give(promtool, tmp_path, series, recorded(f"{HEATING}:mean_5m", 0.5), recorded(f"{HEATING}:mean_1h", 0.5))


def test_a_sum_adds_instances_up_and_a_gauge_averages_them(promtool, tmp_path):
    series = {}
    for way in WAYS:
        for instance, value in (("one", 0.25), ("two", 0.75)):
            of = {**way, "instance": instance, "acme_room": "attic"}
            series[spelt("acme_window_open", **of)] = constant(4 * value)
            series[spelt("acme_room_warmth_ratio", **of)] = constant(value)
    attic = {"acme_room": "attic"}
    give(
        promtool,
        tmp_path,
        series,
        recorded("job:acme_window_open:avg_5m", 4.0, **attic),
        recorded("job:acme_window_open:avg_1h", 4.0, **attic),
        recorded("job:acme_room_warmth_ratio:avg_5m", 0.5, **attic),
        recorded("job:acme_room_warmth_ratio:max_5m", 0.75, **attic),
        recorded("job:acme_room_warmth_ratio:max_1h", 0.75, **attic),
    )


def test_after_a_restart_the_old_instance_is_not_added_to_the_new_one(promtool, tmp_path):
    old, new = ({**SCRAPE, "instance": name} for name in ("old", "new"))
    series = {spelt("acme_window_open", **old): "5x10 stale", spelt("acme_window_open", **new): "_x11 5x15"}
    give(promtool, tmp_path, series, recorded("job:acme_window_open:avg_1h", 5.0))


def test_entities_are_counted_by_domain_never_one_by_one(promtool, tmp_path):
    light = {"homeassistant_domain": "light"}
    series = {
        spelt("homeassistant_entity_events_total", **SCRAPE, **light, homeassistant_entity_id=each): growing(30)
        for each in ("light.kitchen", "light.hall")
    }
    give(promtool, tmp_path, series, recorded("job:homeassistant_entity_events:rate5m", 2.0, **light))
