import asyncio
import gc
import json
import threading
import tracemalloc
import urllib.request
from contextlib import nullcontext, suppress

import pytest
from opentelemetry.sdk.metrics._internal import _MeterConfig
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.trace import TracerProvider

import otel_ha.export.pipeline
from otel_ha import Attribute, Catalog, Counter, Histogram, ObservableGauge, TelemetryError, setup_telemetry
from otel_ha.history import PerformanceMetrics
from otel_ha.record.journal.cells import HistogramCell
from otel_ha.vocabulary import ingest
from tests.history import run
from tests.recorded import MemoryReader, in_threads
from tests.unit.conftest import config

ROOM = Attribute("test.room", "A room.")
SYNCS = Counter("test.syncs", unit="{sync}", description="Syncs.", attributes=(ROOM,))
SYNC_TIME = Histogram("test.sync.duration", unit="s", description="Time to sync.", attributes=(ROOM,))
DEPTH = ObservableGauge("test.depth", unit="m", description="Depth.")
OURS = Catalog(SYNCS, SYNC_TIME, DEPTH)


@pytest.fixture
def recorded():
    with run(catalog=OURS) as recorded:
        yield recorded


def test_metrics_of_the_users_catalog_are_stored(recorded):
    SYNCS.add(2, room="kitchen")
    SYNC_TIME.record(0.2, room="kitchen")
    recorded.collect(10)
    SYNC_TIME.record(0.4, room="kitchen")
    recorded.collect(10)
    assert recorded.history.totals(SYNCS, ROOM) == {"kitchen": 2}
    assert recorded.history.totals(SYNC_TIME) == {"": 2}
    assert recorded.history.rate(SYNC_TIME) == 0.1
    assert recorded.history.mean(SYNC_TIME, room="kitchen") == pytest.approx(0.3)
    assert recorded.history.quantile(1, SYNC_TIME, 10) == pytest.approx(0.4, rel=0.03)


def test_series_are_distinguished_by_their_attributes(recorded):
    SYNCS.add(2, room="kitchen")
    SYNCS.add(3, room="hall")
    recorded.collect(1)
    assert recorded.history.totals(SYNCS, ROOM) == {"kitchen": 2, "hall": 3}
    assert recorded.history.totals(SYNCS, room="hall") == {"": 3}
    assert recorded.history.totals(SYNCS) == {"": 5}


def test_a_window_shorter_than_an_interval_is_that_interval(recorded):
    SYNCS.add(4)
    recorded.collect(20)
    assert recorded.history.rate(SYNCS, 1) == 0.2


def test_a_window_is_at_most_as_long_as_the_history(recorded):
    recorded.collect(20)
    assert recorded.history.seconds(3600) == 20


def test_before_the_first_collection_everything_is_zero(recorded):
    performance = recorded.history.performance()
    assert performance == PerformanceMetrics(timestamp=performance.timestamp)
    assert recorded.history.totals(SYNCS) == {}
    assert recorded.history.intervals() == recorded.history.roll_up(60) == []


def test_a_provisional_collection_does_not_shorten_the_history():
    with run(2, catalog=OURS) as recorded:
        for _ in range(2):
            recorded.collect(10)
        for _ in range(5):
            recorded.history.collect()
        assert len(recorded.history.timestamps) == 4  # the start, two collections and the provisional one
        recorded.collect(10)
        assert recorded.history.seconds() == 20


@pytest.mark.parametrize(("later", "seconds"), [(1, 11), (4, 14), (5, 5), (10, 10)])
def test_the_interval_of_a_provisional_collection_is_long_enough_for_a_rate(recorded, later, seconds):
    recorded.history.interval = 10
    for _ in range(2):
        recorded.collect(10)
    recorded.clock.seconds += later
    recorded.history.collect()
    assert [each.end - each.start for each in recorded.history.intervals()] == [10, 10, seconds]


def test_the_first_interval_begins_with_telemetry_however_short_it_is(recorded):
    recorded.history.interval = 10
    recorded.clock.seconds += 1
    recorded.history.collect()
    assert [each.end - each.start for each in recorded.history.intervals()] == [1]


