"""The recording rules of the earlier names: the file on disk matches the table, and the instruments exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from otel_ha import Catalog
from otel_ha.compat.old_names import OLD_NAMES
from otel_ha.compat.old_names.old_name import PREFIX
from otel_ha.compat.old_names.rules import render_rules
from otel_ha.vocabulary import ha_ingestor, ingest, runtime

FOLDER = Path(__file__).parents[2] / "collector-config" / "prometheus"
CATALOG = ingest.CATALOG | runtime.CATALOG | ha_ingestor.CATALOG
EXPOSED = {instrument.prometheus_name for instrument in CATALOG}


def test_the_file_on_disk_is_up_to_date():
    assert (FOLDER / "ha_ingestor.rules.yml").read_text(encoding="utf-8") == render_rules(), "run `make docs`"


def test_running_the_module_prints_the_file():
    command = [sys.executable, "-m", "otel_ha.compat.old_names.rules"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    assert printed == render_rules()


def test_prometheus_yml_loads_it():
    loaded = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    assert "ha_ingestor.rules.yml" in loaded["rule_files"]


def test_every_earlier_name_is_recorded_by_its_expression():
    (group,) = yaml.safe_load(render_rules())["groups"]
    wanted = {PREFIX + old.name + part: expression for old in OLD_NAMES for part, expression in old.series.items()}
    assert {rule["record"]: rule["expr"].rstrip() for rule in group["rules"]} == wanted


@pytest.mark.parametrize("old", OLD_NAMES, ids=lambda old: old.name)
def test_an_expression_reads_only_the_metrics_of_the_table(old):
    words = set(re.findall(r"\b[a-z_]+\b(?=[\[{),]| or | >|\))", " ".join(old.series.values())))
    read = {re.sub(r"_(bucket|sum|count)$", "", word) for word in words} & EXPOSED
    also = {ingest.RECEIVED.prometheus_name} if old.name.startswith("event_processing_duration") else set()
    assert read | also == {instrument.prometheus_name for instrument in (*old.told, *old.derived)} | also


@pytest.mark.parametrize("old", OLD_NAMES, ids=lambda old: old.name)
def test_every_earlier_label_is_set(old):
    for label in old.labels:
        assert all(f'"{label}"' in expression for expression in old.series.values())


@pytest.mark.parametrize("instrument", ha_ingestor.CATALOG, ids=lambda instrument: instrument.name)
def test_a_declaration_for_the_earlier_api_says_so_in_its_name(instrument):
    assert instrument.name.startswith("homeassistant.compat.")
    assert instrument.description.endswith(".")
    assert instrument.name not in instrument.description


@pytest.mark.parametrize("catalog", [ingest.CATALOG, runtime.CATALOG], ids=["ingest", "runtime"])
def test_no_other_catalog_has_such_a_name(catalog):
    assert isinstance(catalog, Catalog)
    assert not [instrument.name for instrument in catalog if ".compat." in instrument.name]
