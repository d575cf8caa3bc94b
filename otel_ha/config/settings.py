"""How a setting finds its value: argument, then environment, then default; all mistakes are reported in one error."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Final, NoReturn, Self

from otel_ha.config.frozen import FrozenMapping
from otel_ha.config.parsing import REJECTED, Kind
from otel_ha.config.secrets import MASK
from otel_ha.config.shown import shown_path
from otel_ha.config.urls import Url
from otel_ha.errors import ConfigError

__all__ = ["ARGUMENT", "DEFAULT", "Setting", "Settings", "as_setting", "known_of", "setting", "settings"]

ARGUMENT: Final = "argument"
DEFAULT: Final = "default"

_KEY: Final = "otel_ha"


class _NotGiven:
    """Stands for an argument that was not given, as None is a value."""

    def __repr__(self) -> str:
        return "<from the environment>"


NOT_GIVEN: Final = _NotGiven()

_MOST: Final = 3
"""Names that a suggestion lists."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The declaration of one setting.

    ``variables`` are its environment variables, of which the first one that is set counts; ``default`` is None if the
    setting is optional, or if ``default_text`` describes how it is found; ``group`` is the metric group that it
    switches.
    """

    kind: Kind
    default: Any
    variables: tuple[str, ...]
    help: str
    section: str
    default_text: str
    group: str


def setting(
    kind: Kind,
    *variables: str,
    default: Any,
    section: str,
    help: str,  # noqa: A002 - settings libraries call it so
    default_text: str = "",
    group: str = "",
) -> Any:
    """Declare a field of a configuration; `help` is Markdown for the reference."""
    known = Setting(
        kind=kind,
        default=default,
        variables=variables,
        help=help,
        section=section,
        default_text=default_text,
        group=group,
    )
    return as_setting(known)


def as_setting(known: Setting) -> Any:
    """Return the field of a configuration that has this declaration."""
    return field(default=NOT_GIVEN, metadata={_KEY: known})


def known_of(declared: Any) -> Setting:
    """Return the declaration of a field, within the class that declares it."""
    known: Setting = declared.metadata[_KEY]
    return known


def settings(cls: type) -> dict[str, Setting]:
    """Return the settings that `cls` declares, by name, in the order of their declaration."""
    return {declared.name: declared.metadata[_KEY] for declared in fields(cls) if _KEY in declared.metadata}


def environment(environ: Mapping[str, str] | None, env_file: str | os.PathLike[str] | None) -> Mapping[str, str]:
    """Return the variables that are set: `environ` (the process's own if None) over those of the file.

    An empty variable counts as not set, as in OpenTelemetry. Raises ConfigError if the file cannot be read.
    """
    process = os.environ if environ is None else environ
    below = {} if env_file is None else _env_file(env_file)
    return {**below, **{name: value for name, value in process.items() if value.strip()}}


def _env_file(path: str | os.PathLike[str]) -> dict[str, str]:
    # Imported here: few services name a file, and imports take time.
    from dotenv import dotenv_values  # noqa: PLC0415

    # The error is raised outside the block: a decoding error contains the whole file, with its secrets. The file is
    # opened here because dotenv reads a missing one as empty; ${…} is not replaced, as a password may contain it.
    with suppress(*REJECTED), open(path, encoding="utf-8") as stream:  # noqa: PTH123
        read = dotenv_values(stream=stream, interpolate=False)
        return {name: value for name, value in read.items() if value and value.strip()}
    allowed = "the path of a UTF-8 text file that can be read"
    shown = shown_path(path)
    raise ConfigError(f"env_file is {shown}; allowed: {allowed}", setting="env_file", value=shown, allowed=allowed)


def resolve(name: str, known: Setting, argument: Any, variables: Mapping[str, str]) -> tuple[Any, str]:
    """Return the value of a setting and its source: ARGUMENT, the name of a variable, or DEFAULT.

    Raises ConfigError, naming the source, if the value is not allowed.
    """
    if argument is not NOT_GIVEN:
        if argument is None and known.default is None:
            return None, ARGUMENT
        with suppress(Exception):  # an argument may be any object, which may raise anything
            return known.kind.parse(argument), ARGUMENT
        reject(name, known, ARGUMENT, argument)
    for variable in known.variables:
        if variable in variables:
            with suppress(*REJECTED):
                return known.kind.parse_variable(variables[variable]), variable
            reject(name, known, variable, variables[variable])
    return known.default, DEFAULT


def reject(name: str, known: Setting, source: str, value: object, allowed: str | None = None) -> NoReturn:
    """Raise the ConfigError for `value` from `source`; `allowed` replaces the kind's description.

    Never call it while an exception is handled: that one would be chained, and may quote a secret.
    """
    from_variable = source not in {ARGUMENT, DEFAULT}
    if allowed is None:
        allowed = known.kind.allowed_in_variable if from_variable else known.kind.allowed
    shown = known.kind.for_message(value)
    message = f"{source if from_variable else name} is {shown}; allowed: {allowed}"
    raise ConfigError(message, setting=name, value=shown, allowed=allowed)


def _raise(problems: Sequence[ConfigError]) -> None:
    """Raise all problems, if any, in one error, so that a service is not restarted once for each of them."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise ConfigError("\n".join([f"{len(problems)} settings are wrong:", *map(str, problems)]))


def suggestion(name: str, known: Collection[str], cutoff: float = 0.8) -> str:
    """Return "; did you mean …?" with the nearest known name, or else those that begin with it; or nothing.

    The prefix that all variables share would reach difflib's usual cutoff, 0.6.
    """
    # Imported here: only mistakes need it.
    from difflib import get_close_matches  # noqa: PLC0415

    near = get_close_matches(name, known, n=1, cutoff=cutoff)
    near = near or sorted(each for each in known if each.startswith(f"{name}_"))[:_MOST]
    return f"; did you mean {' or '.join(near)}?" if near else ""


# Only subclasses have instances: for this class, generating methods would take time at each import.
@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class Settings:
    """A configuration: a subclass declares its fields by ``setting()``, and an instance finds their values.

    ``sources`` has the source of each value: ARGUMENT, DEFAULT, or the name of a variable.
    """

    prefix: ClassVar[str]
    """The prefix of the configuration's own variables."""

    env_file: str | os.PathLike[str] | None = field(default=None, compare=False, repr=False)
    environ: Mapping[str, str] | None = field(default=None, compare=False, repr=False)
    sources: Mapping[str, str] = field(init=False, compare=False, repr=False, default=FrozenMapping[str]({}))
    _unknown: tuple[str, ...] = field(init=False, compare=False, repr=False, default=())

    def __new__(cls, **arguments: object) -> Self:
        """Check the names of the arguments; a dataclass would only say that one is unexpected."""
        known = {*settings(cls), "env_file", "environ"}
        for name in arguments.keys() - known:
            message = f"{name} is not a setting{suggestion(name, known)}"
            raise ConfigError(message, setting=name)
        return object.__new__(cls)

    def __post_init__(self) -> None:
        """Find the value of every setting, then check their combination."""
        variables = environment(self.environ, self.env_file)
        known = settings(type(self))
        sources: dict[str, str] = {}
        problems: list[ConfigError] = []
        for name, one in known.items():
            try:
                value, sources[name] = resolve(name, one, getattr(self, name), variables)
            except ConfigError as problem:
                problems.append(problem)
            else:
                # Any text may be a URL with a token, which its repr then hides.
                self._put(name, Url(value) if type(value) is str and "://" in value else value)
        _raise(problems)
        ours = [name for one in known.values() for name in one.variables if name.startswith(self.prefix)]
        mine = [name for name in sorted(variables) if name.startswith(self.prefix)]
        # The variables with CLI are options of the command otel-ha.
        stray = (name for name in mine if name not in ours and not name.startswith(f"{self.prefix}CLI_"))
        self._put("sources", FrozenMapping(sources))
        self._put("_unknown", tuple(f"{name} is not a setting{suggestion(name, ours)}" for name in stray))
        # Not kept: it contains every secret of the process.
        self._put("environ", None)
        self._derive()
        self._check()

    def unknown_variables(self) -> list[str]:
        """Return a sentence, with a suggestion, for each variable with our prefix that is not a setting."""
        return list(self._unknown)

    def differences(self, other: Self) -> list[str]:
        """Return a sentence for each setting whose value differs in `other`, secrets masked."""
        return [
            f"{name}: {MASK} and another {MASK}" if one.kind.secret else f"{name}: {mine!r} and {theirs!r}"
            for name, one in settings(type(self)).items()
            if (mine := getattr(self, name)) != (theirs := getattr(other, name))
        ]

    def _derive(self) -> None:
        """Set values that follow from other settings."""

    def _check(self) -> None:
        """Raise a ConfigError for settings that cannot be combined."""

    def _put(self, name: str, value: object) -> None:
        # Dataclasses themselves set the fields of a frozen instance in this way.
        object.__setattr__(self, name, value)

    def _reject(self, name: str, allowed: str) -> NoReturn:
        known = settings(type(self))[name]
        reject(name, known, self.sources[name], getattr(self, name), allowed)

    def _spelling(self, name: str) -> str:
        return f"{name} ({settings(type(self))[name].variables[0]})"
