"""Dashboards: chosen by a catalog, drawn for Grafana and for VictoriaMetrics' page."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from hypothesis import given
from hypothesis import strategies as st

from otel_ha import (
    Attribute,
    Catalog,
    CatalogError,
    Counter,
    Gauge,
    Histogram,
    Objective,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    TelemetryError,
    UpDownCounter,
)
from otel_ha.render.__main__ import main
from otel_ha.render.alerts.thresholds import Threshold
from otel_ha.render.catalogs import NamedCatalog, service_catalogs
from otel_ha.render.dashboards.choice import chosen
from otel_ha.render.dashboards.files import FORMATS, dashboard_files
from otel_ha.render.dashboards.grafana_panels import grafana_panel
from otel_ha.render.dashboards.panels import Panel, Query
from otel_ha.render.dashboards.sdk import JSONEncoder
from otel_ha.render.dashboards.sdk import dashboard as models
from otel_ha.render.dashboards.units import grafana_unit, plain_unit
from otel_ha.render.promql import EVERYTHING
from otel_ha.vocabulary import ingest, messaging, runtime

ROOT = Path(__file__).parents[2] / "collector-config"
FOLDERS = {"grafana": ROOT / "grafana" / "dashboards", "vmui": ROOT / "victoriametrics" / "dashboards"}
ROOM = Attribute("acme.room", "The room.")
MODE = Attribute("acme.mode", "How a room is heated.", values=("eco", "comfort"))
OPENINGS = Counter("acme.window.openings", unit="{opening}", description="Opened windows.", attributes=(ROOM,))
HEATING = Histogram("acme.heating.duration", unit="s", description="Time to heat.", buckets=(60.5, 900.5, 3600.5))
QUICK = Objective(HEATING, bound=900.5, target=0.95, description="95 % of rooms are warm within 15 minutes.")


def catalog_of(*instruments, module: str = "acme.metrics", name: str = "CATALOG", objectives=()) -> NamedCatalog:
    return NamedCatalog(module, name, "About.", Catalog(*instruments, objectives=objectives), {}, {})


def grafana(*catalogs: NamedCatalog) -> dict[str, dict]:
    files = dashboard_files(catalogs or service_catalogs(), "grafana")
    return {name: json.loads(text) for name, text in files.items()}


def panels_of(dashboard: dict) -> list[dict]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions_of(dashboard: dict) -> list[str]:
    targets = [target["expr"] for panel in panels_of(dashboard) for target in panel.get("targets", ())]
    return targets + [annotation["expr"] for annotation in dashboard["annotations"]["list"]]


@pytest.fixture(params=dashboard_files(service_catalogs(), "grafana"))
def dashboard(request) -> dict:
    return grafana()[request.param]


@pytest.mark.parametrize("form", FORMATS)
def test_the_files_on_disk_are_the_rendered_ones(form):
    found = {path.name: path.read_text(encoding="utf-8") for path in FOLDERS[form].glob("*.json")}
    assert found == dashboard_files(service_catalogs(), form), "run `make docs`"


def test_every_metric_of_ours_has_a_panel_of_its_own():
    drawn = {instrument for each in chosen(service_catalogs()) for instrument in each.reads}
    ours = (*ingest.CATALOG, *messaging.CATALOG, *runtime.CATALOG)
    assert {each.name for each in ours} == {each.name for each in drawn}
    assert [each.uid for each in chosen(service_catalogs())] == [
        "otel-ha-overview",
        "otel-ha-pipeline",
        "otel-ha-sinks",
        "otel-ha-system",
        "otel-ha-collector",
        "otel-ha-entities",
    ]


@pytest.mark.parametrize("missing", [ingest.QUEUE_CAPACITY, ingest.LAG_TO_WRITE, ingest.DISCARDED])
def test_a_panel_without_its_metric_is_left_out(missing):
    rest = catalog_of(*(each for each in ingest.CATALOG if each is not missing))
    files = dashboard_files([rest], "grafana")
    assert missing.prometheus_name in "".join(dashboard_files(service_catalogs(), "grafana").values())
    assert missing.prometheus_name not in "".join(files.values())


def test_a_catalog_of_a_user_is_rendered_alone():
    assert list(grafana(catalog_of(OPENINGS))) == ["otel-ha-acme-metrics.json"]


def test_metrics_of_a_user_beside_ours_get_a_dashboard_of_their_own():
    files = dashboard_files([*service_catalogs(), catalog_of(OPENINGS)], "vmui")
    assert list(files)[-1] == "9-otel-ha-acme-metrics.json"
    assert next(iter(files)) == "1-otel-ha-overview.json"


@pytest.mark.parametrize(
    ("instrument", "expected"),
    [
        (
            OPENINGS,
            "topk_avg(20, max by (job, acme_room) (sum by (job, via, acme_room) (rate(acme_window_openings_total[5m]))))",  # noqa: E501
        ),
        (
            ObservableCounter("acme.heat", unit="J", description="Heat.", attributes=(MODE,)),
            "max by (job, acme_mode) (sum by (job, via, acme_mode) (rate(acme_heat_joules_total[5m])))",
        ),
        (
            UpDownCounter("acme.open", unit="{window}", description="Open."),
            "max by (job) (sum by (job, via) (acme_open))",
        ),
        (
            ObservableUpDownCounter("acme.people", unit="{person}", description="People."),
            "max by (job) (sum by (job, via) (acme_people))",
        ),
        (Gauge("acme.warmth", unit="Cel", description="Warmth."), "max by (job) (acme_warmth_celsius)"),
        (
            ObservableGauge("acme.warmth", unit="Cel", description="Warmth.", attributes=(MODE,)),
            "max by (job, acme_mode) (acme_warmth_celsius)",
        ),
        (HEATING, "max by (job) (sum by (job, via) (rate(acme_heating_duration_seconds_count[5m])))"),
    ],
    ids=lambda each: type(each).__name__,
)  # fmt: skip
def test_a_metric_of_any_kind_has_a_panel(instrument, expected):
    (text,) = dashboard_files([catalog_of(instrument)], "vmui").values()
    assert expected in [expr for row in json.loads(text)["rows"] for panel in row["panels"] for expr in panel["expr"]]


def test_an_objective_of_a_user_has_a_panel_with_its_target():
    (dashboard,) = grafana(catalog_of(HEATING, objectives=[QUICK])).values()
    panel = panels_of(dashboard)[0]
    assert panel["title"] == "95 % of rooms are warm within 15 minutes"
    assert 'le="900.5"' in panel["targets"][0]["expr"]
    assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"] == [
        {"color": "red", "value": None},
        {"color": "green", "value": 0.95},
    ]


def test_an_objective_of_a_user_on_a_metric_of_ours_has_a_panel():
    own = Objective(runtime.EVENT_LOOP_DELAY, bound=0.25, target=0.999, description="The loop is free.")
    found = grafana(*service_catalogs(), catalog_of(runtime.EVENT_LOOP_DELAY, objectives=[own]))
    titles = {name: [panel["title"] for panel in panels_of(each)] for name, each in found.items()}
    assert [name for name, found in titles.items() if "The loop is free" in found] == ["otel-ha-system.json"]


def test_two_catalogs_with_different_metrics_of_one_name_are_refused():
    other = Counter("acme.window.openings", unit="{opening}", description="Another one.")
    with pytest.raises(CatalogError, match="two instruments are named"):
        dashboard_files([catalog_of(OPENINGS), catalog_of(other, module="other")], "vmui")


@pytest.mark.parametrize("name", ["a" * 60 + ".one", "a" * 60 + ".two", "Über.messung", "acme"])
def test_a_uid_is_one_that_grafana_takes(name):
    (dashboard,) = grafana(catalog_of(OPENINGS, module=name)).values()
    assert re.fullmatch(r"otel-ha-[a-z0-9-]{1,32}", dashboard["uid"])


def test_catalogs_with_long_names_have_different_uids():
    catalogs = [
        catalog_of(OPENINGS, module="a" * 60 + ".one"),
        catalog_of(HEATING, module="a" * 60 + ".two"),
        catalog_of(Gauge("acme.warmth", unit="Cel", description="Warmth."), module="a" * 60 + ".two", name="MORE"),
    ]
    assert len({each["uid"] for each in grafana(*catalogs).values()}) == 3


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("modules", [["pipeline"], ["entities", "a.b", "a_b"], ["größe.a", "gr__e.a", "gr.e.a"]])
def test_no_dashboard_takes_the_place_of_another(form, modules):
    ours = dashboard_files(service_catalogs(), form)
    catalogs = [
        catalog_of(Counter(f"acme.one{number}", unit="{x}", description="One."), module=module)
        for number, module in enumerate(modules)
    ]
    every = dashboard_files([*service_catalogs(), *catalogs], form)
    assert len(every) == len(ours) + len(modules)
    assert {name: every[name] for name in ours} == ours


@pytest.mark.parametrize("module", ["pipeline", "system", "sinks"])
def test_a_users_dashboard_alone_does_not_replace_a_file_of_ours(module):
    (name,) = grafana(catalog_of(OPENINGS, module=module))
    assert name not in grafana()


def test_grafanas_own_types_read_the_dashboard_as_it_is(dashboard):
    register_default_plugins()
    read = models.Dashboard.from_json(dashboard)
    for each in (*read.links, *read.annotations.list_val):
        each.placement = None  # a default of the SDK, which we leave out
    assert json.loads(json.dumps(read, cls=JSONEncoder)) == dashboard


def test_no_id_of_a_panel_or_a_query_occurs_twice(dashboard):
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert sorted(ids) == list(range(1, len(ids) + 1))
    for panel in panels_of(dashboard):
        letters = [target["refId"] for target in panel.get("targets", ())]
        assert len(set(letters)) == len(letters)


def test_a_panel_has_at_most_as_many_queries_as_grafana_has_letters():
    query = Query(lambda _: "up", "")
    panel = Panel(title="Up", description="Up.", unit="1", queries=(query,) * 27)
    with pytest.raises(ValueError, match="zip"):
        grafana_panel(panel, EVERYTHING)
    assert len(grafana_panel(replace(panel, queries=(query,) * 26), EVERYTHING).build().targets) == 26


@pytest.mark.parametrize(
    ("value", "kind", "number"),
    [("1h30m", "duration", 5400), ("1d500ms", "duration", 86_400.5), ("0.8", "share", 0.8), ("50", "number", 50)],
)
def test_a_threshold_is_a_number_in_a_panel(value, kind, number):
    assert Threshold("window", value, kind, "A time.").number == number


def test_every_variable_is_defined_and_used(dashboard):
    defined = {each["name"] for each in dashboard["templating"]["list"]}
    known = {"__rate_interval"}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps({**dashboard, "templating": None}))) - known
    assert used == defined


def test_every_panel_has_a_title_a_description_and_data_or_a_list(dashboard):
    for panel in panels_of(dashboard):
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel.get("targets") or panel["type"] == "alertlist"


def test_panels_lie_on_the_grid_without_overlap(dashboard):
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    cells = [
        (x, y)
        for at in places
        for x, y in itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"]))
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_the_overview_fits_one_screen():
    """A unit of height has 38 pixels in Grafana; a screen of 800 pixels shows 18 of them below the bars."""
    places = [panel["gridPos"] for panel in grafana()["otel-ha-overview.json"]["panels"]]
    assert max(at["y"] + at["h"] for at in places) == 18


def test_a_number_of_grafana_is_that_of_now_and_not_the_last_of_the_range(dashboard):
    for panel in panels_of(dashboard):
        if panel["type"] == "stat":
            assert [(each["instant"], each["range"]) for each in panel["targets"]] == [(True, False)]
            assert panel["options"]["graphMode"] == "none"
        else:
            assert not any(target.get("instant") for target in panel.get("targets", ()))


def test_the_alerts_of_the_overview_include_those_of_the_monitoring_itself():
    panels = {panel["title"]: panel for panel in panels_of(grafana()["otel-ha-overview.json"])}
    (number,) = panels["Firing alerts"]["targets"]
    assert "$" not in number["expr"]
    assert "$" not in panels["Alerts"]["options"]["alertInstanceLabelFilter"]
    shown = [state for state, shows in panels["Alerts"]["options"]["stateFilter"].items() if shows]
    assert shown == ["error", "firing", "recovering"]


def test_every_panel_of_the_collector_says_that_it_is_empty_without_one():
    for panel in panels_of(grafana()["otel-ha-collector.json"]):
        assert "Empty without a Collector" in panel["description"]


def test_the_lines_of_two_servers_can_be_told_apart():
    for panel in panels_of(grafana()["otel-ha-collector.json"]):
        for target in panel["targets"]:
            (labels,) = re.findall(r"^(?:sum|min|max) by \(job, (.*?)\)", target["expr"])
            assert all(f"{{{{{label}}}}}" in target["legendFormat"] for label in labels.split(", "))


def test_the_overview_compares_p95_with_the_objective():
    panels = {panel["title"]: panel for panel in panels_of(grafana()["otel-ha-overview.json"])}
    steps = panels["Processing time, P95"]["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert steps[-1] == {"color": "red", "value": 0.25}


def test_dashboards_mark_restarts_and_alerts_and_link_to_each_other(dashboard):
    marks = [each["name"] for each in dashboard["annotations"]["list"]]
    assert marks == (["Alerts"] if dashboard["uid"] == "otel-ha-collector" else ["Alerts", "Restarts"])
    assert [link["tags"] for link in dashboard["links"]] == [dashboard["tags"]]


def test_nothing_is_summed_over_ways_in(dashboard):
    """A sum keeps the way in, or belongs to a server, which has only one; or it adds up what was counted once."""
    for expr in expressions_of(dashboard):
        for labels, rest in re.findall(r"sum by \(([^)]*)\) \((.{7})", expr):
            once = "via" in labels or "instance" in labels or rest == "max by " or "alertname" in labels
            assert once, expr


def test_vmui_draws_a_limited_number_of_lines_and_grafana_asks_in_promql():
    assert "topk(" not in "".join(dashboard_files(service_catalogs(), "vmui").values())
    assert "topk_avg(" not in "".join(dashboard_files(service_catalogs(), "grafana").values())


def test_a_dashboard_of_vmui_has_the_parts_that_the_page_reads():
    for text in dashboard_files(service_catalogs(), "vmui").values():
        for row in json.loads(text)["rows"]:
            for panel in row["panels"]:
                assert len(panel["expr"]) == len(panel["alias"])
                assert panel["expr"]
                assert 3 <= panel["width"] <= 12
                assert "$" not in "".join(panel["expr"])


def test_the_first_screen_of_vmui_answers_is_it_well():
    """At 1280 x 800 the page shows one row of four graphs, and the upper half of the next."""
    first, *_ = json.loads(dashboard_files(service_catalogs(), "vmui")["1-otel-ha-overview.json"])["rows"]
    assert {panel["width"] for panel in first["panels"][:8]} == {3}
    assert [panel["title"] for panel in first["panels"][:4]] == [
        "Alerts", "Unaccounted events", "Error share", "Processing time, P95",
    ]  # fmt: skip
    assert [panel["title"] for panel in first["panels"][:8] if panel["showLegend"]] == ["Alerts"]


def test_vmui_shows_the_overview_first():
    files = dashboard_files([catalog_of(OPENINGS, module="a"), *service_catalogs()], "vmui")
    assert min(files) == "1-otel-ha-overview.json"


@pytest.mark.parametrize(
    ("unit", "identifier"),
    [
        ("s", "s"), ("By", "bytes"), ("1", "percentunit"), ("Cel", "celsius"), ("{event}", "short"),
        ("{event}/s", "count:/s"), ("By/s", "binBps"), ("m/h", "suffix:m/h"), ("{event}/min", "suffix:/min"),
    ],
)  # fmt: skip
def test_grafana_gets_its_own_name_of_a_unit(unit, identifier):
    assert grafana_unit(unit) == identifier


@pytest.mark.parametrize(
    ("unit", "text"), [("s", "s"), ("By", "MiB"), ("1", "%"), ("Cel", "°C"), ("{event}", ""), ("{event}/s", "/s")]
)
def test_vmui_gets_the_text_behind_a_number(unit, text):
    assert plain_unit(unit).text == text


@pytest.mark.parametrize(
    ("file", "title", "unit", "divisor"),
    [
        ("4-otel-ha-system.json", "Free space", "GiB", 2**30),
        ("4-otel-ha-system.json", "Memory by state", "GiB", 2**30),
        ("4-otel-ha-system.json", "Memory of the process", "MiB", 2**20),
        ("4-otel-ha-system.json", "Uptime", "h", 3600),
        ("5-otel-ha-collector.json", "Uptime", "h", 3600),
    ],
)
def test_vmui_shows_numbers_that_can_be_read(file, title, unit, divisor):
    rows = json.loads(dashboard_files(service_catalogs(), "vmui")[file])["rows"]
    (panel,) = (each for row in rows for each in row["panels"] if each["title"] == title)
    assert panel["unit"] == unit
    assert panel["expr"][0].endswith(f" / {divisor}")


@pytest.mark.parametrize("form", FORMATS)
def test_rendering_is_the_same_in_every_process(form):
    def rendered(seed: str) -> bytes:
        command = [sys.executable, "-m", "otel_ha.render", "dashboards", "--format", form]
        return subprocess.run(
            command, capture_output=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed}
        ).stdout

    assert rendered("1") == rendered("2")


def test_without_grafanas_sdk_the_error_names_the_extra(monkeypatch):
    for name in [
        name
        for name in sys.modules
        if name.startswith(("grafana_", "otel_ha.render.dashboards.grafana", "otel_ha.render.dashboards.sdk"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "grafana_foundation_sdk", None)
    with pytest.raises(TelemetryError, match=r"install otel-ha\[dashboards\]"):
        dashboard_files(service_catalogs(), "grafana")
    assert dashboard_files(service_catalogs(), "vmui")


def test_an_unknown_format_is_one_line(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["dashboards", "--format", "kibana"])
    assert ended.value.code == 2
    assert "invalid choice: 'kibana' (choose from" in capsys.readouterr().err


KINDS = (Counter, UpDownCounter, Gauge, Histogram, ObservableCounter, ObservableUpDownCounter, ObservableGauge)
names = st.from_regex(r"acme\.[a-z]{2,8}", fullmatch=True)


@given(
    st.lists(
        st.tuples(st.sampled_from(KINDS), names, st.sampled_from(["s", "By", "1", "{event}", "Cel", "km/h"])),
        unique_by=lambda each: each[1],
        min_size=1,
        max_size=8,
    )
)
def test_every_catalog_can_be_rendered(declared):
    try:
        named = catalog_of(*(kind(name, unit=unit, description="Made up.") for kind, name, unit in declared))
    except CatalogError:
        return  # such as a name that is a unit
    for form in FORMATS:
        (text,) = dashboard_files([named], form).values()
        for instrument in named.catalog:
            assert instrument.prometheus_name in text
