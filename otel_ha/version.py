"""The version of this package, and how its telemetry names it."""

__version__ = "0.1.0"

DISTRO = "otel-ha"
"""The instrumentation scope of every instrument declared here, and telemetry.distro.name in the Resource."""

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
"""The version of the semantic conventions that the Resource and the vocabularies follow."""
