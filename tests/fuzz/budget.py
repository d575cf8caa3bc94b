"""Fuzz: runs one check on random input until its seconds are over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, seed, settings
from hypothesis.strategies import SearchStrategy

try:  # private: Hypothesis has no setting for its constants, and old versions have none
    from hypothesis.internal.conjecture import providers
except ImportError:
    providers = None

LARGEST_SEED = 2**32


class Fuzz:
    """The budget of one target, with the number of its examples and findings so far.

    Each call takes `seconds` and at least one round, and at most `rounds`. A check that fails gets the command that
    repeats its round.
    """

    def __init__(
        self, target: str, seconds: float, first_seed: int, say: Callable[[str], None], *, rounds: int = LARGEST_SEED
    ) -> None:
        self.target = target
        self.seconds = seconds
        self.seed = first_seed
        self.rounds = rounds
        self.tally: dict[str, Any] = {"target": target, "seed": first_seed, "examples": 0, "repeat": []}
        self._say = say

    def __call__(
        self, check: Callable[[Any], object], values: SearchStrategy[Any], *, known: Iterable[Any] = (), most: int = 50
    ) -> None:
        """Check `known` values, then rounds of at most `most` random ones each."""
        end = time.monotonic() + self.seconds
        said = time.monotonic()
        # Shrinking may take minutes: only while a finding is repeated.
        later = (Phase.generate, Phase.shrink) if self.seconds == 0 else (Phase.generate,)
        current, phases = self.seed, (Phase.explicit, *later)
        for _ in range(self.rounds):
            self._round(check, values, tuple(known), current, settings(max_examples=most, phases=phases))
            phases = later
            current = (current + 1) % LARGEST_SEED
            if time.monotonic() >= end:
                return
            if time.monotonic() - said > 10:
                said = time.monotonic()
                self._say(f"{self.target}: {self.tally['examples']} examples, {end - said:.0f} s left")

    def _round(
        self,
        check: Callable[[Any], object],
        values: SearchStrategy[Any],
        known: tuple[Any, ...],
        current: int,
        limits: settings,
    ) -> None:
        def run(value: Any) -> None:
            self.tally["examples"] += 1
            check(value)

        test = given(value=values)(run)
        for each in known:
            test = example(value=each)(test)
        # No database: the round depends on its seed alone, and tests that run at once share no file.
        limits = settings(
            limits, database=None, deadline=None, print_blob=False, suppress_health_check=list(HealthCheck)
        )
        try:
            with _without_constants_of_modules():
                seed(current)(limits(test))()
        except BaseException as error:
            command = f"make fuzz ARGS='--target {self.target} --seed {current} --seconds 0'"
            self.tally["repeat"].append(command)
            with suppress(AttributeError):
                error.add_note(f"repeat it: {command}")
            raise


@contextmanager
def _without_constants_of_modules() -> Iterator[None]:
    """Keep Hypothesis from trying the constants of the modules that are loaded.

    Otherwise a round depends on its seed, on the tests that ran before it, and on each constant of the package: a
    change anywhere would bring other values.
    """
    with pytest.MonkeyPatch.context() as patch:
        if hasattr(providers, "_get_local_constants"):
            patch.setattr(providers, "_get_local_constants", providers.Constants)
            patch.setattr(providers, "CONSTANTS_CACHE", type(providers.CONSTANTS_CACHE)(1024))
        yield
