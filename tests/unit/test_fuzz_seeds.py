"""The seeds of fuzzing: a seed repeats its round, and continuous integration tries the same ones each time."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import strategies as st

from tests.fuzz.budget import Fuzz
from tests.fuzz.plugin import FIRST_SEED_IN_CI, ROUNDS_IN_CI, _seeds, verdict

VALUES = st.lists(st.integers() | st.text() | st.floats(allow_nan=False) | st.binary())


def tried(first: int = 7) -> list[object]:
    """Return the values of a round."""
    found: list[object] = []
    Fuzz("values", 0.0, first, lambda _: None)(found.append, VALUES)
    return found


def load(path: Path, constants: str) -> None:
    """Load a module with constants that are not in any other."""
    path.write_text(constants)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    assert spec.loader is not None
    spec.loader.exec_module(module)


def test_a_seed_brings_the_same_values_whatever_modules_are_loaded(tmp_path, request):
    before = tried()
    request.addfinalizer(lambda: sys.modules.pop("module_of_constants"))
    constants = [each for n in range(1, 200) for each in (n * 7654321, n + 0.625, f"text {n}")]
    load(tmp_path / "module_of_constants.py", f"CONSTANTS = {constants}")

    assert tried() == before


def test_another_seed_brings_other_values():
    assert tried(7) != tried(8)


def test_the_rounds_end_with_their_number_before_the_seconds_are_over():
    found: list[object] = []
    fuzz = Fuzz("values", 3600.0, 7, lambda _: None, rounds=2)

    fuzz(found.append, VALUES, most=5)

    assert fuzz.tally["examples"] == len(found) == 10


def test_continuous_integration_tries_the_same_seeds_each_time(monkeypatch):
    monkeypatch.setenv("CI", "true")

    assert _seeds(None) == (FIRST_SEED_IN_CI, ROUNDS_IN_CI)


def test_elsewhere_each_run_draws_its_seeds(monkeypatch):
    monkeypatch.delenv("CI", raising=False)

    assert len({_seeds(None)[0] for _ in range(5)}) > 1


@pytest.mark.parametrize("ci", ["true", "false"])
def test_a_given_seed_is_the_first_one(ci, monkeypatch):
    monkeypatch.setenv("CI", ci)

    assert _seeds(5)[0] == 5


def test_the_verdict_has_the_sum_and_the_way_to_repeat_a_target():
    rows = [{"target": name, "seed": 7, "examples": 600, "repeat": []} for name in ("topics", "frames")]
    assert verdict(rows) == [
        "2 targets, 1,200 examples: nothing found. To repeat a target: make fuzz ARGS='--target NAME --seed SEED'"
    ]


def test_the_verdict_names_the_command_of_a_finding():
    def fail(_: object) -> None:
        raise ValueError

    fuzz = Fuzz("values", 3600.0, 7, lambda _: None)
    with pytest.raises(ValueError):
        fuzz(fail, VALUES)
    [said, command] = verdict([fuzz.tally])
    assert said.endswith(": 1 finding. Repeat with:")
    assert command == "make fuzz ARGS='--target values --seed 7 --seconds 0'"
