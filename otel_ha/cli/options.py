"""Options that several commands share: --json, and how to reach endpoints."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from otel_ha.cli.client import Access
from otel_ha.config.secrets import Secret

__all__ = ["VARIABLES", "Seconds", "access_options", "json_option"]

F = TypeVar("F", bound=Callable[..., Any])

VARIABLES: Final = frozenset({"OTEL_HA_CLI_CA", "OTEL_HA_CLI_CERTIFICATE", "OTEL_HA_CLI_KEY", "OTEL_HA_CLI_TIMEOUT"})
"""The variables of options that are not settings of services."""

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class Seconds(click.FloatRange):
    """A number of seconds within bounds; "nan" is none, although it is not beyond a bound."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number. Raises click's error for another text."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a valid float; give a number of seconds.", param, ctx)
        return number


def json_option(command: F) -> F:
    """Add --json, the parameter `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(command)


def access_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how to reach endpoints; the command gets them as one parameter, `access`."""

    @click.option("--username", envvar="OTEL_HA_ENDPOINT_USERNAME", show_envvar=True, help="The endpoint's user.")
    @click.option(
        "--password",
        envvar="OTEL_HA_ENDPOINT_PASSWORD",
        show_envvar=True,
        show_default=False,
        help="The endpoint's password; other users of this machine can see it here, but not in the variable.",
    )
    @click.option(
        "--ca",
        type=_FILE,
        envvar="OTEL_HA_CLI_CA",
        show_envvar=True,
        help="Certificates (PEM) to trust instead of the system's.",
    )
    @click.option(
        "--client-certificate",
        type=_FILE,
        envvar="OTEL_HA_CLI_CERTIFICATE",
        show_envvar=True,
        help="The certificate (PEM) to present.",
    )
    @click.option(
        "--client-key",
        type=_FILE,
        envvar="OTEL_HA_CLI_KEY",
        show_envvar=True,
        help="Its private key (PEM), unless that file contains it.",
    )
    @click.option(
        "--timeout",
        type=Seconds(0.1, 600),
        default=5.0,
        envvar="OTEL_HA_CLI_TIMEOUT",
        show_envvar=True,
        help="Seconds for one request.",
    )
    @wraps(command)
    def with_access(
        *,
        username: str | None,
        password: str | None,
        ca: Path | None,
        client_certificate: Path | None,
        client_key: Path | None,
        timeout: float,
        **others: Any,
    ) -> Any:
        access = Access(
            username=username,
            password=None if password is None else Secret(password),
            certificate_authority=ca,
            client_certificate=client_certificate,
            client_key=client_key,
            timeout=timeout,
        )
        return command(access=access, **others)

    return with_access
