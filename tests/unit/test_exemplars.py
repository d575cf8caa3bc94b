"""Exemplars: those of measured work, in a push and in a scrape."""

import re
import time
from bisect import bisect_left

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, Exemplar, MeterProvider
from opentelemetry.sdk.metrics import Counter as SdkCounter
from opentelemetry.sdk.metrics import Histogram as SdkHistogram
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from otel_ha import measured, setup_telemetry
from otel_ha.export.prometheus import exemplars
from otel_ha.export.prometheus.scrape import ScrapeReader
from otel_ha.record.gate import CollectionGate
from otel_ha.record.journal.sdk import gather_points
from otel_ha.vocabulary import ingest
from tests.receivers import answer, receiving
from tests.recorded import MemoryReader, Recorded, in_threads, switching_often
from tests.traced import Traced, id_of
from tests.unit.conftest import config

OPENMETRICS, _ = choose_encoder("application/openmetrics-text;version=1.0.0")
DELTA = AggregationTemporality.DELTA


@pytest.fixture
def traced():
    with Traced() as traced:
        yield traced


@pytest.fixture
def reader():
    return ScrapeReader(CollectionGate())


@pytest.fixture(params=["gathered", "as they are"])
def provider(reader, request):
    """A provider whose points the reader gets one by one, or in a list."""
    view = View(instrument_name="narrow", attribute_keys={"kept"})
    provider = MeterProvider([reader], views=[view], shutdown_on_exit=False)
    if request.param == "gathered":
        gather_points(reader, provider, reader.gather)
    yield provider
    provider.shutdown()


@pytest.fixture
def meter(provider):
    return provider.get_meter("test")


def text(reader, encode=OPENMETRICS) -> str:
    return "".join(reader.stream(encode))


def shown(page: str) -> dict[tuple[str, str | None], object]:
    """Return the exemplars of a page by the sample's name and bucket."""
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    return {(each.name, each.labels.get("le")): each.exemplar for each in samples if each.exemplar}


# ---- The exemplars of measured work


@pytest.mark.parametrize("way", [{"journalled": True}, {"journalled": True, "exemplar_filter": "always_on"}, {}])
def test_counters_and_durations_of_measured_work_have_its_span_as_exemplar(traced, way):
    work = measured(ingest.EVENT, source="mqtt")(lambda: None)
    with Recorded(catalog=ingest.CATALOG, **way) as recorded:
        for _ in range(3):
            work()
        data = recorded.readers[0].get_metrics_data()
    metrics = {each.name: each for each in data.resource_metrics[0].scope_metrics[0].metrics}
    ids = {id_of(span) for span in traced.spans}
    for instrument in (ingest.RECEIVED, ingest.EVENT_DURATION):
        [point] = metrics[instrument.name].data.data_points
        assert point.exemplars
        assert {exemplar.span_id for exemplar in point.exemplars} <= ids


def test_the_duration_of_work_that_ends_elsewhere_points_to_its_own_span(traced):
    with Recorded(ingest.TRANSFORM_DURATION, journalled=True) as recorded:
        outer, inner = measured(ingest.TRANSFORM), measured(ingest.TRANSFORM, transformer="inner")
        outside, inside = outer.start((), {}).__enter__(), inner.start((), {}).__enter__()
        outside.__exit__(None, None, None)
        first = traced.spans[0]
        data = recorded.readers[0].get_metrics_data()
        inside.__exit__(None, None, None)
    [metric] = data.resource_metrics[0].scope_metrics[0].metrics
    [point] = metric.data.data_points
    assert [exemplar.span_id for exemplar in point.exemplars] == [id_of(first)]


def test_work_in_a_span_that_is_not_sampled_has_no_exemplar():
    with Traced(ALWAYS_OFF), Recorded(catalog=ingest.CATALOG, journalled=True) as recorded:
        measured(ingest.EVENT, source="mqtt")(lambda: None)()
        data = recorded.readers[0].get_metrics_data()
    points = [p for each in data.resource_metrics[0].scope_metrics[0].metrics for p in each.data.data_points]
    assert points
    assert not [point for point in points if point.exemplars]


def test_the_exemplar_of_a_bucket_is_its_last_measurement_and_all_are_counted(traced):
    with Recorded(ingest.WRITE_DURATION, journalled=True) as recorded:
        for number in range(5_000):  # more than wait in one list
            ingest.WRITE.record(0.001 if number % 2 else 0.7, system="influxdb")
        last = {id_of(span) for span in traced.spans[-2:]}
        data = recorded.readers[0].get_metrics_data()
    [metric] = data.resource_metrics[0].scope_metrics[0].metrics
    [point] = metric.data.data_points
    assert (point.count, point.sum) == (5_000, pytest.approx(2_500 * 0.701))
    assert {exemplar.span_id for exemplar in point.exemplars} == last
    assert [bisect_left(point.explicit_bounds, exemplar.value) for exemplar in point.exemplars] == [
        number for number, count in enumerate(point.bucket_counts) if count
    ]


