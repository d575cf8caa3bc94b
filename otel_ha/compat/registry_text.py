"""The text of a MetricsRegistry, in Prometheus' format: one line for each series."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.utils import floatToGoString

from otel_ha.compat.metric import BUCKETS, Metric
from otel_ha.compat.spelling import Labels


def text_of(metrics: Iterable[Metric]) -> str:
    """Return the text of metrics."""
    return "".join(line for metric in metrics for line in lines_of(metric))


def lines_of(metric: Metric) -> Iterator[str]:
    """Yield the lines of one metric."""
    yield from heading(metric.name, metric.help_text, metric.type)
    for labels, number in metric.numbers.items():
        yield sample(metric.name, labels, number)
    for labels, of in metric.distributions.items():
        total = 0
        for bound, count in zip((*(metric.buckets or BUCKETS), float("inf")), of.counts, strict=True):
            total += count
            yield sample(f"{metric.name}_bucket", (*labels, ("le", _number(bound))), total)
        yield sample(f"{metric.name}_sum", labels, of.sum)
        yield sample(f"{metric.name}_count", labels, total)


def heading(name: str, help_text: str, kind: str) -> Iterator[str]:
    """Yield the lines above the samples of a metric."""
    shown = help_text.replace("\\", r"\\").replace("\n", r"\n")
    yield f"# HELP {name} {shown}\n"
    yield f"# TYPE {name} {kind}\n"


def sample(name: str, labels: Labels, value: float) -> str:
    """Return the line of one sample."""
    spelled = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
    return f"{name}{{{spelled}}} {_number(value)}\n" if spelled else f"{name} {_number(value)}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]
