"""The API page: every public name is there, as the code has it, and its examples run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import otel_ha
import otel_ha.history
import otel_ha.testing
from otel_ha import TelemetryError
from otel_ha.render.api import documented, render_api
from tests.pages import ROOT, blocks, run

PAGE = ROOT / "docs" / "reference" / "api.md"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def block(*names: str) -> str:
    return render_api(f"<!-- rendered: {' '.join(names)} -->\n<!-- end -->")


def test_the_blocks_on_disk_are_the_rendered_ones(page):
    assert render_api(page) == page, "run `make docs`"


@pytest.mark.parametrize("name", sorted({*otel_ha.__all__} - {"__version__"}))
def test_every_public_name_has_a_block(page, name):
    assert documented(page).count(f"otel_ha.{name}") == 1


@pytest.mark.parametrize("name", sorted(otel_ha.testing.__all__))
def test_every_name_of_the_test_kit_has_a_block(page, name):
    assert documented(page).count(f"otel_ha.testing.{name}") == 1


@pytest.mark.parametrize("name", [*otel_ha.__all__, *otel_ha.history.__all__, *otel_ha.testing.__all__])
def test_every_public_name_has_a_heading(page, name):
    assert [line for line in page.splitlines() if line.startswith("### ") and f"`{name}`" in line]


def test_the_examples_are_one_program():
    assert len(blocks(PAGE)) >= 10
    run("\n".join(blocks(PAGE)))


def test_a_function_shows_its_signature_and_its_docstring():
    assert "```py\nstate_set(attribute: Attribute, current: str) -> list[Point]\n```" in block("otel_ha.state_set")
    assert otel_ha.state_set.__doc__.split(".")[0] in block("otel_ha.state_set")


def test_a_class_shows_the_members_that_are_asked_for():
    found = block("otel_ha.Counter", "add")
    assert "| `add(amount: float, /, **attributes: AttributeValue \\| None)` | " in found
    assert "bind" not in found
    assert "```py" not in found


def test_a_class_shows_how_to_make_one_if_asked_to():
    found = block("otel_ha.Attribute", "__init__")
    assert "```py\nAttribute(\n    name: str,\n" in found
    assert "\n    budget: int | None = None,\n)\n```" in found


def test_keyword_only_parameters_are_behind_a_star():
    assert "    name: str,\n    *,\n    unit: str,\n" in block("otel_ha.Counter", "__init__")
    assert "Catalog(\n    *instruments: Instrument,\n    objectives: " in block("otel_ha.Catalog", "__init__")


def test_a_long_default_is_left_out():
    assert "catalog: Catalog = ...," in block("otel_ha.setup_telemetry")


def test_a_property_shows_its_type():
    assert "| `metrics_url: str \\| None` |" in block("otel_ha.Telemetry", "metrics_url")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["otel_ha.Nonsense"], "otel_ha.Nonsense, which does not exist"),
        (["otel_ha.nonsense.X"], "otel_ha.nonsense.X, which does not exist"),
        (["otel_ha.Counter", "nonsense"], "Counter.nonsense, which is not a method"),
        (["otel_ha.Counter", "kind"], "Counter.kind, which is not a method"),
    ],
)
def test_a_name_that_does_not_exist_is_an_error(names, said):
    with pytest.raises(TelemetryError, match=said):
        block(*names)


def test_the_command_fills_in_a_page_from_standard_input(page):
    command = [sys.executable, "-m", "otel_ha.render", "api"]
    done = subprocess.run(command, input=page, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == page


@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_a_page_that_is_not_utf_8_is_one_line_and_no_traceback(locale):
    command = [sys.executable, "-m", "otel_ha.render", "api"]
    environment = {**os.environ, "LC_ALL": locale}
    done = subprocess.run(
        command,
        input="Gr\u00f6\u00dfe".encode("latin-1"),
        capture_output=True,
        check=False,
        timeout=60,
        env=environment,
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"the page on standard input is not UTF-8: invalid start byte at byte 2; save it as UTF-8" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_wrong_block_is_one_line_and_no_traceback():
    command = [sys.executable, "-m", "otel_ha.render", "api"]
    wrong = "<!-- rendered: otel_ha.Nonsense -->\n<!-- end -->"
    done = subprocess.run(command, input=wrong, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert "otel_ha.Nonsense" in done.stderr
    assert "Traceback" not in done.stderr