def test_an_undeclared_instrument_is_a_clear_error(recorded):
    with pytest.raises(TelemetryError, match=r"'homeassistant.event.received' is not in the catalog"):
        recorded.history.totals(ingest.RECEIVED)


@pytest.mark.parametrize("ask", [{"by": ingest.SOURCE}, {"source": "mqtt"}])
def test_an_undeclared_attribute_is_a_clear_error(recorded, ask):
    with pytest.raises(TelemetryError, match=r"'test.syncs' has no attribute 'source' \(declared: room\)"):
        recorded.history.totals(SYNCS, **ask)


def test_an_attribute_by_its_name_is_a_clear_error(recorded):
    with pytest.raises(TelemetryError, match=r"has no attribute 'room'"):
        recorded.history.totals(SYNCS, "room")


@pytest.mark.parametrize("ask", [lambda history: history.quantile(0.5, SYNCS), lambda history: history.mean(SYNCS)])
def test_a_counter_has_neither_quantiles_nor_a_mean(recorded, ask):
    with pytest.raises(TelemetryError, match=r"'test.syncs' is not a histogram"):
        ask(recorded.history)


def test_no_period_occurs_twice_if_the_clock_is_set_back(recorded):
    for set_back in (0, 120, 0, 0):
        recorded.clock.epoch -= set_back
        recorded.collect(60)
    # The second collection seems to be in the minute before the first one's, the third one in the same as the first.
    assert len(recorded.history.roll_up(60)) == 2


def test_an_interval_in_which_the_clock_is_set_back_begins_before_it_ends(recorded):
    recorded.collect(60)
    recorded.clock.epoch -= 3600
    recorded.collect(60)
    assert [each.end - each.start for each in recorded.history.intervals()] == [60, 60]


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_outside_0_to_1_is_a_clear_error(recorded, share):
    with pytest.raises(TelemetryError, match=rf"share is {share}; allowed: a number from 0 to 1"):
        recorded.history.quantile(share, SYNC_TIME)


@pytest.mark.parametrize("period", [0, -1, float("nan")])
def test_a_period_that_is_not_positive_is_a_clear_error(recorded, period):
    with pytest.raises(TelemetryError, match=rf"period is {period}; allowed: more than 0 seconds"):
        recorded.history.roll_up(period)


def test_measurements_in_a_sampled_span_are_stored_with_all_others(recorded):
    for span in (nullcontext(), TracerProvider().get_tracer("test").start_as_current_span("work")):
        with span:
            SYNCS.add(2, room="hall")
            SYNC_TIME.record(0.2, room="hall")
    recorded.collect(1)
    assert recorded.history.totals(SYNCS) == {"": 4}
    assert recorded.history.totals(SYNC_TIME) == {"": 2}
    assert recorded.history.mean(SYNC_TIME) == pytest.approx(0.2)
    assert recorded.history.quantile(0.5, SYNC_TIME) == pytest.approx(0.2, rel=0.03)


def test_a_series_without_an_increase_is_unchanged(recorded):
    SYNCS.add(2)
    SYNC_TIME.record(0.2)
    for _ in range(3):
        recorded.collect(10)
    assert recorded.history.at_each(lambda span: span.total(SYNCS)) == [2, 2, 2]
    assert recorded.history.increase(SYNCS, 20) == recorded.history.increase(SYNC_TIME, 20) == {"": 0}
    assert recorded.history.mean(SYNC_TIME) == 0.2


def test_a_provisional_collection_does_not_change_earlier_ones(recorded):
    SYNC_TIME.record(0.2)
    recorded.collect(10)
    SYNC_TIME.record(0.4)
    for _ in range(2):
        recorded.history.collect()
        assert recorded.history.at_each(lambda span: span.total(SYNC_TIME)) == [1, 2]
    recorded.collect(10)
    assert recorded.history.at_each(lambda span: span.total(SYNC_TIME)) == [1, 2]
    assert recorded.history.quantile(0, SYNC_TIME, 10) == pytest.approx(0.4, rel=0.03)


