"""Exposition: when text is written in pieces, and its content."""

import gc
import gzip
import re
import threading

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics

from otel_ha import Attribute, Catalog, Counter, Histogram, TelemetryConfig, turn
from otel_ha.export.pipeline import Pipeline
from otel_ha.export.prometheus import exposition, scrape, template
from otel_ha.export.prometheus.exporter import Exporter
from otel_ha.export.prometheus.points import in_columns
from otel_ha.export.prometheus.scrape import MOST_FORMATS, ScrapeReader
from otel_ha.record.gate import CollectionGate
from otel_ha.record.journal.sdk import gather_points
from otel_ha.serve.application import Endpoint
from otel_ha.version import DISTRO


class Constant:
    """A third party's collector."""

    def collect(self):
        return [GaugeMetricFamily("theirs", "Another collector's.", 7)]


@pytest.fixture
def reader():
    return ScrapeReader(CollectionGate())


@pytest.fixture
def provider(reader):
    provider = MeterProvider([reader], shutdown_on_exit=False)
    yield provider
    provider.shutdown()


@pytest.fixture
def meter(provider):
    return provider.get_meter("test")


@pytest.fixture
def covered(monkeypatch):
    """The names of the metrics that were written from templates, less those of a trial."""
    found = []

    def written(points, of_metric):
        name = of_metric.head.split()[2]
        if not name.startswith("trial_"):
            found.append(name)
        return template.written(points, of_metric)

    monkeypatch.setattr(exposition, "written", written)
    return found


def text(reader, encode=generate_latest) -> str:
    return "".join(reader.stream(encode))


def test_before_anything_is_recorded_there_is_no_text(reader, meter):
    assert text(reader) == ""
    assert text(reader, openmetrics) == "# EOF\n"


def test_every_ordinary_metric_is_written_from_its_template(reader, meter, covered):
    meter.create_counter("events").add(3, {"kind": 'a"b'})
    meter.create_histogram("duration", unit="s").record(0.3)
    meter.create_gauge("level", unit="1").set(0.5)
    assert text(reader) == generate_latest(reader.registry).decode()
    assert covered == ["events_total", "duration_seconds", "level_ratio"]


@pytest.mark.parametrize("encode", [generate_latest, openmetrics])
def test_half_of_a_surrogate_pair_is_written_by_its_code_and_costs_no_scrape(reader, meter, provider, encode):
    meter.create_counter("files", description="Files \udc80.").add(1, {"path": "a\udc80", "other": ["\ud800"]})
    meter.create_counter("files.ok").add(1, {"path": "a\udc81"})
    provider.get_meter("of \ud800").create_counter("others").add(1)
    written = text(reader, encode)
    assert r'path="a\\udc80"' in written
    assert r'otel_scope_name="of \\ud800"' in written
    written.encode()


def test_a_number_too_long_to_be_written_costs_no_scrape(reader, meter):
    meter.create_counter("files").add(1, {"size": 10**5000})
    assert 'files_total{otel_scope_name="test",size="<int>"} 1.0' in text(reader)


def test_the_exporter_writes_half_of_a_surrogate_pair_in_metrics_that_are_left_to_it(reader, provider, covered):
    for name in ("one", "two"):
        provider.get_meter(name).create_histogram(
            "wait", explicit_bucket_boundaries_advisory=[1.0 if name == "one" else 2.0]
        ).record(1, {"path": "a\udc80"})
    assert text(reader).encode().count(rb'path="a\\udc80"') > 2
    assert covered == []


def test_a_new_attribute_is_an_empty_label_of_the_others(reader, meter, covered):
    counter = meter.create_counter("events")
    counter.add(1, {"kind": "a"})
    text(reader)
    counter.add(1, {"kind": "b", "place": "here"})
    assert text(reader) == generate_latest(reader.registry).decode()
    assert 'kind="a"' in text(reader) and 'place=""' in text(reader)  # noqa: PT018 - the two belong together
    assert covered


def test_our_metrics_have_no_labels_of_a_scope(reader, provider):
    provider.get_meter(DISTRO, "1.0", "https://example.org/schema").create_counter("events").add(1, {"kind": "a"})
    provider.get_meter(f"{DISTRO}.compat").create_counter("names").add(1)
    assert 'events_total{kind="a"} 1.0\n' in text(reader)
    assert "\nnames_total 1.0\n" in text(reader)


