"""Failures of the command: a service that does not answer as it should, and how an error is shown. Needs no extra."""

from __future__ import annotations

import json
import sys

from otel_ha.errors import TelemetryError

__all__ = ["FailedError", "tell"]


class FailedError(TelemetryError):
    """A request that failed; `status` is the response's status code, or None without a response."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


def tell(message: str, *, as_json: bool) -> None:
    """Print an error: as a line on standard error, or as JSON on standard output, where a program reads."""
    if as_json:
        sys.stdout.write(f"{json.dumps({'error': message})}\n")
    else:
        sys.stderr.write(f"otel-ha: {message}\n")
