"""Fixtures and a report header for every test."""

from importlib import metadata

from otel_ha.record.journal.trial import is_supported

pytest_plugins = ["tests.servers.fixtures"]


def pytest_report_header() -> str:
    """Say whether the journal supports the installed SDK."""
    way = "recording uses the journal" if is_supported() else "recording goes through the API"
    return f"opentelemetry-sdk {metadata.version('opentelemetry-sdk')}: {way}"
