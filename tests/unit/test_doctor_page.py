"""The page of the doctor: every cause that the code has is explained, and nothing else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields

from otel_ha.config.otlp import OtlpSettings
from otel_ha.config.settings import settings
from otel_ha.config.telemetry_config import TelemetryConfig
from tests.pages import ROOT

PAGE = ROOT / "docs" / "how-to" / "why-is-there-no-data.md"
TEXT = PAGE.read_text(encoding="utf-8")
WORD = re.compile(r"[a-z]+(?:_[a-z0-9]+)+|forbidden|overloaded|redirected|unauthenticated|unreachable")
NO_CAUSES = {
    *settings(TelemetryConfig),
    *(field.name for field in fields(OtlpSettings)),
    "env_file",
    "all_proxy",
    "grpc_proxy",
    "http_proxy",
    "https_proxy",
    "no_grpc_proxy",
    "no_proxy",
}


def elsewhere(tree: ast.AST) -> Iterator[ast.AST]:
    """Texts that cannot be a cause: names of a module, keys of dicts, and texts that others are compared with."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")]):
                yield from ast.walk(node.value)
            case ast.Dict():
                yield from filter(None, node.keys)
            case ast.Subscript():
                yield from ast.walk(node.slice)
            case ast.Call(func=ast.Attribute(attr="get")):
                yield from node.args
            case ast.Compare():
                yield from ast.walk(node)


def causes() -> set[str]:
    """All words in the doctor's code that look like a cause."""
    found = set()
    for path in (ROOT / "otel_ha" / "cli" / "doctor").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        others = set(map(id, elsewhere(tree)))
        texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in others)
        found |= {text for text in texts if isinstance(text, str) and WORD.fullmatch(text)}
    return found - NO_CAUSES


def explained() -> set[str]:
    cells = re.findall(r"^\| (`[a-z_`, ]+`) \|", TEXT, re.MULTILINE)
    return {word for cell in cells for word in re.findall(r"`(\w+)`", cell)}


def test_every_cause_is_explained_and_nothing_else():
    states = {f"telemetry_{state}" for state in ("degraded", "failed", "disabled")}
    assert explained() == causes() | states


def test_no_cause_is_explained_twice():
    words = [word for cell in re.findall(r"^\| (`[a-z_`, ]+`) \|", TEXT, re.MULTILINE) for word in cell.split(", ")]
    assert len(words) == len(set(words))


def test_every_variable_on_the_page_is_a_setting():
    known = {name for one in settings(TelemetryConfig).values() for name in one.variables}
    assert set(re.findall(r"OTEL_\w+[A-Z]", TEXT)) <= known


def test_every_option_on_the_page_is_in_the_reference():
    reference = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    options = set(re.findall(r"`?(--[a-z][a-z-]+)", TEXT)) - {"--web"}
    assert {option for option in options if f"  {option} " not in reference} == set()
