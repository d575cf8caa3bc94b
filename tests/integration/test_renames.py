"""Renamed metrics keep their earlier names, as promtool computes them from the metrics of each way to Prometheus."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

import pytest
import yaml

from otel_ha import Attribute, Catalog, Counter, Histogram, ObservableGauge, Rename
from otel_ha.render.renames import bridges
from otel_ha.vocabulary import ingest

pytestmark = [pytest.mark.servers, pytest.mark.timeout(60)]

ROOM = Attribute("acme.room", "The room.", budget=50)
MODE = Attribute("acme.mode", "How a room is heated.")
OPENINGS = Counter("acme.window.openings", unit="{opening}", description="Openings.", attributes=(ROOM, MODE))
HEATING = Histogram("acme.heating.duration", unit="s", description="Heating.", attributes=(ROOM,), buckets=(0.5, 1.5))
AGE = ObservableGauge("acme.sensor.age", unit="s", description="Age.", attributes=(ROOM,))
CATALOG = ingest.CATALOG | Catalog(
    OPENINGS,
    HEATING,
    AGE,
    renames=[
        Rename("acme_opened_total", OPENINGS, labels={"room": ROOM}),
        Rename("acme_warming_seconds", HEATING),
        Rename("acme_sensor_age_milliseconds", AGE, times=1000),
    ],
)
SERVICE = {"job": "acme", "instance": "one"}
WAYS = {"scrape": {"via": "scrape"}, "collector": {"via": "collector"}, "otlp": {"host_name": "pi"}}
KITCHEN = {"acme_room": "kitchen"}


def spelt(name: str, labels: Mapping[str, str]) -> str:
    return name + "{" + ", ".join(f'{label}="{value}"' for label, value in labels.items()) + "}"


@pytest.fixture(params=WAYS)
def gives(promtool, tmp_path, request):
    """Has promtool answer a query from series of one way and the rules, and compare; labels of the way are added."""
    (tmp_path / "rules.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "renames", "rules": [rule.as_data() for rule in bridges(CATALOG)]}]})
    )
    of_way = {**SERVICE, **WAYS[request.param]}

    def check(series, query: str, expected, at: str = "10m") -> None:
        samples = [{"labels": spelt("", {**of_way, **labels}), "value": value} for labels, value in expected]
        test = {
            "interval": "15s",
            "input_series": [
                {"series": spelt(name, {**of_way, **labels}), "values": values} for name, labels, values in series
            ],
            "promql_expr_test": [{"expr": query, "eval_time": at, "exp_samples": samples}],
        }
        file = tmp_path / "test.yml"
        file.write_text(
            yaml.safe_dump({"rule_files": ["rules.yml"], "fuzzy_compare": True, "tests": [test]}), encoding="utf-8"
        )
        done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    return check


OPENED = [
    ("acme_window_openings_total", {**KITCHEN, "acme_mode": "eco"}, "0+3x60"),
    ("acme_window_openings_total", {"acme_room": "bath", "acme_mode": "eco"}, "0+6x60"),
]


def test_a_counter_has_its_earlier_name_and_its_earlier_label_and_keeps_the_others(gives):
    gives(
        OPENED,
        "sum without (__name__) (rate(acme_opened_total[5m]))",
        [({"room": "kitchen", "acme_mode": "eco"}, 0.2), ({"room": "bath", "acme_mode": "eco"}, 0.4)],
    )


def test_a_counter_that_starts_again_is_no_loss_under_its_earlier_name(gives):
    restarted = [("acme_window_openings_total", {**KITCHEN, "acme_mode": "eco"}, "0+3x19 0+3x41")]
    gives(restarted, "rate(acme_opened_total[2m])", [({"room": "kitchen", "acme_mode": "eco"}, 0.2)], at="10m")
    gives(restarted, "resets(acme_opened_total[10m])", [({"room": "kitchen", "acme_mode": "eco"}, 1)], at="10m")


def test_a_histogram_has_all_its_series_under_the_earlier_name(gives):
    buckets = [
        ("acme_heating_duration_seconds_bucket", {**KITCHEN, "le": bound}, values)
        for bound, values in (("0.5", "0+10x60"), ("1.5", "0+20x60"), ("+Inf", "0+20x60"))
    ]
    series = [
        *buckets,
        ("acme_heating_duration_seconds_sum", KITCHEN, "0+15x60"),
        ("acme_heating_duration_seconds_count", KITCHEN, "0+20x60"),
    ]
    gives(series, "histogram_quantile(0.75, rate(acme_warming_seconds_bucket[5m]))", [(KITCHEN, 1)])
    mean = "rate(acme_warming_seconds_sum[5m]) / rate(acme_warming_seconds_count[5m])"
    gives(series, mean, [(KITCHEN, 0.75)])


def test_a_gauge_of_another_unit_is_converted(gives):
    series = [("acme_sensor_age_seconds", KITCHEN, "2x60")]
    gives(series, "acme_sensor_age_milliseconds + 0", [(KITCHEN, 2000)])


def test_an_earlier_query_goes_on_over_the_rename(gives):
    before = ("acme_opened_total", {"room": "kitchen", "acme_mode": "eco"}, "0+3x19 _x41")
    after = ("acme_window_openings_total", {**KITCHEN, "acme_mode": "eco"}, "_x20 60+3x40")
    gives([before, after], "increase(acme_opened_total[8m])", [({"room": "kitchen", "acme_mode": "eco"}, 96)], at="10m")


def test_a_query_with_the_new_name_or_the_earlier_one_covers_the_time_before(gives):
    before = ("acme_warming_seconds_count", KITCHEN, "0+3x19 _x41")
    after = ("acme_heating_duration_seconds_count", KITCHEN, "_x20 0+3x40")
    query = "rate(acme_heating_duration_seconds_count[2m]) or rate(acme_warming_seconds_count[2m])"
    for at in ("4m", "10m"):
        gives([before, after], query, [(KITCHEN, 0.2)], at=at)


def test_promtool_finds_the_rules_valid(promtool, tmp_path):
    file = tmp_path / "rules.yml"
    rules = [rule.as_data() for rule in bridges(CATALOG)]
    file.write_text(yaml.safe_dump({"groups": [{"name": "renames", "rules": rules}]}), encoding="utf-8")
    command = [promtool, "check", "rules", "--lint=all", "--lint-fatal", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 rules found" in done.stdout