def test_a_metric_that_a_users_view_renames_is_not_in_the_history():
    views = [View(instrument_name="test.sync.duration", name="test.other")]
    with setup_telemetry(config=config(), catalog=OURS, views=views) as telemetry:
        SYNC_TIME.record(1)
        telemetry.history.collect()
        assert telemetry.history.totals(SYNC_TIME) == {}


def test_a_histogram_is_stored_with_the_buckets_of_a_users_view():
    views = [View(instrument_name="test.sync.duration", aggregation=ExplicitBucketHistogramAggregation([1, 2, 4]))]
    with setup_telemetry(config=config(), catalog=OURS, views=views) as telemetry:
        SYNC_TIME.record(3)
        telemetry.history.collect()
        assert 2 <= telemetry.history.quantile(0.5, SYNC_TIME) <= 4


def test_the_queue_depth_is_the_sum_over_all_queues():
    with run() as recorded:
        ingest.QUEUE_SIZE.observe(lambda: 5, queue="ingest")
        ingest.QUEUE_SIZE.observe(lambda: 2, queue="points")
        recorded.collect(1)
        assert recorded.history.performance().queue_depth == 7


def stored_by_the_sdk(recorded):
    """Return the names of the instruments whose series the SDK stores for the history."""
    storages = recorded.pipeline.provider._measurement_consumer._reader_storages
    matches = storages[recorded.reader]._instrument_view_instrument_matches
    return {instrument.name for instrument, of in matches.items() if any(m._attributes_aggregation for m in of)}


def test_the_sdk_stores_only_series_that_are_not_journalled(recorded):
    SYNCS.add(1)
    SYNC_TIME.record(0.2)
    DEPTH.observe(lambda: 4)
    recorded.collect(1)
    assert stored_by_the_sdk(recorded) == {"test.depth"}
    assert recorded.history.totals(DEPTH) == {"": 4}


def test_with_an_unsupported_sdk_its_points_are_stored(monkeypatch):
    monkeypatch.setattr(otel_ha.export.pipeline, "is_supported", lambda: False)
    with run(catalog=OURS) as recorded:
        for _ in range(2):
            SYNCS.add(2, room="hall")
            SYNC_TIME.record(0.2, room="hall")
            recorded.collect(10)
        assert stored_by_the_sdk(recorded) == {"test.syncs", "test.sync.duration"}
        assert recorded.history.increase(SYNCS, 10, ROOM) == recorded.history.totals(SYNC_TIME, ROOM) == {"hall": 2}


def test_an_expired_entity_leaves_the_history_with_its_last_collection():
    with run(2, entity_expiry=3600) as recorded:
        ingest.ENTITY_EVENTS.add(1, entity="light.hall", domain="light")
        recorded.collect(1)
        assert recorded.history.business().events_by_entity == {"light.hall": 1}
        ingest.ENTITY_EVENTS.forget(entity="light.hall")
        for _ in range(4):
            recorded.collect(1)
        assert recorded.history.business().events_by_entity == {}
        assert recorded.history.store.chosen(ingest.ENTITY_EVENTS, {}) == []


def test_a_full_history_does_not_grow():
    with run(10) as recorded:

        def work():
            for number in range(200):
                ingest.EVENT_DURATION.record(number / 1e3, source="mqtt", domain="light", outcome="ok")
                ingest.ENTITY_EVENTS.add(1, entity=f"light.{number % 20}", domain="light")
            recorded.collect(30)
            recorded.history.collect()

        for _ in range(15):
            work()
        tracemalloc.start()
        try:
            work()
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(30):
                work()
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert grown < 30_000  # without a bound it is about 42,000


# As part of telemetry


def test_a_history_does_not_change_scrapes():
    texts = {}
    for length in (0, 100):
        with setup_telemetry("test", config=config(history_length=length), catalog=OURS) as telemetry:
            SYNCS.add(1, room="hall")
            SYNC_TIME.record(0.2, room="hall")
            DEPTH.observe(lambda: 4)
            if telemetry.history is not None:
                telemetry.history.collect()
                telemetry.summary()
            samples = [line for line in telemetry.prometheus_text().splitlines() if line.startswith("test_")]
            texts[length] = samples
    assert texts[0] == texts[100]
    assert len(texts[0]) > 3