def test_the_push_has_the_exemplars_of_measured_work(traced):
    with receiving(answer()) as receiver:
        settings = config(metrics_exporters=("otlp",), otlp_endpoint=receiver.url, otlp_compression="none")
        with setup_telemetry("test", config=settings) as running:
            measured(ingest.EVENT, source="mqtt")(lambda: None)()
            assert running.flush(10)
        request = ExportMetricsServiceRequest.FromString(receiver.requests[0].body)
    metrics = {each.name: each for each in request.resource_metrics[0].scope_metrics[0].metrics}
    [of_duration] = metrics[ingest.EVENT_DURATION.name].histogram.data_points
    [of_received] = metrics[ingest.RECEIVED.name].sum.data_points
    for point in (of_duration, of_received):
        assert [int.from_bytes(each.span_id) for each in point.exemplars] == [id_of(traced.one)]


def test_a_push_in_deltas_leaves_the_scrape_its_exemplars(traced):
    with setup_telemetry("test", config=config()) as running:
        pushed = MemoryReader(preferred_temporality={SdkCounter: DELTA, SdkHistogram: DELTA})
        pushed.gate = running.pipeline.gate
        running.pipeline.provider.add_metric_reader(pushed)
        measured(ingest.EVENT, source="mqtt")(lambda: None)()
        for _ in range(2):
            pushed.collected()
        found = shown(text(running.pipeline.scrape))
    assert {each.labels["span_id"] for each in found.values()} == {f"{id_of(traced.one):016x}"}


# ---- The scrape


def test_a_scrape_shows_the_last_exemplar_of_each_bucket_and_of_a_counter(traced, reader, meter):
    histogram = meter.create_histogram("width", explicit_bucket_boundaries_advisory=[1.0, 2.0])
    counter, ids = meter.create_counter("events"), []
    for width in (0.5, 0.75, 2, 7):
        with traced.tracer.start_as_current_span("work") as span:
            histogram.record(width)
            counter.add(3)
        ids.append(f"{span.get_span_context().span_id:016x}")
    found = shown(text(reader))
    assert {place: (each.labels["span_id"], each.value) for place, each in found.items()} == {
        ("width_bucket", "1.0"): (ids[1], 0.75),
        ("width_bucket", "2.0"): (ids[2], 2),
        ("width_bucket", "+Inf"): (ids[3], 7),
        ("events_total", None): (found["events_total", None].labels["span_id"], 3),
    }
    assert found["events_total", None].labels["span_id"] in ids


def test_an_exemplar_has_the_trace_the_span_and_the_time(traced, reader, meter):
    counter, before = meter.create_counter("events"), time.time()
    with traced.tracer.start_as_current_span("work") as span:
        counter.add(1)
    [exemplar] = shown(text(reader)).values()
    context = span.get_span_context()
    assert exemplar.labels == {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
    assert before - 0.001 <= float(exemplar.timestamp) <= time.time()


def test_an_exemplar_stays_until_a_newer_one_takes_its_place(traced, reader, meter):
    counter, pages = meter.create_counter("events"), []
    for number in range(2):
        with traced.tracer.start_as_current_span("work"):
            counter.add(number + 1)
        pages += [text(reader), text(reader)]
    assert pages[0] == pages[1]
    assert pages[2] == pages[3]
    assert [[each.value for each in shown(page).values()] for page in pages] == [[1], [1], [2], [2]]


@pytest.mark.parametrize("accepted", ["", "text/plain;version=0.0.4", "text/plain;version=1.0.0;escaping=allow-utf-8"])
def test_the_classic_format_has_no_exemplars(traced, reader, meter, accepted):
    encode, _ = choose_encoder(accepted)
    with traced.tracer.start_as_current_span("work"):
        meter.create_counter("events").add(1)
    assert text(reader, encode) == encode(reader.registry).decode()
    assert " # " not in text(reader, encode)
    assert " # {" in text(reader)


@pytest.mark.parametrize("escaping", ["allow-utf-8", "underscores", "dots", "values"])
def test_exemplars_are_there_however_names_are_escaped(traced, reader, meter, escaping):
    encode, _ = choose_encoder(f"application/openmetrics-text;version=1.0.0;escaping={escaping}")
    with traced.tracer.start_as_current_span("work"):
        meter.create_counter("home.events").add(1, {"a.b": "c"})
        meter.create_histogram("home.width", explicit_bucket_boundaries_advisory=[1]).record(1)
    page = text(reader, encode)
    assert page.count(" # {") == 2
    assert re.sub(" # {.*", "", page) == encode(reader.registry).decode()


def test_gauges_and_sums_that_shrink_have_no_exemplars(traced, reader, meter):
    with traced.tracer.start_as_current_span("work"):
        meter.create_gauge("level_total").set(1)
        meter.create_up_down_counter("queue_total").add(1)
    assert " # {" not in text(reader)


def test_a_measurement_without_a_trace_is_not_shown(reader):
    provider = MeterProvider([reader], exemplar_filter=AlwaysOnExemplarFilter(), shutdown_on_exit=False)
    provider.get_meter("test").create_counter("events").add(1)
    assert " # {" not in text(reader)
    provider.shutdown()


def test_a_measurement_without_a_trace_leaves_the_others_their_exemplars(traced, reader):
    provider = MeterProvider([reader], exemplar_filter=AlwaysOnExemplarFilter(), shutdown_on_exit=False)
    histogram = provider.get_meter("test").create_histogram("width", explicit_bucket_boundaries_advisory=[1.0])
    histogram.record(0.5)
    with traced.tracer.start_as_current_span("work"):
        histogram.record(2)
    assert list(shown(text(reader))) == [("width_bucket", "+Inf")]
    provider.shutdown()


def test_of_two_scrapes_at_once_the_newer_exemplar_stays(reader):
    kept = exemplars.Exemplars()
    for seconds in (2, 1):
        exemplar = Exemplar({}, seconds, seconds * 10**9, 1, 1)
        points = [NumberDataPoint({"a": "b"}, 0, 0, 1, [exemplar])]
        metric = Metric("events", "", "", Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=True))
        scope = ScopeMetrics(InstrumentationScope("test"), [metric], "")
        kept.take(MetricsData([ResourceMetrics(Resource({}), [scope], "")]))
    [[of_counter]] = [buckets.values() for buckets in kept.of(metric).values()]
    assert of_counter.time == 2 * 10**9


