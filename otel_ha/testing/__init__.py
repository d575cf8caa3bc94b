"""The test kit: capture what code records, ask for it, and assert it; with pytest, by the fixture `metrics`.

Names are imported on first use, because every run of pytest where otel-ha is installed loads this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_ha.testing.captured import CapturedMetrics, captured_metrics
    from otel_ha.testing.clock import Clock
    from otel_ha.testing.recorded import Recorded, Series

__all__ = ["CapturedMetrics", "Clock", "Recorded", "Series", "captured_metrics"]


def __getattr__(name: str) -> Any:
    """Import a name of the kit."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from otel_ha.testing import captured, clock, recorded  # noqa: PLC0415

    return next(getattr(module, name) for module in (captured, clock, recorded) if name in vars(module))
