"""The recording rules of the earlier names agree with the table, the file on disk and the declared instruments."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from otel_ha import Catalog
from otel_ha.compat.old_names.old_name import PREFIX
from otel_ha.compat.old_names.rules import render_rules
from otel_ha.compat.old_names.table import OLD_NAMES
from otel_ha.compat.old_names.work import STEPS
from otel_ha.vocabulary import ha_ingestor, ingest, runtime

FOLDER = Path(__file__).parents[2] / "collector-config" / "prometheus"
CATALOG = ingest.CATALOG | runtime.CATALOG | ha_ingestor.CATALOG
EXPOSED = {instrument.prometheus_name for instrument in CATALOG}


def old_names(*arguments: str, page: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "otel_ha.compat.old_names", *arguments]
    return subprocess.run(command, input=page, check=False, capture_output=True, text=True, timeout=60)


def test_the_file_on_disk_is_up_to_date():
    assert (FOLDER / "ha_ingestor.rules.yml").read_text(encoding="utf-8") == render_rules(), "run `make docs`"


@pytest.mark.parametrize("arguments", [(), ("rules",)])
def test_running_the_package_prints_the_file(arguments):
    assert old_names(*arguments).stdout == render_rules()


def test_help_explains_both_outputs():
    done = old_names("--help")
    assert done.returncode == 0
    assert "recording rules" in done.stdout
    assert "standard input" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "page", "message"),
    [
        (("pages",), "", "invalid choice: 'pages' (choose from"),
        (("page",), "<!-- rendered: nonsense -->\n<!-- end -->", "unknown table; allowed: names, calls"),
    ],
)
def test_a_wrong_word_is_an_error_without_a_traceback(arguments, page, message):
    done = old_names(*arguments, page=page)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_prometheus_yml_loads_it():
    loaded = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    assert "ha_ingestor.rules.yml" in loaded["rule_files"]


def test_every_earlier_name_has_a_rule_with_its_expression():
    (group,) = yaml.safe_load(render_rules())["groups"]
    wanted = {PREFIX + old.name + part: expression for old in OLD_NAMES for part, expression in old.series.items()}
    wanted |= STEPS
    assert {rule["record"]: rule["expr"].rstrip() for rule in group["rules"]} == wanted


def expanded(expression: str) -> str:
    """An expression with those of the rules that it reads."""
    rules = {PREFIX + old.name: " ".join(old.series.values()) for old in OLD_NAMES} | STEPS
    for _ in rules:
        for name, read in rules.items():
            expression = re.sub(
                rf"(?<![\w:]){name}(?![\w:])({{[^}}]*}})?", lambda _, read=read: f"({read})", expression
            )
        if not any(re.search(rf"(?<![\w:]){name}(?![\w:])", expression) for name in rules):
            return expression
    raise AssertionError(f"the rules read each other: {expression[:200]}")


def test_a_rule_reads_only_rules_before_it():
    (group,) = yaml.safe_load(render_rules())["groups"]
    records = [rule["record"] for rule in group["rules"]]
    for number, rule in enumerate(group["rules"]):
        read = set(re.findall(r"[a-z_:0-9]+", rule["expr"])) & set(records)
        assert read <= set(records[:number])


@pytest.mark.parametrize("old", OLD_NAMES, ids=lambda old: old.name)
def test_an_expression_reads_exactly_the_instruments_in_the_table(old):
    words = set(re.findall(r"\b[a-z_]+\b(?=[\[{),\n]| or | >|\))", expanded(" ".join(old.series.values()))))
    read = {re.sub(r"_(bucket|sum|count)$", "", word) for word in words} & EXPOSED
    counts_more = old.name in {"event_processing_duration_seconds", "events_deduplicated_total"}
    also = {ingest.RECEIVED.prometheus_name} if counts_more else set()
    assert read | also == {instrument.prometheus_name for instrument in (*old.recorded, *old.derived)} | also


@pytest.mark.parametrize("old", OLD_NAMES, ids=lambda old: old.name)
def test_every_earlier_label_is_set(old):
    for label in old.labels:
        assert all(f'"{label}"' in expression for expression in old.series.values())


@pytest.mark.parametrize("instrument", ha_ingestor.CATALOG, ids=lambda instrument: instrument.name)
def test_the_name_of_an_instrument_for_the_earlier_api_contains_compat(instrument):
    assert instrument.name.startswith("homeassistant.compat.")
    assert instrument.description.endswith(".")
    assert instrument.name not in instrument.description


@pytest.mark.parametrize("catalog", [ingest.CATALOG, runtime.CATALOG], ids=["ingest", "runtime"])
def test_no_other_catalog_has_a_name_with_compat(catalog):
    assert isinstance(catalog, Catalog)
    assert not [instrument.name for instrument in catalog if ".compat." in instrument.name]
