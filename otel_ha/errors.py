"""The errors that otel-ha raises, at set-up or in answer to a question: recording never raises.

::

    Exception
    └── TelemetryError          any error of this package
        ├── CatalogError        an invalid declaration, found at import
        ├── ConfigError         an invalid setting, found when the configuration is created
        └── UndeclaredError     a question about an instrument that the running telemetry does not have
"""

from __future__ import annotations

from otel_ha.scrub import mask_shapes

__all__ = ["CatalogError", "ConfigError", "TelemetryError"]


class TelemetryError(Exception):
    """Base class of all errors that otel-ha raises."""

    def __init__(self, message: str = "") -> None:
        """Store the message, with everything masked that has the shape of a secret."""
        super().__init__(mask_shapes(message))


class CatalogError(TelemetryError):
    """An invalid declaration (an instrument, an attribute, an objective); raised at import."""


class ConfigError(TelemetryError):
    """An invalid setting; the message names the source of the value, the value and the allowed values.

    ``setting`` is the name of the argument, even if the value came from the environment, or None if no single
    setting is wrong; ``value`` is the value with secrets masked; ``allowed`` describes the allowed values.
    """

    def __init__(
        self, message: str, *, setting: str | None = None, value: str | None = None, allowed: str | None = None
    ) -> None:
        """Store the message and its parts."""
        # Only the message goes to Exception: pickling rebuilds the error from it and restores the attributes.
        super().__init__(message)
        self.setting = setting
        self.value = value
        self.allowed = allowed


class UndeclaredError(TelemetryError):
    """A question about an instrument that is not in the catalog of the running telemetry."""
