"""What every test can ask for."""

from importlib import metadata

from otel_ha.record.journal.trial import is_supported

pytest_plugins = ["tests.servers.fixtures"]


def pytest_report_header() -> str:
    """Say which way measurements take with the SDK that is installed."""
    way = "recording is bound" if is_supported() else "recording goes through the API"
    return f"opentelemetry-sdk {metadata.version('opentelemetry-sdk')}: {way}"
