"""The text written in pieces is that of the exporter and prometheus_client, in every format, except for exemplars."""

import re
import string
from contextlib import nullcontext
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.exposition import choose_encoder

from otel_ha.export.prometheus.exporter import Exporter
from otel_ha.export.prometheus.exposition import Exposition
from otel_ha.export.prometheus.scrape import ScrapeReader
from otel_ha.record.gate import CollectionGate
from otel_ha.record.journal.sdk import gather_points
from tests.traced import in_a_span

ACCEPTED = (
    "",
    "text/plain;version=0.0.4",
    "application/openmetrics-text;version=1.0.0",
    *(
        f"{type_};version=1.0.0;escaping={escaping}"
        for type_ in ("text/plain", "application/openmetrics-text")
        for escaping in ("allow-utf-8", "underscores", "dots", "values")
    ),
)
EXEMPLAR = re.compile(r' # \{trace_id="[0-9a-f]{32}",span_id="[0-9a-f]{16}"\} [^ \n]+ [0-9.]+$', re.MULTILINE)
texts = st.text(max_size=6) | st.sampled_from(
    ['"', "\\", "\n", "\\n", "%s", "%", "{}", "\x1e", "\x85", "é", "a b", "# x"]
)
attribute_values = texts | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.lists(texts, max_size=2)
# Keys that Prometheus spells alike, its own "le", and others that it must spell differently.
attribute_keys = st.sampled_from(["a", "b.c", "b_c", "b-c", "le", "1x", "é", "z", "otel_scope_name", "A"])
attributes = st.dictionaries(attribute_keys, attribute_values, max_size=4)
positive = st.floats(0, 1e12, allow_nan=False) | st.integers(0, 2_000_000) | st.sampled_from([0.1, 1e6, 999_999, 1e21])
numbers = positive | st.floats()
bounds = st.lists(st.floats(-1e7, 1e7) | st.integers(0, 5), max_size=4, unique_by=float).map(sorted)
names = st.sampled_from(["a", "a_total", "a.ratio", "a_seconds", "a/b", "A-b", "b", "total"]) | st.text(
    string.ascii_letters, min_size=1, max_size=3
)
units = st.sampled_from(["", "1", "s", "By", "By/s", "{event}", "%", "m/{x}", "Cel", "a b", "total"])
scopes = st.tuples(texts.filter(bool), texts, st.dictionaries(attribute_keys, texts, max_size=1))


@st.composite
def recorded(draw):
    """An instrument with its scope, and the measurements of two rounds."""
    kind = draw(st.sampled_from(["counter", "up_down_counter", "histogram", "gauge", "observable_gauge"]))
    amounts = positive if kind in {"counter", "histogram"} else numbers
    rounds = [draw(st.lists(st.tuples(amounts, attributes), max_size=4)) for _ in range(2)]
    return kind, draw(names), draw(units), draw(texts), draw(scopes), draw(bounds), rounds


def made(provider: MeterProvider, instrument):
    """Make an instrument and return the function that records to it."""
    kind, name, unit, description, (scope, version, of_scope), buckets, _ = instrument
    meter = provider.get_meter(scope, version, attributes=of_scope)
    if kind == "observable_gauge":
        current: dict[tuple, Observation] = {}
        meter.create_observable_gauge(
            name, callbacks=[lambda _: list(current.values())], unit=unit, description=description
        )
        key = count()
        return lambda amount, attributes: current.update({(next(key),): Observation(amount, attributes)})
    if kind == "histogram":
        return meter.create_histogram(
            name, unit=unit, description=description, explicit_bucket_boundaries_advisory=buckets
        ).record
    create = getattr(meter, f"create_{kind}")
    made = create(name, unit=unit, description=description)
    return made.set if kind == "gauge" else made.add


def outcome(write):
    """Return the text, or the type of the error."""
    try:
        return write()
    except Exception as error:  # noqa: BLE001 - any error is compared
        return type(error)


def without_exemplars(text: str, accepted: str) -> str:
    """Return OpenMetrics without exemplars; other formats have none."""
    return EXEMPLAR.sub("", text) if accepted.startswith("application/openmetrics-text") else text


def compare_restricted(restricted, encode, accepted) -> None:
    expected = outcome(lambda: encode(restricted).decode())
    assert outcome(lambda: without_exemplars("".join(restricted.stream(encode)), accepted)) == expected


@settings(max_examples=200)
@given(
    instruments=st.lists(recorded(), max_size=4),
    resource=st.dictionaries(attribute_keys, texts, max_size=2),
    accepted=st.sampled_from(ACCEPTED),
    exemplars=st.sampled_from(["none", "without spans", "in spans"]),
    gathered=st.booleans(),
    every=st.integers(1, 3),
)
def test_the_text_is_the_same_to_the_byte(instruments, resource, accepted, exemplars, gathered, every):
    reader = ScrapeReader(CollectionGate())
    filters = {"exemplar_filter": AlwaysOnExemplarFilter()} if exemplars == "without spans" else {}
    provider = MeterProvider([reader], resource=Resource(resource), shutdown_on_exit=False, **filters)
    if gathered:
        gather_points(reader, provider, reader.gather)
    write = [made(provider, instrument) for instrument in instruments]
    encode, _ = choose_encoder(accepted)
    for round_ in range(2):
        for record, instrument in zip(write, instruments, strict=True):
            for amount, of_series in instrument[-1][round_]:
                with in_a_span() if exemplars == "in spans" else nullcontext():
                    record(amount, of_series)
        expected = outcome(lambda: encode(reader.registry).decode())
        assert outcome(lambda: without_exemplars("".join(reader.stream(encode)), accepted)) == expected
        # So it is with some of the names.
        names = sorted({sample.name for family in reader.registry.collect() for sample in family.samples})[::every]
        compare_restricted(reader.registry.restricted_registry(names), encode, accepted)
    provider.shutdown()


@given(
    series=st.lists(st.lists(st.integers(0, 2_000_000), min_size=3, max_size=3), min_size=1, max_size=3),
    total=numbers,
    accepted=st.sampled_from(ACCEPTED),
)
def test_counts_and_sums_of_any_size_are_spelled_the_same(series, total, accepted):
    points = [
        HistogramDataPoint({"of": number}, 0, 0, sum(counts), total, counts, (0.5, 2.0), 0.0, 0.0)
        for number, counts in enumerate(series)
    ]
    metrics = [Metric("waiting", "Time.", "s", Histogram(points, AggregationTemporality.CUMULATIVE))]
    scope = ScopeMetrics(InstrumentationScope("test"), metrics, "")
    data = MetricsData([ResourceMetrics(Resource({}), [scope], "")])
    encode, _ = choose_encoder(accepted)
    assert "".join(Exposition(encode).chunks(data, [])) == Exporter(target_info=True).text(data, encode)
