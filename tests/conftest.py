"""Fixtures and a report header for every test."""

import gc
from importlib import metadata

from hypothesis import HealthCheck, settings

from otel_ha.record.journal.trial import is_supported

pytest_plugins = ["tests.servers.fixtures", "tests.fuzz.plugin"]

# On a busy machine, an example may take as long as it takes.
settings.register_profile("otel_ha", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("otel_ha")


def pytest_collection_finish() -> None:
    """Keep what is loaded out of the garbage collections of tests: each would look through all of it."""
    gc.collect()
    gc.freeze()


def pytest_report_header() -> str:
    """Say whether the journal supports the installed SDK."""
    way = "recording uses the journal" if is_supported() else "recording goes through the API"
    return f"opentelemetry-sdk {metadata.version('opentelemetry-sdk')}: {way}"
