"""The fixture `fuzz`, its options, and the lines that say how much was tried."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Sequence
from typing import Any

import pytest

from tests.fuzz.budget import LARGEST_SEED, Fuzz

# Some 30 targets: less than a minute in CI, and a few seconds elsewhere.
SECONDS_IN_CI = 1.5
SECONDS = 0.1
# In CI, each run tries the same seeds: what `make fuzz` may find some day must not fail a change that has no part in
# it. A target ends after these rounds, however fast the machine is; all of them have passed.
FIRST_SEED_IN_CI = 1
ROUNDS_IN_CI = 20
# Recording is what every program does all the time, and an example of it takes longest.
WEIGHTS = dict.fromkeys(("recording", "recording_in_spans", "recording_in_threads"), 3)
_PROPERTY = "fuzzed"
_BEGIN = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that `make fuzz` passes on."""
    options = parser.getgroup("fuzz")
    options.addoption("--fuzz-minutes", type=float, help="minutes for all targets together")
    options.addoption("--fuzz-seconds", type=float, help="seconds for each target; 0 repeats one round")
    options.addoption("--fuzz-seed", type=int, help="the seed of the first round; random by default, except in CI")
    options.addoption("--fuzz-target", action="append", default=[], help="a target by its name; may be repeated")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave only the targets that were named."""
    if not (wanted := config.option.fuzz_target):
        return
    targets = {_target(item): item for item in items if "fuzz" in getattr(item, "fixturenames", ())}
    if unknown := [name for name in wanted if name not in targets]:
        raise pytest.UsageError(f"--target is {unknown[0]!r}; allowed: {', '.join(sorted(targets))}")
    items[:] = [targets[name] for name in dict.fromkeys(wanted)]


@pytest.fixture
def fuzz(request: pytest.FixtureRequest, record_property: Any) -> Fuzz:
    """Return the budget of a target; the name of the target is that of its test."""
    first, rounds = _seeds(request.config.option.fuzz_seed)
    capturing = request.config.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        with capturing.global_and_fixture_disabled():
            print(line, file=sys.stderr, flush=True)

    seconds = _seconds(request.session, _target(request.node))
    begin = request.config.stash.setdefault(_BEGIN, time.monotonic())
    if minutes := request.config.option.fuzz_minutes:
        passed = f"{_clock(time.monotonic() - begin)} of {_clock(minutes * 60)}"
        say(f"\n{passed}: {_target(request.node)}, for {seconds:.0f} s")
    running = Fuzz(_target(request.node), seconds, first, say, rounds=rounds)
    record_property(_PROPERTY, running.tally)  # filled in while the test runs
    return running


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the seed and the number of examples of each target."""
    reports = [each for group in ("passed", "failed") for each in terminalreporter.stats.get(group, ())]
    rows = [value for each in reports for name, value in each.user_properties if name == _PROPERTY]
    if not rows:
        return
    terminalreporter.section("fuzzing")
    for row in sorted(rows, key=lambda each: each["target"]):
        tried = f"{_counted(row['examples'], 'example')}, {_counted(len(row['repeat']), 'finding')}"
        terminalreporter.write_line(f"{row['target']}: {tried}, first seed {row['seed']}")
    for line in verdict(rows):
        terminalreporter.write_line(line)


def verdict(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the sum of all targets, and the commands that repeat what was found, or else a target."""
    commands = [command for row in rows for command in row["repeat"]]
    tried = f"{_counted(len(rows), 'target')}, {_counted(sum(row['examples'] for row in rows), 'example')}"
    if commands:
        return [f"{tried}: {_counted(len(commands), 'finding')}. Repeat with:", *commands]
    return [f"{tried}: nothing found. To repeat a target: make fuzz ARGS='--target NAME --seed SEED'"]


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _target(item: Any) -> str:
    return str(item.name.removeprefix("test_"))


def _seeds(given: int | None) -> tuple[int, int]:
    """Return the first seed and the most rounds; a seed that is given, as for a finding, has no limit of rounds."""
    if given is not None:
        return given, LARGEST_SEED
    if _is_in_ci():
        return FIRST_SEED_IN_CI, ROUNDS_IN_CI
    return secrets.randbelow(LARGEST_SEED), LARGEST_SEED


def _is_in_ci() -> bool:
    return os.environ.get("CI") == "true"


def _seconds(session: pytest.Session, target: str) -> float:
    """Return the seconds for a target."""
    option = session.config.option
    if option.fuzz_seconds is not None:
        return float(option.fuzz_seconds)
    if option.fuzz_minutes is not None:
        weights = [WEIGHTS.get(_target(item), 1) for item in session.items]
        return float(option.fuzz_minutes) * 60 * WEIGHTS.get(target, 1) / sum(weights)
    return SECONDS_IN_CI if _is_in_ci() else SECONDS