@pytest.mark.parametrize("other", ["theirs", f"{DISTRO}ppy"])
def test_the_scope_of_another_meter_is_a_label_so_that_no_series_appears_twice(reader, provider, other):
    for scope in (DISTRO, other, "requests"):
        provider.get_meter(scope).create_histogram("duration").record(0.3, {"kind": "a"})
    samples = [line.rpartition(" ")[0] for line in text(reader).splitlines() if not line.startswith("#")]
    assert len(samples) == len(set(samples))
    assert f'duration_count{{kind="a",otel_scope_name="{other}"}} 1.0\n' in text(reader)
    assert text(reader) == generate_latest(reader.registry).decode()


def test_an_attribute_that_is_named_like_the_label_of_the_scope_takes_its_place(reader, meter):
    meter.create_counter("events").add(1, {"otel_scope_name": "mine"})
    assert 'events_total{otel_scope_name="mine"} 1.0\n' in text(reader)


def test_metrics_of_two_meters_that_are_spelled_alike_are_one_with_the_labels_of_both(reader, provider, covered):
    for scope, name, key in (("one", "home.events", "room"), ("two", "home_events", "floor")):
        meter = provider.get_meter(scope)
        meter.create_counter(name, description=f"Of {scope}.").add(1, {key: "a"})
    assert text(reader) == generate_latest(reader.registry).decode()
    assert text(reader).count("# TYPE home_events_total") == 1
    assert 'home_events_total{floor="",otel_scope_name="one",room="a"} 1.0\n' in text(reader)
    assert 'home_events_total{floor="a",otel_scope_name="two",room=""} 1.0\n' in text(reader)
    assert covered


def test_metrics_that_the_exporter_merges_are_left_to_the_exporter(reader, provider, covered):
    for name in ("home.events", "home_events"):
        provider.get_meter(DISTRO).create_counter(name).add(1, {"name": name})
    assert text(reader) == generate_latest(reader.registry).decode()
    assert text(reader).count("# TYPE home_events_total") == 1
    assert not covered


def test_histograms_of_two_meters_with_other_bounds_are_left_to_the_exporter(reader, provider, covered):
    for scope, bound in (("one", 0.5), ("two", 1.5)):
        meter = provider.get_meter(scope)
        meter.create_histogram("duration", explicit_bucket_boundaries_advisory=[bound]).record(1)
    assert text(reader) == generate_latest(reader.registry).decode()
    assert 'duration_bucket{le="1.5",otel_scope_name="two"} 1.0\n' in text(reader)
    assert not covered


def test_the_exporter_still_cannot_write_the_omitted_metrics():
    reader = InMemoryMetricReader()
    view = View(instrument_name="duration", aggregation=ExponentialBucketHistogramAggregation())
    provider = MeterProvider([reader], views=[view], shutdown_on_exit=False)
    provider.get_meter("test").create_histogram("duration").record(1)
    with pytest.raises(AttributeError):
        Exporter(target_info=False).text(reader.get_metrics_data(), generate_latest)
    provider.shutdown()


def test_metrics_that_the_exporter_cannot_write_are_omitted_and_warned_of_once(reader, caplog):
    view = View(instrument_name="duration", aggregation=ExponentialBucketHistogramAggregation())
    provider = MeterProvider([reader], views=[view], shutdown_on_exit=False)
    provider.get_meter("test").create_histogram("duration").record(1)
    provider.get_meter("test").create_counter("events").add(1)
    for written in (text(reader), text(reader), generate_latest(reader.registry).decode()):
        assert "events_total" in written
        assert "duration" not in written
    assert [record.getMessage() for record in caplog.records] == [
        "duration: a View makes it an exponential histogram, which Prometheus cannot scrape; it is only pushed"
    ]
    provider.shutdown()


@pytest.mark.parametrize("encode", [generate_latest, openmetrics])
def test_a_client_library_that_writes_differently_writes_everything_itself(
    reader, meter, covered, monkeypatch, caplog, encode
):
    monkeypatch.setattr(template, "escaped", str)
    meter.create_counter("events").add(1, {"kind": "a"})
    assert text(reader, encode) == encode(reader.registry).decode()
    assert text(reader, encode) == encode(reader.registry).decode()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert not covered


def test_a_known_client_library_is_not_warned_of(reader, meter, caplog):
    for accepted in ("", "text/plain;version=1.0.0;escaping=values", "application/openmetrics-text;version=1.0.0"):
        text(reader, choose_encoder(accepted)[0])
    assert caplog.records == []


@pytest.mark.parametrize("lines", ["x 0.5 1700000000\n", "x 0.5\n# HELP y Y.\ny 0.5\n", "x 0.5\ny 0.5\nz 0.5\n", ""])
def test_a_text_of_another_shape_is_not_used_as_a_template(lines):
    with pytest.raises(template.NotCoveredError):
        template.taken_apart(lines, [(), ("a",)] if lines.count("\n") > 2 else [()], 0)


