"""The errors that otel-ha raises, all of them before the first measurement: recording never raises.

::

    Exception
    └── TelemetryError          whatever this package finds wrong
        ├── CatalogError        a declaration that cannot work, found at import
        └── ConfigError         a setting that cannot work, found when the configuration is made
"""

from __future__ import annotations

__all__ = ["CatalogError", "ConfigError", "TelemetryError"]


class TelemetryError(Exception):
    """Whatever this package finds wrong; catch it to catch everything that otel-ha raises."""


class CatalogError(TelemetryError):
    """A declaration (an instrument, an attribute, an objective) that cannot work; raised at import."""


class ConfigError(TelemetryError):
    """A setting that cannot work; its message says where the value came from, what it is and what is allowed.

    ``setting`` is the name of the argument, also where the value came from the environment, and None where
    the fault lies in no single setting; ``value`` is the value as it may be shown, secrets masked; ``allowed``
    says what would have been right.
    """

    def __init__(
        self, message: str, *, setting: str | None = None, value: str | None = None, allowed: str | None = None
    ) -> None:
        """Keep the message, and apart from it what it is made of."""
        # The message alone goes to Exception: pickling rebuilds from it, and adds the attributes by itself.
        super().__init__(message)
        self.setting = setting
        self.value = value
        self.allowed = allowed
