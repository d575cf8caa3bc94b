"""The reference of metrics: whole for every catalog, and the same on disk as in the code."""

from __future__ import annotations

import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

from otel_ha import Attribute, Catalog, CatalogError, Counter, Histogram, Objective, Rename
from otel_ha.config.settings import settings
from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.declare.instruments import GROUPS
from otel_ha.render.__main__ import main
from otel_ha.render.catalogs import NamedCatalog, own_catalogs
from otel_ha.render.kinds import KINDS, load
from otel_ha.render.markdown import Anchors, table
from otel_ha.render.reference import render_reference
from otel_ha.vocabulary import ha_ingestor, ingest, messaging, runtime

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
EVERY = [*ingest.CATALOG, *messaging.CATALOG, *runtime.CATALOG, *ha_ingestor.CATALOG]


@pytest.fixture(scope="module")
def page() -> str:
    return render_reference(own_catalogs())


def section(page: str, name: str) -> str:
    """The one section about a metric."""
    (found,) = re.findall(rf"^### `{name}`\n(.*?)(?=^##|\Z)", page, re.DOTALL | re.MULTILINE)
    return found


def test_the_page_on_disk_is_the_rendered_one(page):
    assert PAGE.read_text(encoding="utf-8") == page, "run `make docs`"


@pytest.mark.parametrize("instrument", EVERY, ids=lambda each: each.name)
def test_every_metric_has_a_section_with_all_that_is_declared(page, instrument):
    found = section(page, instrument.prometheus_name)
    assert instrument.description in found
    for text in (instrument.name, instrument.unit, instrument.group, f"{instrument.group}_metrics"):
        assert f"`{text}`" in found
    assert type(instrument).__name__ in found
    assert f"{instrument.series:,} attribute set" in found
    for attribute in instrument.attributes:
        assert attribute.description in found
        for text in (attribute.name, attribute.prometheus_label, attribute.keyword, *attribute.values):
            assert f"`{text}`" in found
    if isinstance(instrument, Histogram):
        assert ", ".join(f"{bound:g}" for bound in instrument.buckets) in found


@pytest.mark.parametrize("instrument", EVERY, ids=lambda each: each.name)
def test_every_metric_is_in_a_summary_and_the_link_leads_to_its_section(page, instrument):
    name = instrument.prometheus_name
    assert page.count(f"| [`{name}`](#{name}) |") == 1


def test_every_link_within_the_page_leads_to_a_heading(page):
    anchors = Anchors()
    known = {anchors.of(heading) for heading in re.findall(r"^#+ (.*)$", page, re.MULTILINE)}
    links = re.findall(r"\]\(#([^)]+)\)", page)
    assert set(links) <= known
    assert len(links) == len(EVERY) + 4


def test_an_objective_stands_with_its_histogram(page):
    for objective in ingest.CATALOG.objectives:
        assert objective.description in section(page, objective.histogram.prometheus_name)


def test_every_group_names_the_setting_that_switches_it(page):
    for group in GROUPS:
        known = settings(TelemetryConfig)[f"{group}_metrics"]
        state = "on" if known.default else "off"
        assert f"| `{group}` | `{group}_metrics` | `{known.variables[0]}` | {state} |" in page


def test_a_metric_names_its_declaration_and_the_operations_that_record_it(page):
    found = section(page, "homeassistant_event_received_total")
    assert "| In Python | `ingest.RECEIVED` |" in found
    assert "| Recorded by | `ingest.EVENT`, `ingest.QUEUED_EVENT` |" in found


def test_budgets_closed_sets_and_expiry_are_stated(page):
    assert "a budget of 16" in section(page, "homeassistant_event_received_total")
    assert "`queued`, `active`" in section(page, "homeassistant_event_in_flight")
    assert "after 3600 s without a new value" in section(page, "homeassistant_entity_events_total")
    assert "It has no attributes." in section(page, "process_threads")


