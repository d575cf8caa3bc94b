"""Metrics of other code, if that has set a MeterProvider of its own for the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricsData

from otel_ha.export.global_provider import foreign_provider
from otel_ha.record.gate import CollectionGate
from otel_ha.testing.reader import CapturingReader
from otel_ha.version import DISTRO


@contextmanager
def read_from_other_provider(join: Callable[[CapturingReader], object]) -> Iterator[None]:
    """Read the SDK's MeterProvider that other code has set, from now until the block ends; `join` gets the reader.

    Sums and distributions begin with the block. The provider's own Views apply, and its observables are read, also
    those that other tests made.
    """
    provider = foreign_provider()
    if not isinstance(provider, MeterProvider):
        yield
        return
    reader = _OtherCodeReader(CollectionGate())
    provider.add_metric_reader(reader)
    join(reader)
    try:
        yield
    finally:
        reader.shutdown()
        provider.remove_metric_reader(reader)


class _OtherCodeReader(CapturingReader):
    """Leaves out what libraries that we instrument record there: it goes to the telemetry of the kit."""

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **more: Any) -> None:
        super()._receive_metrics(
            replace(
                metrics_data,
                resource_metrics=[
                    replace(each, scope_metrics=[of for of in each.scope_metrics if of.scope.name != DISTRO])
                    for each in metrics_data.resource_metrics
                ],
            ),
            timeout_millis,
            **more,
        )
