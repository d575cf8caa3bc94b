"""The semantic-convention registry: valid, whole for every catalog, and the same on disk as in the code.

Weaver itself is not to be had from a package registry, and neither is its schema. FORMAT states, in our own words, the
part of the format definition/2 that we use: what Weaver's documentation requires, and nothing that it does not allow.
"""

from __future__ import annotations

import types
from enum import StrEnum
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from otel_ha import Attribute, Catalog, Counter, Gauge, Histogram, TelemetryError
from otel_ha.render.catalogs import NamedCatalog, service_catalogs, united
from otel_ha.render.registry import SCHEMA_URL, render_registry

FOLDER = Path(__file__).parents[2] / "docs" / "reference" / "registry"
OURS = united(service_catalogs())


def record(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    every = {"type": "object", "properties": required | optional, "required": list(required)}
    return {**every, "additionalProperties": False}


def many(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


TEXT = {"type": "string", "minLength": 1}
STABILITY = {"enum": ["stable", "development", "alpha", "beta", "release_candidate"]}
MEMBER = record({"id": TEXT}, value=TEXT, stability=STABILITY, brief=TEXT)
TYPE = {"anyOf": [{"enum": ["string", "int", "double", "boolean"]}, record({"members": many(MEMBER)})]}
ATTRIBUTE = record(
    {"key": TEXT, "type": TYPE, "brief": TEXT, "stability": STABILITY}, annotations={"type": "object"}, note=TEXT
)
METRIC = record(
    {
        "name": TEXT,
        "instrument": {"enum": ["counter", "updowncounter", "gauge", "histogram"]},
        "unit": TEXT,
        "brief": TEXT,
        "stability": STABILITY,
    },
    attributes=many(record({"ref": TEXT})),
    annotations={"type": "object"},
)
DEFINITION = {"const": "definition/2"}
FORMAT = {
    "manifest.yaml": record(
        {"schema_url": {"type": "string", "pattern": r"^https?://.+/\d+\.\d+\.\d+$"}},
        description=TEXT,
        stability=STABILITY,
    ),
    "attributes.yaml": record({"file_format": DEFINITION, "attributes": many(ATTRIBUTE)}),
    "metrics.yaml": record({"file_format": DEFINITION, "metrics": many(METRIC)}),
}


def rendered(*instruments: Any) -> dict[str, Any]:
    module = types.ModuleType("acme.metrics")
    module.CATALOG = Catalog(*instruments)
    files = render_registry([NamedCatalog.of(module)] if instruments else service_catalogs())
    return {name: yaml.safe_load(text) for name, text in files.items()}


def attributes(*instruments: Any) -> dict[str, dict[str, Any]]:
    return {each["key"]: each for each in rendered(*instruments)["attributes.yaml"]["attributes"]}


@pytest.mark.parametrize("name", FORMAT)
def test_the_file_on_disk_is_the_rendered_one(name):
    assert (FOLDER / name).read_text(encoding="utf-8") == render_registry(service_catalogs())[name], "run `make docs`"


@pytest.mark.parametrize("name", FORMAT)
def test_a_file_has_the_format_of_a_registry(name):
    jsonschema.validate(rendered()[name], FORMAT[name])


def test_every_metric_is_defined_as_it_is_declared():
    metrics = {each["name"]: each for each in rendered()["metrics.yaml"]["metrics"]}
    assert list(metrics) == [instrument.name for instrument in OURS]
    for instrument in OURS:
        found = metrics[instrument.name]
        facts = (instrument.kind, instrument.unit, instrument.description)
        assert (found["instrument"], found["unit"], found["brief"]) == facts
        assert [each["ref"] for each in found["attributes"]] == [each.name for each in instrument.attributes]
        assert found["annotations"]["otel_ha"]["prometheus_name"] == instrument.prometheus_name


def test_every_reference_leads_to_one_definition():
    keys = [each["key"] for each in rendered()["attributes.yaml"]["attributes"]]
    assert len(set(keys)) == len(keys)
    assert {each["ref"] for metric in rendered()["metrics.yaml"]["metrics"] for each in metric["attributes"]} == set(
        keys
    )


def test_an_objective_and_the_buckets_are_annotations_of_the_histogram():
    (found,) = (each for each in rendered()["metrics.yaml"]["metrics"] if each["name"] == "homeassistant.event.lag")
    noted = found["annotations"]["otel_ha"]
    assert noted["objectives"] == [{"bound": 5.5, "target": 0.99, "brief": "99 % of states are stored within 5.5 s."}]
    assert noted["buckets"][0] == 0.005


def test_a_closed_set_of_values_has_members_and_an_open_one_is_text_or_a_number():
    found = attributes()
    members = found["homeassistant.outcome"]["type"]["members"]
    assert [member["value"] for member in members] == ["ok", "error", "cancelled"]
    assert found["homeassistant.source"]["type"] == "string"
    assert found["cpu.logical_number"]["type"] == "int"


def test_two_declarations_of_one_attribute_are_one_definition_with_the_values_of_both():
    def counter(name: str, *values: str) -> Counter:
        mode = Attribute("acme.mode", f"The mode of {name}.", values=values)
        return Counter(f"acme.{name}", unit="{x}", description="Counts.", attributes=(mode,))

    def kind(*instruments: Counter) -> Any:
        return attributes(*instruments)["acme.mode"]["type"]

    closed = kind(counter("one", "on", "off"), counter("two", "off", "auto"))
    assert [member["value"] for member in closed["members"]] == ["on", "off", "auto"]
    assert kind(counter("one", "on"), counter("two")) == "string"


def test_values_that_yaml_would_read_as_something_else_stay_text():
    answer = Attribute("acme.answer", "The answer.", values=("yes", "404", "null", ""))
    gauge = Gauge("acme.answers", unit="1", description="Answers.", attributes=(answer,))
    members = attributes(gauge)["acme.answer"]["type"]["members"]
    assert [member["value"] for member in members] == ["yes", "404", "null", ""]


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def test_members_of_an_enum_are_written_as_their_values():
    colour = Attribute("acme.colour", Colour.RED, values=tuple(Colour))
    counter = Counter("acme.painted", unit="1", description=Colour.BLUE, attributes=(colour,))
    found = attributes(counter)["acme.colour"]
    assert [member["value"] for member in found["type"]["members"]] == ["red", "blue"]
    assert found["brief"] == "red"
    assert rendered(counter)["metrics.yaml"]["metrics"][0]["brief"] == "blue"


def test_numbers_like_those_of_numpy_are_written_as_numbers():
    class Bound(float):
        pass

    histogram = Histogram("acme.wait", unit="s", description="Wait.", buckets=(Bound(0.5), Bound(1.5)))
    (metric,) = rendered(histogram)["metrics.yaml"]["metrics"]
    assert metric["annotations"]["otel_ha"]["buckets"] == [0.5, 1.5]


def test_a_schema_url_needs_a_version():
    named = render_registry(service_catalogs(), "https://acme.example/schemas/1.2.0")
    assert "schema_url: https://acme.example/schemas/1.2.0\n" in named["manifest.yaml"]
    for wrong in ("acme", "https://acme.example/schemas", "ftp://acme.example/1.0.0"):
        with pytest.raises(TelemetryError, match=rf"--schema-url {wrong} identifies no registry; .* {SCHEMA_URL}"):
            render_registry(service_catalogs(), wrong)


def test_the_printed_files_are_a_stream_of_documents():
    printed = "".join(render_registry(service_catalogs()).values())
    assert len(list(yaml.safe_load_all(printed))) == 3