def acme() -> types.ModuleType:
    """A module of a user: one metric of its own beside ours."""
    module = types.ModuleType("acme.metrics", "Metrics of acme:\nrooms.\n\nMore about them.")
    room = Attribute("acme.room", "The room | its name.", budget=50)
    module.SYNC = Histogram(
        "acme.sync.duration", unit="s", description="Time to sync a room.", attributes=(room,), buckets=(0.5, 1.5)
    )
    module.SEEN = Counter("acme.seen", unit="{room}", description="Rooms.", attributes=(room,), expires=60.0)
    quick = Objective(module.SYNC, bound=0.5, target=0.95, description="95 % within half a second.")
    module.CATALOG = ingest.CATALOG | Catalog(module.SYNC, module.SEEN, objectives=[quick])
    return module


def test_a_catalog_of_a_user_is_rendered():
    page = render_reference([NamedCatalog.of(acme())])
    assert "## `acme.metrics`\n\nMetrics of acme: rooms.\n\n" in page
    found = section(page, "acme_sync_duration_seconds")
    assert "| In Python | `metrics.SYNC` |" in found
    assert "95 % within half a second. (bound 0.5, target 0.95)" in found
    assert "1,000 attribute sets, each with 5 series in Prometheus" in found
    assert "The room \\| its name." in found
    assert "after 60 s without a new value" in section(page, "acme_seen_total")
    assert section(page, "homeassistant_event_received_total")


def test_metrics_in_two_catalogs_of_a_page_have_two_anchors():
    page = render_reference([NamedCatalog.of(ingest), NamedCatalog.of(acme())])
    name = "homeassistant_event_received_total"
    assert f"[`{name}`](#{name})" in page
    assert f"[`{name}`](#{name}-1)" in page


def test_a_name_that_is_not_a_catalog_is_an_error_with_a_remedy():
    with pytest.raises(
        CatalogError, match=r"ingest:EVENT is not a Catalog but Operation.*the module's catalogs: CATALOG"
    ):
        NamedCatalog.of(ingest, "EVENT")
    with pytest.raises(CatalogError, match="ingest:NOTHING does not exist; the module's catalogs: CATALOG"):
        NamedCatalog.of(ingest, "NOTHING")


def test_a_table_escapes_what_would_end_a_cell():
    assert table(("a",), [("x|y",)]) == "| a |\n|-|\n| x\\|y |\n"


def test_the_name_of_a_catalog_may_be_left_out():
    assert load("otel_ha.vocabulary.ingest") == load("otel_ha.vocabulary.ingest:CATALOG")


@pytest.mark.parametrize("arguments", [[], ["--catalog", "otel_ha.vocabulary.ingest:CATALOG"]])
def test_the_command_prints_the_page(arguments, capsys):
    assert main(["reference", *arguments]) == 0
    catalogs = [NamedCatalog.of(ingest)] if arguments else own_catalogs()
    assert capsys.readouterr().out == render_reference(catalogs)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "invalid choice: 'nonsense'"),
        (["reference", "--catalog", "nonsense.metrics"], "cannot import 'nonsense.metrics': ModuleNotFoundError"),
        (["reference", "--catalog", ":CATALOG"], "cannot import ''"),
        (
            ["reference", "--catalog", "otel_ha.errors:X"],
            "otel_ha.errors:X does not exist; write MODULE:NAME of a Catalog",
        ),
        ([], "required: KIND"),
    ],
)
def test_a_wrong_argument_is_one_line_and_no_traceback(arguments, said):
    command = [sys.executable, "-m", "otel_ha.render", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_every_kind(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert set(KINDS) <= set(re.findall(r"[\w-]+", capsys.readouterr().out))


def test_a_renamed_metric_shows_its_earlier_names():
    declared = Counter("test.calls", unit="1", description="Calls.")
    renames = [Rename("calls_total", declared), Rename("requests_total", declared)]
    module = types.ModuleType("mine")
    module.CATALOG = Catalog(declared, renames=renames)
    page = render_reference([NamedCatalog.of(module)])
    assert "| Earlier names | `calls_total`, `requests_total` |" in section(page, "test_calls_total")