def test_the_history_collects_regularly():
    settings = config(history_interval=0.1)
    collected = threading.Event()
    with setup_telemetry(config=settings, catalog=OURS) as telemetry:
        readings = iter(range(1_000_000))

        def read():
            reading = next(readings)
            if reading >= 2:
                collected.set()
            return reading

        DEPTH.observe(read)
        assert collected.wait(20)
        assert len(telemetry.history.timestamps) > 2


async def test_regular_collections_do_not_run_in_the_event_loop():
    read_in = []
    collected = threading.Event()

    def read():
        read_in.append(threading.current_thread())
        collected.set()
        return 1

    async with setup_telemetry(config=config(history_interval=0.1), catalog=OURS):
        DEPTH.observe(read)
        assert await asyncio.to_thread(collected.wait, 20)
    assert threading.main_thread() not in read_in


def test_there_is_no_history_if_its_length_is_zero():
    with setup_telemetry(config=config(history_length=0), catalog=OURS) as telemetry:
        assert telemetry.history is None
        assert telemetry.summary()["current"] is None


def test_disabled_telemetry_has_no_history():
    with setup_telemetry(config=config(enabled=False)) as telemetry:
        assert telemetry.history is None
        assert telemetry.summary()["history"] is None


def test_the_history_can_be_read_after_shutdown():
    with setup_telemetry(config=config(system_metrics=True), catalog=OURS) as telemetry:
        SYNCS.add(3)
    assert telemetry.history.totals(SYNCS) == {"": 3}  # taken at the end
    assert telemetry.summary()["current"]["system"]["memory_percent"] > 0


def test_each_set_up_starts_a_new_history():
    with setup_telemetry(config=config(), catalog=OURS):
        SYNCS.add(3)
    with setup_telemetry(config=config(), catalog=OURS) as telemetry:
        SYNCS.add(1)
        telemetry.history.collect()
        assert telemetry.history.totals(SYNCS) == {"": 1}


def test_a_failed_collection_is_reported_and_the_next_one_succeeds(caplog):
    with run(catalog=OURS) as recorded:
        reader = recorded.reader
        take, recorded.history.take = recorded.history.take, None
        recorded.collect(1)
        recorded.collect(1)
        assert reader.delivery.state()["consecutive_failures"] == 2
        assert caplog.text.count("a collection for the history failed") == 1
        recorded.history.take = take
        recorded.collect(1)
        assert reader.delivery.state()["status"] == "ok"
        assert len(recorded.history.timestamps) == 2


def test_the_collection_after_a_failed_one_stores_its_increases(recorded):
    reader = recorded.reader
    collect = reader.collect

    def failing():
        collect()
        raise TimeoutError("a source hangs")

    SYNCS.add(3)
    reader.collect = failing
    recorded.collect(1)
    reader.collect = collect
    SYNCS.add(4)
    recorded.collect(1)
    assert recorded.history.totals(SYNCS) == {"": 7}


def enable(recorded, *, enabled):
    recorded.pipeline.provider._set_meter_configurator(meter_configurator=lambda _: _MeterConfig(enabled))


def test_measurements_are_ignored_while_the_meter_is_disabled(recorded):
    tracer = TracerProvider().get_tracer("test")
    for enabled in (True, False, False, True):
        enable(recorded, enabled=enabled)
        SYNCS.add(1)
        with tracer.start_as_current_span("work"):
            SYNCS.add(10)
            SYNC_TIME.record(0.2)
        recorded.collect(1)
        recorded.history.collect()
    assert recorded.history.totals(SYNCS) == {"": 22}
    assert recorded.history.totals(SYNC_TIME) == {"": 2}
    assert recorded.history.mean(SYNC_TIME) == pytest.approx(0.2)


