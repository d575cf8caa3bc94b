"""The file that OTEL_CONFIG_FILE names: OpenTelemetry's own configuration, in place of our exporters."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from otel_ha.config.shown import shown_path
from otel_ha.errors import ConfigError

__all__ = ["apply_file", "file_of", "load_file"]

_VARIABLE: Final = "OTEL_CONFIG_FILE"
_PACKAGE: Final = "opentelemetry-configuration"


def file_of(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the path of the file, or None if the variable is not set."""
    return environ.get(_VARIABLE, "").strip() or None


def load_file(path: str) -> Any:
    """Read the file and return its content, as OpenTelemetry's model. Raises ConfigError."""
    with _errors_of(path):
        from opentelemetry.configuration import load_config_file  # noqa: PLC0415 - optional

        return load_config_file(path)


def apply_file(path: str) -> None:
    """Make the providers that the file describes, for the whole process. Raises ConfigError."""
    content = load_file(path)
    with _errors_of(path):
        from opentelemetry.configuration import configure_sdk  # noqa: PLC0415 - optional

        configure_sdk(content)


@contextmanager
def _errors_of(path: str) -> Iterator[None]:
    """Turn an error into one line: the library logs some of them itself, with tracebacks, before it raises them."""
    logger = logging.getLogger("opentelemetry.configuration")
    level, problem = logger.level, None
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    except ModuleNotFoundError as error:
        problem = f"{error.name} is missing; install it: pip install {_PACKAGE}"
    except Exception as error:  # noqa: BLE001 - the package is experimental, and extensions of it are other code
        problem = str(error) or type(error).__name__
    finally:
        logger.setLevel(level)
    if problem is not None:
        raise ConfigError(f"{_VARIABLE} is {shown_path(path)}: {' '.join(problem.split())}")