@pytest.mark.parametrize("encode", [generate_latest, openmetrics])
def test_collectors_registered_by_others_are_served_as_well(reader, meter, encode):
    reader.registry.register(Constant())
    meter.create_counter("events").add(1)
    assert text(reader, encode) == encode(reader.registry).decode()
    assert "theirs 7.0" in text(reader, encode)


def test_after_shutdown_collectors_registered_by_others_remain(reader):
    provider = MeterProvider([reader], shutdown_on_exit=False)
    provider.get_meter("test").create_counter("events").add(1)
    reader.registry.register(Constant())
    provider.shutdown()
    assert "theirs 7.0" in text(reader)
    assert text(reader) == generate_latest(reader.registry).decode()


def test_a_collection_of_the_registry_between_two_scrapes_changes_nothing(reader, meter):
    meter.create_counter("events").add(1)
    before = text(reader)
    assert generate_latest(reader.registry).decode() == before
    assert text(reader) == before


def test_no_piece_of_a_large_text_is_large(reader, meter):
    counter = meter.create_counter("events")
    for number in range(1500):
        counter.add(1, {"number": number})
    pieces = list(reader.stream(generate_latest))
    assert len(pieces) > 1
    assert max(map(len, pieces)) < exposition.CHUNK + 1000
    assert "".join(pieces) == generate_latest(reader.registry).decode()


NAME = Attribute("test.name", "A name.")
WORK = Histogram("test.work", unit="s", description="Work.", attributes=(NAME,), series=2000)
DONE = Counter("test.done", unit="{thing}", description="Things.", attributes=(NAME,), series=2000)


@pytest.fixture
def of_pipeline():
    """The scrape reader of a connected pipeline."""
    pipeline = Pipeline(TelemetryConfig(metrics_exporters=("prometheus",), environ={}), Catalog(WORK, DONE))
    pipeline.connect()
    yield pipeline.scrape
    pipeline.disconnect()
    pipeline.shutdown(1)


@pytest.mark.parametrize("record", [WORK.record, DONE.add], ids=["histogram", "counter"])
def test_a_scrape_of_many_series_sets_off_no_garbage_collection(of_pipeline, record):
    for number in range(2000):
        record(1, name=f"number {number}")
    text(of_pipeline)
    gc.collect()
    begun = []
    gc.callbacks.append(note := lambda _, info: begun.append(info["generation"]))
    pieces = sum(1 for _ in of_pipeline.stream(generate_latest))
    gc.callbacks.remove(note)
    assert pieces > 1
    assert begun == []


def test_a_scrape_of_many_series_gives_way_to_other_threads_while_it_collects(of_pipeline, monkeypatch):
    given = []
    monkeypatch.setattr(turn.time, "sleep", given.append)
    for number in range(2 * scrape.TURN):
        DONE.add(1, name=f"number {number}")
    text(of_pipeline)
    assert given == [0, 0]


def test_series_may_be_made_while_a_scrape_gives_way(reader, provider, meter, monkeypatch):
    gather_points(reader, provider, reader.gather)
    gauge = meter.create_gauge("level")
    for number in range(2 * scrape.TURN):
        gauge.set(1, {"number": number})
    made = [threading.Thread(target=gauge.set, args=(1, {"number": "new"}))]

    def give_way(_):
        for thread in made:
            thread.start()
            thread.join(0.2)  # it waits for the collection
        started.extend(made)
        made.clear()

    started = []
    monkeypatch.setattr(turn.time, "sleep", give_way)
    assert text(reader).count("level{") == 2 * scrape.TURN
    (thread,) = started
    thread.join()
    assert text(reader).count("level{") == 2 * scrape.TURN + 1


def test_a_scrape_that_comes_while_another_makes_templates_makes_its_own(reader, meter, monkeypatch):
    for number in range(3):
        meter.create_counter(f"events.{number}").add(number)
    expected = generate_latest(reader.registry).decode()
    others = meanwhile_once(monkeypatch, exposition.Exporter, "_receive_metrics", lambda: text(reader))
    assert text(reader) == expected
    assert others == [expected]
    assert text(reader) == expected


def test_a_scrape_that_comes_while_the_registry_is_collected_has_all_of_it_once(reader, meter, monkeypatch):
    meter.create_counter("events").add(1)
    expected = text(reader)
    others = meanwhile_once(monkeypatch, PrometheusMetricReader, "_receive_metrics", lambda: text(reader))
    assert generate_latest(reader.registry).decode() == expected
    for thread in others.threads:
        thread.join()
    assert others == [expected]


