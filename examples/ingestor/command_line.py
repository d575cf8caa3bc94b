"""Settings that are declared once. An option takes precedence over an environment variable, and that over a default.

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        batch_size: int = setting(whole(1, 100_000), "points in one write at most", default=500)

    COMMAND_LINE = CommandLine(Settings, "python -m service", "SERVICE_", "Do something useful.")
    settings = COMMAND_LINE.read(sys.argv[1:], os.environ)

The setting `batch_size` has the option --batch-size and the variable SERVICE_BATCH_SIZE.
"""

from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Final, Generic, NoReturn, TypeVar

from examples.ingestor.kinds import SWITCH, Kind

logger = logging.getLogger(__name__)

KUBERNETES: Final = re.compile(
    r".*_(SERVICE_HOST=.*|SERVICE_PORT(_\w+)?=\d+|PORT=(tcp|udp|sctp)://.*|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?=.*)"
)
"""The variables that Kubernetes sets in each pod for each service of its namespace."""

T = TypeVar("T")
D = TypeVar("D")
S = TypeVar("S")


class SettingsError(Exception):
    """A wrong or missing setting, explained in one sentence to the user."""


def setting(kind: Kind[T], description: str, *, default: D, secret: bool = False, variable: str = "") -> T | D:
    """Declare a setting as a field of a dataclass; `variable` replaces the name that follows from the field.

    A secret has a variable but no option, because every user of the machine can see a process's options.
    """
    metadata = {"kind": kind, "description": description, "secret": secret, "variable": variable}
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True)
class Setting:
    """A declared setting with the names that the user knows it by."""

    name: str
    option: str
    variable: str
    kind: Kind[Any]
    description: str
    default: Any
    secret: bool

    @property
    def help(self) -> str:
        """The description and the default, as --help shows them."""
        if self.default is None or self.default is False or self.default == ():
            return self.description
        default = ",".join(self.default) if isinstance(self.default, tuple) else str(self.default).removesuffix(".0")
        return f"{self.description} (default {default})"

    def parse(self, source: str, text: str) -> Any:
        """Return the value of a text that came from `source`, the option or the variable; raise SettingsError."""
        try:
            return self.kind.parse(text)
        except ValueError:
            # A URL with an @ holds a user and perhaps a password.
            value = "***" if self.secret or "@" in text else repr(text)
            raise SettingsError(f"{source} is {value}; allowed: {self.kind.allowed}") from None


@dataclass(frozen=True)
class CommandLine(Generic[S]):
    """The command line of a program whose settings are the fields of the dataclass `settings`."""

    settings: type[S]
    program: str
    prefix: str
    description: str

    @property
    def declared(self) -> list[Setting]:
        """The settings, in the order of their declaration."""
        return [
            Setting(
                name=known.name,
                option=f"--{known.name.replace('_', '-')}",
                variable=known.metadata["variable"] or f"{self.prefix}{known.name.upper()}",
                kind=known.metadata["kind"],
                description=known.metadata["description"],
                default=known.default,
                secret=known.metadata["secret"],
            )
            for known in fields(self.settings)  # type: ignore[arg-type]  # type[S] cannot say that S is a dataclass
        ]

    def read(self, arguments: Sequence[str], environ: Mapping[str, str]) -> S:
        """Return the settings; raise SettingsError if one is wrong. An empty variable counts as not set.

        Space around a value is removed: a token from a file often ends with a newline.
        """
        options = self._options(arguments)
        variables = self._variables(environ)
        values = {}
        for known in self.declared:
            if (text := options.get(known.name)) is not None:
                values[known.name] = known.parse(known.option, text.strip())
            elif text := variables.get(known.variable):
                values[known.name] = known.parse(known.variable, text)
        return self.settings(**values)

    def _options(self, arguments: Sequence[str]) -> dict[str, str | None]:
        """Return the text of each option, None for an option that is not given."""
        given, unknown = self._parser().parse_known_args(arguments)
        if unknown:
            # The value of an unknown option may be a secret, so the message does not show it.
            name = unknown[0].partition("=")[0]
            variable = next((known.variable for known in self.declared if known.option == name and known.secret), None)
            remedy = f"set the variable {variable}" if variable else "--help lists the options"
            raise SettingsError(f"{name} is not an option; {remedy}")
        return vars(given)

    def _variables(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the variables of settings. Log the others with the prefix: they are typing errors or not for us."""
        known = [declared.variable for declared in self.declared]
        own = {name: text.strip() for name, text in sorted(environ.items()) if name.startswith(self.prefix)}
        injected = [name for name, text in own.items() if KUBERNETES.fullmatch(f"{name}={text}")]
        for name in own:
            if name not in known and name not in injected:
                near = get_close_matches(name, known, n=1, cutoff=0.8)
                remedy = f"did you mean {near[0]}?" if near else "--help lists the settings"
                logger.warning("%s is not a setting and is ignored; %s", name, remedy)
        if injected:
            remedy = "enableServiceLinks: false in the pod's specification removes them"
            logger.warning("%s: ignored, set by Kubernetes for a service; %s", ", ".join(injected), remedy)
        return {name: environ[name].strip() for name in known if name in environ and name not in injected}

    def _parser(self) -> argparse.ArgumentParser:
        parser = _Parser(
            prog=self.program,
            usage="%(prog)s [options]",
            description=self.description,
            epilog=self._epilog(),
            allow_abbrev=False,
        )
        for known in self.declared:
            about = known.help.replace("%", "%%")
            if known.kind is SWITCH:
                parser.add_argument(known.option, action="store_const", const="true", help=about)
            elif not known.secret:
                parser.add_argument(known.option, metavar=known.kind.metavar, help=about)
        return parser

    def _epilog(self) -> str:
        example = self.declared[0].variable
        sentences = [f"Each option can also be set by an environment variable, for example {example}."]
        sentences += [
            f"{known.variable} holds the {known.description}; it has no option, because every user of the machine can"
            " see options."
            for known in self.declared
            if known.secret
        ]
        return " ".join([*sentences, "OTEL_* and OTEL_HA_* variables configure telemetry."])


class _Parser(argparse.ArgumentParser):
    """Reports a mistake as SettingsError, where argparse prints the usage and ends the process."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message}; --help lists the options")
