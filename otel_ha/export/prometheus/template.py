"""Templates: the text of a metric, with places for the labels and values of each of its series.

A template is made from the text that the exporter and prometheus_client write for an example of the metric, whose
labels and values are marked, by taking that text apart at the marks. The example has one series for each set of
attribute keys of the metric's series, because a series also has the labels of all others, as empty ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from json import dumps
from operator import itemgetter
from typing import Any

from opentelemetry.sdk.metrics.export import Histogram, HistogramDataPoint, Metric, NumberDataPoint
from prometheus_client.utils import floatToGoString

from otel_ha.export.prometheus.exporter import encodable
from otel_ha.export.prometheus.points import Points

Keys = tuple[str, ...]
"""The attribute keys of a series, in its own order."""

_MARK = re.compile("\x1f([0-9]+)\x1f")
_VALUE = 0.5
_LEAST_WITH_EXPONENT = 1_000_000
spelled: Callable[[float], str] = floatToGoString
"""Returns a number as prometheus_client spells it."""


class NotCoveredError(Exception):
    """An example does not show how to write this metric."""


@dataclass(frozen=True, slots=True)
class _Series:
    """The text of one series, and the values to fill in: label values by number, then buckets, then sum or value."""

    text: str
    chosen: Callable[[Sequence[str]], Any]
    lines: dict[int, int]
    """The number of the line of each bucket; a counter has one, of bucket 0."""


@dataclass(frozen=True, slots=True)
class Template:
    """The text of one metric: its head, and a series for each set of keys."""

    head: str
    series: dict[Keys, _Series]


def example(metric: Metric, keys: Sequence[Keys], bounds: Sequence[float]) -> Metric:
    """Return the metric with one series for each set of keys; its label values are marks, numbered from 0."""
    points: list[Any] = []
    for of_series in keys:
        attributes = {key: f"\x1f{number}\x1f" for number, key in enumerate(of_series)}
        if isinstance(metric.data, Histogram):
            # The bucket of number n has counted n + 1.
            counts = [1] * (len(bounds) + 1)
            points.append(HistogramDataPoint(attributes, 0, 0, len(counts), _VALUE, counts, bounds, 0.0, 0.0))
        else:
            points.append(NumberDataPoint(attributes, 0, 0, _VALUE))
    data: Any = metric.data
    return replace(metric, data=replace(data, data_points=points))


def taken_apart(text: str, keys: Sequence[Keys], buckets: int) -> Template:
    """Return the template for the text of an example; raises NotCoveredError if the text is not as expected."""
    lines = text.removesuffix("\n").split("\n")
    heads = [line for line in lines if line.startswith("# ")]
    samples = lines[len(heads) :]
    each, rest = divmod(len(samples), len(keys))
    if rest or not each or lines[: len(heads)] != heads:
        raise NotCoveredError
    try:
        series = {
            of_series: _series(samples[number * each : (number + 1) * each], len(of_series), buckets)
            for number, of_series in enumerate(keys)
        }
    except ValueError as error:  # something follows the value, perhaps a timestamp
        raise NotCoveredError from error
    return Template("".join(f"{line}\n" for line in heads), series)


def _series(lines: Sequence[str], labels: int, buckets: int) -> _Series:
    text, chosen, numbers = "", list[int](), dict[int, int]()
    for number, line in enumerate(lines):
        before, _, value = line.rpartition(" ")
        # Text and the numbers of marks alternate.
        parts = _MARK.split(before)
        text += "%s".join(part.replace("%", "%%") for part in parts[::2]) + " %s\n"
        bucket = buckets if float(value) == _VALUE else int(float(value)) - 1
        if bucket > buckets:
            raise NotCoveredError
        chosen += [*map(int, parts[1::2]), labels + bucket]
        if before.partition("{")[0].endswith("bucket" if buckets else "total"):
            numbers[bucket] = number
    return _Series(text, itemgetter(*chosen), numbers)


def written(points: Points, template: Template) -> Iterator[str]:
    """Return the text of each series of a metric."""
    for attributes, counts, value in points.rows():
        series = template.series[tuple(attributes)]
        values = [*map(escaped, attributes.values()), *_cumulative(counts), spelled(value)]
        yield series.text % series.chosen(values)


def escaped(value: Any) -> str:
    """Return the text of a label value, escaped as prometheus_client does."""
    if type(value) is str and value.isidentifier():  # most are, and have nothing to escape
        return value
    try:
        text = str(value) if isinstance(value, str) else dumps(value, default=str)
    except ValueError:  # a whole number with more digits than Python is willing to write
        text = f"<{type(value).__name__}>"
    if not text.isascii():
        text = encodable(text)
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _cumulative(counts: Sequence[int]) -> Iterator[str]:
    """Return the cumulative counts of buckets, as prometheus_client spells them."""
    total, text = 0, "0.0"
    for count in counts:
        if count:
            total += count
            text = f"{total}.0" if total < _LEAST_WITH_EXPONENT else spelled(total)
        yield text