def test_attributes_that_a_view_leaves_out_are_shown_if_they_fit(traced, reader, meter):
    attributes = {"kept": "a", "long": "x" * 80, "Room No": 'the "big" one', "9th": True, "é": 3, "__name__": "no"}
    with traced.tracer.start_as_current_span("work"):
        meter.create_counter("narrow").add(1, {**attributes, "trace_id": "mine", "line": "a\nb"})
    [exemplar] = shown(text(reader)).values()
    own = {name: value for name, value in exemplar.labels.items() if name not in {"trace_id", "span_id"}}
    assert own == {"Room_No": 'the "big" one', "_9th": "True", "_": "3"}
    assert sum(len(name) + len(value) for name, value in exemplar.labels.items()) <= 128


def test_the_exemplars_of_two_meters_and_of_alike_values_are_not_mixed_up(traced, reader, provider):
    recorded = [(meter, kind) for meter in ("one", "two") for kind in (1, True, "1", 1.0)]
    for number, (meter, kind) in enumerate(recorded):
        with traced.tracer.start_as_current_span("work"):
            provider.get_meter(meter).create_counter("events").add(number + 1, {"kind": kind})
    lines = [line for line in text(reader).splitlines() if line.startswith("events_total{")]
    assert len(lines) == len(recorded)
    for line in lines:
        sample, exemplar = line.split(" # {")
        assert sample.rpartition(" ")[2] == exemplar.split("} ")[1].split(" ")[0]


def test_a_scrape_of_some_names_has_their_exemplars(traced, reader, meter):
    for name in ("events", "others"):
        with traced.tracer.start_as_current_span("work"):
            meter.create_counter(name).add(1)
    page = "".join(reader.registry.restricted_registry(["events_total"]).stream(OPENMETRICS))
    assert list(shown(page)) == [("events_total", None)]


def test_a_collection_by_other_code_leaves_the_scrape_its_exemplars(traced, reader, meter):
    with traced.tracer.start_as_current_span("work"):
        meter.create_counter("events").add(1)
    generate_latest(reader.registry)
    assert shown(text(reader))


def test_the_series_with_exemplars_are_bounded(traced, reader, meter, monkeypatch):
    monkeypatch.setattr(exemplars, "MOST_SERIES", 5)
    counter = meter.create_counter("events")
    for number in range(20):
        with traced.tracer.start_as_current_span("work"):
            counter.add(1, {"number": number})
        text(reader)
    assert text(reader).count(" # {") == 5


def test_a_series_whose_attributes_cannot_be_hashed_is_scraped_without_exemplars(traced, reader, meter):
    with traced.tracer.start_as_current_span("work"):
        meter.create_counter("events").add(1, {"nested": {"a": 1}})
        meter.create_counter("others").add(1)
    assert list(shown(text(reader))) == [("others_total", None)]


def test_scrapes_at_once_show_whole_exemplars(traced, reader, meter):
    histogram = meter.create_histogram("width", explicit_bucket_boundaries_advisory=[1, 2])

    def work(number):
        for turn in range(20):
            with traced.tracer.start_as_current_span("work"):
                histogram.record(turn % 3 + 0.5, {"thread": number})
            shown(text(reader))

    with switching_often():
        in_threads(4, work)
    found = [line for line in text(reader).splitlines() if " # {" in line]
    assert len(found) == 12
