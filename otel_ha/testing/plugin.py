"""The pytest plugin: the fixture `metrics`, and test runs that export nothing unless somebody asks for it.

Each run of pytest where otel-ha is installed loads this module, so everything else is imported by the first test that
uses a fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from otel_ha.config.under_test import DEFAULTS

if TYPE_CHECKING:
    from otel_ha.declare.catalog import Catalog
    from otel_ha.testing.captured import CapturedMetrics


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Export nothing from here on: a conftest.py may import a module that sets telemetry up."""
    _export_nothing(early_config)
    _leave_our_modules(early_config)


def pytest_configure(config: pytest.Config) -> None:
    """Export nothing if the plugin was loaded late, by `pytest_plugins` of a conftest.py."""
    _export_nothing(config)


def _export_nothing(config: pytest.Config) -> None:
    config.add_cleanup(partial(setattr, DEFAULTS, "exports_metrics", DEFAULTS.exports_metrics))
    DEFAULTS.exports_metrics = False


def _leave_our_modules(config: pytest.Config) -> None:
    """Let pytest import our other modules as they are.

    It rewrites the assertions in all modules of an installed plugin; ours have none. It would compile each module again
    for that: a second at the first run, or at every run if it can write no bytecode.
    """
    marked = getattr(getattr(config.pluginmanager, "rewrite_hook", None), "_must_rewrite", None)
    if isinstance(marked, set):
        marked.discard("otel_ha")


@pytest.fixture
def metrics_catalog() -> Catalog:
    """Return the catalog that `metrics` starts with; override this fixture to test metrics of your own."""
    from otel_ha.vocabulary import ingest  # noqa: PLC0415

    return ingest.CATALOG


@pytest.fixture
def metrics_settings() -> dict[str, Any]:
    """Return the settings that `metrics` starts with (see TelemetryConfig); override this fixture to change them."""
    return {}


@pytest.fixture
def metrics(metrics_catalog: Catalog, metrics_settings: dict[str, Any]) -> Iterator[CapturedMetrics]:
    """Capture all that the test records, isolated from other tests, without port, push or thread."""
    from otel_ha.testing.captured import captured_metrics  # noqa: PLC0415

    with captured_metrics(metrics_catalog, **metrics_settings) as captured:
        yield captured