def test_no_reader_gets_ignored_measurements_from_a_reader_that_joins(recorded):
    first = MemoryReader()
    first.gate = recorded.gate
    recorded.pipeline.provider.add_metric_reader(first)
    SYNCS.add(1)
    assert first.collected()["test.syncs"] == {frozenset(): 1}
    enable(recorded, enabled=False)
    SYNCS.add(10)
    recorded.pipeline.provider.add_metric_reader(MemoryReader())
    enable(recorded, enabled=True)
    SYNCS.add(100)
    recorded.collect(1)
    assert recorded.history.totals(SYNCS) == {"": 101}
    assert first.collected()["test.syncs"] == {frozenset(): 101}


def test_the_summary_is_served_over_http(served):
    ingest.RECEIVED.add(1, source="mqtt")
    with urllib.request.urlopen(served.metrics_url.replace("/metrics", "/summary")) as response:
        assert response.headers["Content-Type"] == "application/json"
        summary = json.load(response)
    assert summary["service"] == "test"
    assert len(summary["history"]["system"]) == 1


# Concurrent recording and collection


def test_measurements_that_another_reader_settles_meanwhile_are_stored_once():
    with run() as recorded:
        reader = recorded.reader
        collect = reader.collect

        def raced():
            collect()
            for _ in range(100):  # a new series, which another reader settles before the increases are taken
                ingest.EVENT_DURATION.record(0.001, source="mqtt", domain="light", outcome="ok")
            recorded.pipeline.journal.settle()

        reader.collect = raced
        recorded.collect(1)
        reader.collect = collect
        recorded.collect(1)
        ingest.EVENT_DURATION.record(0.001, source="mqtt", domain="light", outcome="ok")
        recorded.collect(1)
        assert recorded.history.totals(ingest.EVENT_DURATION) == {"": 101}
        assert recorded.history.quantile(0.5, ingest.EVENT_DURATION) == pytest.approx(0.001, rel=0.03)
        assert recorded.history.quantile(0.99, ingest.EVENT_DURATION) == pytest.approx(0.001, rel=0.03)


def test_nothing_is_lost_or_stored_twice_while_threads_record_and_scrape(recorded):
    scrape = MemoryReader()
    scrape.gate = recorded.gate
    recorded.pipeline.provider.add_metric_reader(scrape)

    def work(number):
        for turn in range(300):
            if number == 0:
                recorded.history.collect()
            elif number == 1:
                scrape.collected()
            elif number == 2:
                recorded.collect(1)
            else:
                SYNCS.add(1, room=f"{turn % 7}")
                SYNC_TIME.record(0.2, room=f"{turn % 5}")

    in_threads(6, work)
    recorded.collect(1)
    assert sum(recorded.history.totals(SYNCS, ROOM).values()) == 900
    assert recorded.history.totals(SYNC_TIME, ROOM) == {f"{room}": 180 for room in range(5)}
    totals = recorded.history.at_each(lambda span: span.total(SYNCS))
    assert totals == sorted(totals)


def test_threads_that_create_the_same_series_share_its_distribution(recorded, monkeypatch):
    barrier, make = threading.Barrier(2), HistogramCell

    def slow(*arguments):
        with suppress(threading.BrokenBarrierError):
            barrier.wait(0.2)  # widens the gap between look-up and creation
        return make(*arguments)

    monkeypatch.setattr("otel_ha.record.journal.recorder.HistogramCell", slow)
    bound = [SYNC_TIME.bind(room="hall") for _ in range(2)]
    in_threads(2, lambda number: [bound[number].record(0.2) for _ in range(100)])
    recorded.collect(1)
    (increases,) = [increases for _, increases in recorded.history.store.distributions(SYNC_TIME, {}, (0, 1))]
    assert sum(increases.values()) == recorded.history.totals(SYNC_TIME)[""] == 200


def test_equal_values_of_different_types_are_different_series(recorded):
    SYNCS.add(5, room=1)
    SYNCS.add(7, room=True)
    SYNCS.add(11, room=1.0)
    recorded.collect(1)
    assert recorded.history.totals(SYNCS) == {"": 23}
    assert recorded.history.totals(SYNCS, room=True) == {"": 7}