class Found(list):
    """The results so far, and the threads that may still be running."""

    def __init__(self):
        super().__init__()
        self.threads = []


def meanwhile_once(monkeypatch, kind, method, action):
    """Run an action in another thread once, the first time that a method of a class returns."""
    found, original = Found(), getattr(kind, method)

    def replacement(*args, **kwargs):
        original(*args, **kwargs)
        if not found.threads:
            found.threads.append(threading.Thread(target=lambda: found.append(action())))
            found.threads[0].start()
            found.threads[0].join(0.3)  # it may have to wait for this one

    monkeypatch.setattr(kind, method, replacement)
    return found


def number(value=1.0):
    return NumberDataPoint({}, 0, 0, value)


def histogram(bounds, counts):
    return HistogramDataPoint({}, 0, 0, sum(counts), 0.5, counts, bounds, 0.0, 0.0)


@pytest.mark.parametrize(
    "points",
    [
        [number(), histogram((1.0,), [1, 0])],
        [histogram((1.0,), [1, 0]), number()],
        [histogram((1.0,), [1, 0]), histogram((2.0,), [1, 0])],
        [histogram((1.0,), [1, 0]), histogram((1.0,), [1, 0, 0])],
    ],
)
def test_points_that_differ_are_left_as_they_are(points):
    assert in_columns(points) == points


def test_formats_and_templates_are_bounded(reader, meter, monkeypatch):
    monkeypatch.setattr(exposition, "MOST_TEMPLATES", 2)
    for number in range(4):
        meter.create_counter(f"events.{number}").add(1)
    for version in range(1, 3 * MOST_FORMATS):
        encode, _ = choose_encoder(f"application/openmetrics-text;version={version}.0.0")
        assert text(reader, encode) == encode(reader.registry).decode()
    assert len(reader.formats) <= MOST_FORMATS
    assert all(len(each.templates) <= 2 for each in reader.formats.values())


def test_the_same_format_is_at_hand_the_next_time(reader, meter):
    meter.create_counter("events").add(1)
    for _ in range(2):
        text(reader, choose_encoder("application/openmetrics-text;version=1.0.0")[0])
    assert len(reader.formats) == 1


def test_the_endpoint_writes_a_registry_in_pieces(reader, meter, covered):
    meter.create_counter("events").add(1)
    served = Endpoint(reader.registry, dict, dict, username=None, password=None)
    packed = served.respond("GET", "/metrics", {"Accept-Encoding": "gzip"})
    plain = served.respond("GET", "/metrics", {})
    assert gzip.decompress(packed.body) == plain.body == served.text().encode() == generate_latest(reader.registry)
    assert covered == ["events_total"] * 3


try:
    DOTTED = GaugeMetricFamily("theirs.too", "").name
except ValueError:  # prometheus-client 0.21
    DOTTED = "undotted"
ALL_NAMES = ["events_total", "duration_seconds_bucket", "duration_seconds_sum", "theirs", DOTTED, "target_info"]


@pytest.mark.parametrize("accepted", ["", "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8"])
@pytest.mark.parametrize("names", [*([name] for name in ALL_NAMES), ALL_NAMES, ["none"], ["duration_seconds"], []])
def test_a_restricted_registry_has_the_lines_of_the_named_samples(reader, meter, covered, accepted, names):
    class Dotted:
        def collect(self):
            return [GaugeMetricFamily(DOTTED, "Another one.", 8)]

    meter.create_counter("events").add(3, {"kind": "a}b \u2028 \x85 {events_total} 1\n# HELP"})
    meter.create_histogram("duration", unit="s").record(0.3)
    reader.registry.register(Constant())
    reader.registry.register(Dotted())
    encode, _ = choose_encoder(accepted)
    restricted = reader.registry.restricted_registry(names)
    written = "".join(restricted.stream(encode))
    assert written == encode(restricted).decode()
    spelled = [name.replace(".", "." if accepted else "_") for name in names]
    lines = [line for line in text(reader, encode).split("\n") if line and not line.startswith("# ")]
    kept = [line for line in lines if re.split("[{ ]", line.removeprefix('{"').replace('"}', " "))[0] in spelled]
    assert [line for line in written.split("\n") if line and not line.startswith("# ")] == kept
    assert len(covered) == 4
    assert written.count("# TYPE ") == len(
        {name.partition("_")[0] for name in names} & {name.partition("_")[0] for name in ALL_NAMES}
    ) - (names == ["duration_seconds"])
