"""The topic settings: the settings that the environment and the env file give, and their mistakes."""

from __future__ import annotations

import os
from collections.abc import Collection, Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from otel_ha.cli.doctor.contradictions import contradictions
from otel_ha.cli.doctor.spelling import misspelt
from otel_ha.cli.doctor.step import Result, Step
from otel_ha.config.settings import DEFAULT, NOT_GIVEN, environment, resolve, settings
from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.errors import ConfigError
from otel_ha.scrub import scrub

__all__ = ["Usable", "settings_steps"]

_SETTINGS = settings(TelemetryConfig)


@dataclass(frozen=True)
class Usable:
    """The settings that can be used, and the steps about those that cannot: defaults stand for them."""

    config: TelemetryConfig
    wrong: tuple[Step, ...] = ()

    def failed(self, names: Collection[str | None]) -> Step | None:
        """Return the step about a wrong setting with one of these names; None if they can all be used."""
        return next((step for step in self.wrong if step.facts["setting"] in names), None)


@dataclass(frozen=True)
class _Given:
    """The variables that are set, and the settings that can be used of them."""

    variables: Mapping[str, str]
    config: TelemetryConfig
    problems: tuple[ConfigError, ...]
    env_file: Path | None

    def origin(self, variable: str) -> str:
        """Where a variable is set: in the environment, which counts more, or in the env file."""
        return "environment" if os.environ.get(variable, "").strip() else str(self.env_file)

    def named(self, problem: ConfigError) -> str:
        """Return the variable that a problem is about, and where it is set; otherwise just "it"."""
        of_problem = _SETTINGS[problem.setting].variables if problem.setting in _SETTINGS else ()
        variable = next((each for each in of_problem if self.variables.get(each, "").strip()), None)
        return f"{variable} ({self.origin(variable)})" if variable else "it"


def settings_steps(env_file: Path | None, prometheus: str | None) -> Generator[Step, None, Usable]:
    """Yield the steps, and return the settings that can be used."""
    given = _given(env_file)
    where = "the environment" if env_file is None else f"the environment and {env_file}"
    wrong = list(_wrong(given, where))
    yield from wrong
    yield _non_default(given, where)
    yield from _unknown(given, where)
    yield from _contradicting(given, prometheus)
    return Usable(given.config, tuple(step for step in wrong if step.result is Result.FINDING))


def _given(env_file: Path | None) -> _Given:
    """Read the variables, and leave out wrong ones until the others can be used."""
    problems: list[ConfigError] = []
    try:
        everything = environment(None, env_file)
    except ConfigError as unreadable:
        problems.append(unreadable)
        everything = environment(None, None)
    usable = dict(everything)
    for name, known in _SETTINGS.items():
        while (problem := _problem_with(name, usable)) is not None:
            problems.append(problem)
            usable.pop(next(each for each in known.variables if each in usable))
    while True:
        try:
            config = TelemetryConfig(environ=usable)
        except ConfigError as combination:
            problems.append(combination)
            of_problem = _SETTINGS[combination.setting].variables if combination.setting else ()
            wrong = next((each for each in of_problem if each in usable), None)
            if wrong is None:  # no single variable can be blamed
                return _Given(everything, TelemetryConfig(environ={}), tuple(problems), env_file)
            del usable[wrong]
        else:
            return _Given(everything, config, tuple(problems), env_file)


def _problem_with(name: str, variables: Mapping[str, str]) -> ConfigError | None:
    try:
        resolve(name, _SETTINGS[name], NOT_GIVEN, variables)
    except ConfigError as problem:
        return problem
    return None


def _wrong(given: _Given, where: str) -> Iterator[Step]:
    step = partial(Step, id="settings.values", title="Every setting has an allowed value", tried=f"read {where}")
    if not given.problems:
        yield step(result=Result.OK, found=f"{len(_SETTINGS)} settings, none of them wrong")
    for problem in given.problems:
        if problem.setting == "env_file":
            cause, remedy = "env_file_unreadable", "correct --env-file, or make the file readable text in UTF-8"
        else:
            cause, remedy = "wrong_setting", f"correct {given.named(problem)}: the service does not start with it"
        yield step(
            result=Result.FINDING,
            found=scrub(str(problem)),
            cause=cause,
            remedy=remedy,
            facts={"setting": problem.setting},
        )


def _non_default(given: _Given, where: str) -> Step:
    config = given.config
    found = {
        name: {"value": scrub(repr(getattr(config, name))), "variable": source, "origin": given.origin(source)}
        for name, source in config.sources.items()
        if source != DEFAULT
    }
    lines = [f"{each['variable']} ({each['origin']}): {name} = {each['value']}" for name, each in found.items()]
    return Step(
        id="settings.non_default",
        title="Settings that differ from the defaults",
        result=Result.OK,
        tried=f"read {where}; arguments in the service's code, which override both, cannot be seen",
        found="\n".join(lines) or "none: every setting has its default",
        facts={"settings": found},
    )


def _unknown(given: _Given, where: str) -> Iterator[Step]:
    step = partial(Step, id="settings.names", title="Every variable is a setting", tried=f"compared names in {where}")
    found = misspelt(given.variables)
    for variable, meant in found.items():
        yield step(
            result=Result.FINDING,
            found=f"{variable} ({given.origin(variable)}) is not a setting, and has no effect",
            cause="unknown_variable",
            remedy=f"did you mean {meant}?" if meant else "remove it; docs/reference/settings.md lists all settings",
            facts={"variable": variable, "meant": meant or None},
        )
    if not found:
        yield step(result=Result.OK, found="no unknown variable of OpenTelemetry or otel-ha")


def _contradicting(given: _Given, prometheus: str | None) -> Iterator[Step]:
    step = partial(
        Step, id="settings.combination", title="Settings do not contradict each other", tried="compared them"
    )
    found = list(contradictions(given.config, given.variables, prometheus))
    for each in found:
        yield step(result=Result.FINDING, found=scrub(each.found), cause=each.cause, remedy=each.remedy)
    if not found:
        yield step(result=Result.OK, found="no contradiction")
