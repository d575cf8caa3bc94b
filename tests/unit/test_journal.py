"""The journal on the real SDK: threads, readers, spans, forks and the fallback to the public API."""

import ast
import contextlib
import gc
import gzip
import logging
import os
import signal
import threading
import time
from collections import Counter as Tally
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.context import Context, attach, detach
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import Counter as SdkCounter
from opentelemetry.sdk.metrics import ExemplarReservoir
from opentelemetry.sdk.metrics import Histogram as SdkHistogram
from opentelemetry.sdk.metrics._internal import _MeterConfig
from opentelemetry.sdk.metrics.export import AggregationTemporality
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from prometheus_client import generate_latest

import otel_ha.export.pipeline
from otel_ha import (
    Attribute,
    Catalog,
    Counter,
    Discarded,
    Gauge,
    Histogram,
    Operation,
    TelemetryConfig,
    UpDownCounter,
    measured,
    setup_telemetry,
)
from otel_ha.declare.resolved import MOST_RESOLVED
from otel_ha.export.pipeline import Pipeline
from otel_ha.record.journal.cells import SumCell
from otel_ha.record.journal.journal import LONG
from otel_ha.record.journal.recorder import JournalRecorder
from otel_ha.record.journal.trial import is_supported
from otel_ha.vocabulary import ingest, runtime
from tests.recorded import MemoryReader, accounts, in_threads, unbalanced
from tests.unit.conftest import config

DELTA = AggregationTemporality.DELTA
ALL_DELTA = {SdkCounter: DELTA, SdkHistogram: DELTA}

SHAPE = Attribute("test.shape", "A shape.")
OUTCOME = Attribute("test.outcome", "How it ended.", values=("ok", "error", "cancelled"))
ERROR = Attribute("error.type", "What was raised.", keyword="error_type", budget=4)
THINGS = Counter("test.things", unit="{thing}", description="Things.", attributes=(SHAPE,))
LEVEL = UpDownCounter("test.level", unit="{thing}", description="A level.", attributes=(SHAPE,), group="operations")
WIDTH = Histogram("test.width", unit="m", description="Widths.", attributes=(SHAPE,), buckets=(0.5, 2.5))
WORK = Histogram("test.work", unit="s", description="Work.", attributes=(SHAPE, OUTCOME, ERROR))
HEAT = Gauge("test.heat", unit="Cel", description="Heat.", attributes=(SHAPE,))
CATALOG = Catalog(THINGS, LEVEL, WIDTH, WORK, HEAT, runtime.RECORDING_PROBLEMS)


class Running:
    """A pipeline with readers in memory, connected until the block ends."""

    def __init__(self, *temporalities, catalog=CATALOG, views=(), **settings):
        config = TelemetryConfig(**{"metrics_exporters": (), "environ": {}} | settings)
        self.pipeline = Pipeline(config, catalog, views=views)
        self.provider = self.pipeline.provider
        self.readers = [self.join(temporality) for temporality in temporalities or ({},)]

    def join(self, temporality):
        reader = MemoryReader(preferred_temporality=temporality)
        reader.gate = self.pipeline.gate
        self.provider.add_metric_reader(reader)
        return reader

    def __enter__(self):
        self.pipeline.connect()
        return self

    def __exit__(self, *_):
        self.pipeline.disconnect()
        self.pipeline.shutdown(1)

    @property
    def journal(self):
        return self.provider.journal

    def collect(self, reader=0):
        return self.readers[reader].collected()

    def points(self, reader=0):
        """Return the SDK's own points by instrument."""
        data = self.readers[reader].get_metrics_data()
        metrics = data.resource_metrics[0].scope_metrics[0].metrics if data else []
        return {metric.name: metric.data.data_points for metric in metrics}


@contextlib.contextmanager
def meanwhile(*targets):
    """Repeat each target in its own thread until the block ends, and raise the first of their errors."""
    stop, errors = threading.Event(), []

    def run(target):
        try:
            while not stop.is_set():
                target()
        except Exception as error:  # noqa: BLE001 - raised below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    if errors:
        raise errors[0]


def numbers(points):
    """Return {(name, attributes): how many}: the count of a histogram, the value of a sum."""
    return Tally({(name, key): getattr(v, "count", v) for name, of in points.items() for key, v in of.items()})


class Stubborn(int):
    """A number that cannot be added up."""

    def __radd__(self, _):
        raise RuntimeError("no sum")


# ---- The choice of path


def test_the_installed_sdk_is_supported():
    assert is_supported()


def test_an_sdk_that_cannot_withhold_series_from_a_reader_is_not_supported(monkeypatch):
    monkeypatch.setattr(otel_ha.record.journal.trial, "withhold_from", lambda *_: None)
    assert not is_supported.__wrapped__()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "always_on"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "always_off"),
    ],
)
def test_whether_an_sdk_is_supported_depends_on_no_environment(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    assert is_supported.__wrapped__()


def test_whether_an_sdk_is_supported_does_not_depend_on_the_span(tracer):
    with tracer.start_as_current_span("start"):
        assert is_supported.__wrapped__()


def test_counters_and_histograms_use_the_journal():
    with Running():
        assert [type(each.recorder) for each in (THINGS, LEVEL, WIDTH, WORK)] == [JournalRecorder] * 4
        assert not isinstance(HEAT.recorder, JournalRecorder)


def test_an_unsupported_sdk_exports_the_same(monkeypatch):
    def export():
        with Running({}, ALL_DELTA) as running:
            out = []
            for _ in range(2):
                record_a_little()
                out += [running.collect(0), running.collect(1)]
            return out

    journalled = export()
    monkeypatch.setattr(otel_ha.export.pipeline, "is_supported", lambda: False)
    assert export() == journalled


def test_measurements_while_the_meter_is_disabled_are_left_out_on_either_path(monkeypatch):
    def export():
        with Running({}, ALL_DELTA) as running:
            out = []
            for is_enabled in (True, False, False, True, True):
                running.provider._set_meter_configurator(meter_configurator=lambda _, on=is_enabled: _MeterConfig(on))
                record_a_little()
                if is_enabled:
                    out += [running.collect(0), running.collect(1)]
            return out

    journalled = export()
    monkeypatch.setattr(otel_ha.export.pipeline, "is_supported", lambda: False)
    assert export() == journalled


def test_measurements_while_the_meter_is_disabled_are_left_out_even_if_a_reader_joins():
    with Running() as running:
        THINGS.add(1, shape="round")
        running.provider._set_meter_configurator(meter_configurator=lambda _: _MeterConfig(is_enabled=False))
        THINGS.add(1, shape="round")
        running.join({})
        assert running.collect()[THINGS.name] == {frozenset({("test.shape", "round")}): 1}


def test_a_series_first_recorded_while_the_meter_is_disabled_is_found_once_it_is_enabled():
    with Running() as running:
        for is_enabled in (False, True):
            running.provider._set_meter_configurator(meter_configurator=lambda _, on=is_enabled: _MeterConfig(on))
            THINGS.add(1, shape="round")
        assert running.collect()[THINGS.name] == {frozenset({("test.shape", "round")}): 1}


def test_an_unsupported_sdk_is_warned_of_once_per_set_up(monkeypatch, caplog):
    monkeypatch.setattr(otel_ha.export.pipeline, "is_supported", lambda: False)
    for expected in (1, 2):
        with Running() as running:
            record_a_little()
            running.collect()
        assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) == expected
        assert not isinstance(THINGS.recorder, JournalRecorder)


def record_a_little():
    for shape in ("round", "square", None):
        THINGS.add(2, shape=shape)
        LEVEL.add(-1, shape=shape)
        for width in (0.25, 0.5, 1, 3.5):
            WIDTH.record(width, shape=shape)
        HEAT.set(21.5, shape=shape)


# ---- Threads


def totals_of(running, reader, add_up):
    """Collect once, into the sums of a delta reader or in place of those of a cumulative one."""
    found = numbers(running.collect(reader))
    if not add_up[reader]:
        add_up[reader] = Tally()
    if reader == 0:
        for key in add_up[0]:
            assert found[key] >= add_up[0][key], f"{key} went back"
        add_up[0] = found
    else:
        add_up[1].update(found)


def test_no_count_is_lost_or_doubled_while_threads_record_and_readers_collect():
    work = measured(WORK, shape=lambda shape: shape)(lambda _: None)
    number, threads = 3_000, 8

    def record(i):
        for n in range(number):
            shape = f"shape {n % 5}"
            THINGS.add(1, shape=shape)
            WIDTH.record(n % 4, shape=shape)
            work(shape)

    add_up = {0: None, 1: None}
    with Running({}, ALL_DELTA) as running:
        with meanwhile(*(lambda r=r: totals_of(running, r, add_up) for r in range(2))):
            in_threads(threads, record)
        for reader in range(2):
            totals_of(running, reader, add_up)
    for reader in range(2):
        by_name = Tally()
        for (name, _), amount in add_up[reader].items():
            by_name[name] += amount
        assert by_name == dict.fromkeys((THINGS.name, WIDTH.name, WORK.name), number * threads), reader


def test_no_count_is_lost_or_doubled_while_readers_join_and_leave():
    number, threads = 5_000, 4
    add_up = {0: None, 1: None}
    with Running({}, ALL_DELTA) as running:

        def come_and_go():
            guest = running.join(ALL_DELTA)
            guest.get_metrics_data()
            running.provider.remove_metric_reader(guest)

        with meanwhile(come_and_go, *(lambda r=r: totals_of(running, r, add_up) for r in range(2))):
            in_threads(threads, lambda _: [THINGS.add(1, shape=str(n % 5)) for n in range(number)])
        for reader in range(2):
            totals_of(running, reader, add_up)
    assert [sum(add_up[reader].values()) for reader in range(2)] == [number * threads] * 2


def test_a_reader_sees_no_measurements_from_before_it_joined():
    with Running() as running:
        THINGS.add(5)
        late = running.join({})
        assert late.collected() == {}
        THINGS.add(2)
        assert late.collected()[THINGS.name] == {frozenset(): 2}
        assert running.collect()[THINGS.name] == {frozenset(): 7}


def test_a_reader_that_left_takes_nothing_with_it():
    with Running({}, ALL_DELTA) as running:
        THINGS.add(5)
        running.provider.remove_metric_reader(running.readers.pop())
        THINGS.add(2)
        assert running.collect()[THINGS.name] == {frozenset(): 7}


VIEWS = {
    "by the journal": (),
    "in flight by a View": (View(instrument_name=ingest.IN_FLIGHT.name),),
    "duration by a View": (View(instrument_name=ingest.EVENT_DURATION.name),),
    "received by a View": (View(instrument_name=ingest.RECEIVED.name),),
}


@pytest.mark.parametrize("views", VIEWS)
def test_the_accounts_add_up_at_every_collection_while_threads_measure(views):
    work = measured(ingest.EVENT, source=lambda source, _: source)(lambda _, fails: 1 / (not fails))
    torn = []
    with Running({}, {}, catalog=ingest.CATALOG | runtime.CATALOG, views=VIEWS[views]) as running:

        def measure(i):
            for n in range(500):  # fewer batches than a CollectionGate defers
                with contextlib.suppress(ZeroDivisionError):
                    work(("mqtt", "rest")[n % 2], n % 10 == 9)
                ingest.EVENT.receive(source="mqtt")
                ingest.EVENT.discard("filtered", source="mqtt")

        with meanwhile(*(lambda r=r: torn.append(unbalanced(running.collect(r))) for r in range(2))):
            in_threads(4, measure)
        assert [each for each in torn if each] == []
        assert accounts(running.collect()) == {
            "mqtt": {"received": 3_000, "processed": 1_000, "discarded": 2_000, "in_flight": 0},
            "rest": {"received": 1_000, "processed": 1_000, "discarded": 0, "in_flight": 0},
        }


@pytest.mark.parametrize("moment", range(10))
def test_an_event_during_a_collection_never_makes_the_number_in_flight_negative(monkeypatch, moment):
    def event():
        ingest.EVENT.receive(source="mqtt")
        process()

    process = measured(ingest.QUEUED_EVENT, source="mqtt")(lambda: None)
    take, taken = SumCell.take_alike, []

    def interrupted(cell, amount, times):
        take(cell, amount, times)
        taken.append(amount)
        if len(taken) == moment:
            event()

    with Running(catalog=ingest.CATALOG | runtime.CATALOG) as running:
        event()
        event()
        running.collect()
        event()
        monkeypatch.setattr(SumCell, "take_alike", interrupted)
        points = running.collect()
        assert len(taken) >= 5
        assert unbalanced(points) == {}
        assert min(points[ingest.IN_FLIGHT.name].values()) == 0
        monkeypatch.undo()
        ended = accounts(running.collect())["mqtt"]
        assert ended["received"] == ended["processed"] == (4 if 0 < moment <= len(taken) else 3)


def test_a_number_that_cannot_be_added_up_is_converted():
    with Running() as running:
        for amount in (1, Stubborn(1), 1):
            THINGS.add(amount, shape="round")
        WIDTH.record(Stubborn(1), shape="round")
        assert numbers(running.collect()).total() == 4


def test_a_duration_that_cannot_be_added_up_is_converted():
    work = Operation(duration=WORK)
    with Running() as running:
        for _ in range(3):
            work.record(Stubborn(1), shape="round")
        assert numbers(running.collect()).total() == 3


@pytest.mark.parametrize("views", VIEWS)
def test_a_problem_of_a_batch_is_counted_once_for_each_instrument(views):
    with Running(catalog=ingest.CATALOG | runtime.CATALOG, views=VIEWS[views]) as running:
        ingest.EVENT.receive(source=[])
        problems = running.collect()[runtime.RECORDING_PROBLEMS.name]
    assert {dict(key)["otel_ha.instrument"]: count for key, count in problems.items()} == {
        ingest.RECEIVED.name: 1,
        ingest.IN_FLIGHT.name: 1,
    }


# ---- Exemplars


@pytest.fixture
def tracer():
    provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
    yield provider.get_tracer("test")
    provider.shutdown()


def test_measurements_in_a_sampled_span_have_exemplars_with_its_trace(tracer):
    with Running({}, ALL_DELTA) as running:
        with tracer.start_as_current_span("work") as span:
            THINGS.add(3)
            WIDTH.record(0.75)
        THINGS.add(4)
        for reader in range(2):
            points = running.points(reader)
            for instrument, amount in ((THINGS, 3), (WIDTH, 0.75)):
                [[exemplar]] = [point.exemplars for point in points[instrument.name]]
                assert (exemplar.trace_id, exemplar.value) == (span.get_span_context().trace_id, amount)


def test_measured_work_in_a_sampled_span_has_an_exemplar_with_its_trace(tracer):
    work = measured(WORK)(lambda: None)
    with Running() as running:
        work()
        with tracer.start_as_current_span("work") as span:
            work()
        [point] = running.points()[WORK.name]
        assert point.count == 2
        assert [e.trace_id for e in point.exemplars] == [span.get_span_context().trace_id]


def test_a_bound_operation_has_exemplars_in_a_sampled_span(tracer):
    received = Operation(duration=WORK, received=THINGS).bind(shape="round")
    with Running() as running:
        for _ in range(2):
            received.receive()
        with tracer.start_as_current_span("work") as span:
            received.receive()
        [point] = running.points()[THINGS.name]
        assert point.value == 3
        assert [e.trace_id for e in point.exemplars] == [span.get_span_context().trace_id]


def test_a_handle_has_exemplars_in_a_sampled_span(tracer):
    handle = THINGS.bind(shape="round")
    with Running() as running:
        for _ in range(2):
            handle.add(1)
        with tracer.start_as_current_span("work") as span:
            handle.add(1)
        [point] = running.points()[THINGS.name]
        assert point.value == 3
        assert [e.trace_id for e in point.exemplars] == [span.get_span_context().trace_id]


def test_totals_are_right_whether_in_a_span_or_not(tracer):
    with Running() as running:
        for n in range(10):
            with tracer.start_as_current_span("work") if n % 2 else contextlib.nullcontext():
                THINGS.add(n)
        assert running.collect()[THINGS.name] == {frozenset(): 45}


def test_there_are_no_exemplars_outside_of_spans():
    with Running() as running:
        token = attach(Context({"other": 1}))
        THINGS.add(1)
        detach(token)
        THINGS.add(1)
        [point] = running.points()[THINGS.name]
        assert (point.value, list(point.exemplars)) == (2, [])


def test_work_in_a_span_that_is_not_sampled_is_counted_and_has_no_exemplar():
    work = measured(WORK)(lambda: None)
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    with Running() as running, provider.get_tracer("test").start_as_current_span("work"):
        for _ in range(3):
            work()
        [point] = running.points()[WORK.name]
        assert (point.count, list(point.exemplars)) == (3, [])
    provider.shutdown()


def test_a_reservoir_of_exemplars_is_made_for_the_first_one(tracer):
    with Running() as running:
        before = number_of_reservoirs()
        for shape in ("a", "b", "c"):
            THINGS.add(1, shape=shape)
            WIDTH.record(1, shape=shape)
        running.collect()
        assert number_of_reservoirs() == before
        with tracer.start_as_current_span("work"):
            THINGS.add(1, shape="a")
            WIDTH.record(1, shape="b")
        running.collect()
        assert number_of_reservoirs() == before + 2


def number_of_reservoirs():
    gc.collect()
    return sum(isinstance(each, ExemplarReservoir) for each in gc.get_objects())


def test_there_are_no_exemplars_if_they_are_off(tracer):
    with Running(exemplar_filter="always_off") as running:
        with tracer.start_as_current_span("work"):
            THINGS.add(1)
        [point] = running.points()[THINGS.name]
        assert (point.value, list(point.exemplars)) == (1, [])


def test_an_exemplar_has_the_time_of_its_measurement(tracer):
    with Running() as running:
        before = time.time_ns()
        with tracer.start_as_current_span("work"):
            THINGS.add(1)
        after = time.time_ns()
        [[exemplar]] = [point.exemplars for point in running.points()[THINGS.name]]
        assert before <= exemplar.time_unix_nano <= after


# ---- Points


@pytest.mark.parametrize("temporality", [{}, ALL_DELTA], ids=["cumulative", "delta"])
def test_a_series_starts_no_later_than_its_first_measurement(temporality):
    with Running(temporality) as running:
        THINGS.add(1)
        after = time.time_ns()
        [point] = running.points()[THINGS.name]
        assert point.start_time_unix_nano <= after


def test_a_bound_declaration_that_records_nothing_exports_nothing():
    with Running() as running:
        handle = WIDTH.bind(shape="round")
        handle.record(-1)
        assert WIDTH.name not in running.collect()


@pytest.mark.parametrize("wrong", [-1, float("nan"), 10**30, "1", None, Decimal("NaN")])
def test_a_handle_still_records_after_a_wrong_amount(wrong):
    handle = THINGS.bind(shape="round")
    with Running() as running:
        for amount in (1, 2, wrong, 3):
            handle.add(amount)
        assert running.collect()[THINGS.name] == {frozenset({("test.shape", "round")}): 6}


def test_a_call_that_raises_exports_no_outcome_but_its_own():
    @measured(WORK)
    def work():
        raise LookupError

    with Running() as running:
        with pytest.raises(LookupError):
            work()
        assert list(running.collect()[WORK.name]) == [frozenset({(OUTCOME.name, "error"), (ERROR.name, "LookupError")})]


def test_a_call_that_has_not_ended_exports_no_outcome():
    with Running() as running:

        @measured(WORK)
        def work():
            assert WORK.name not in running.collect()

        work()
        assert running.collect()[WORK.name][frozenset({(OUTCOME.name, "ok")})].count == 1


def test_a_delta_reader_keeps_every_declared_series_apart():
    few = Counter("test.few", unit="{thing}", description="Few.", attributes=(SHAPE,), series=2)
    with Running(ALL_DELTA, catalog=Catalog(few, runtime.RECORDING_PROBLEMS)) as running:
        for shape in ("a", "b", "c"):
            few.add(1, shape=shape)
        running.collect()
        for shape in ("c", "a", "b"):
            few.add(1, shape=shape)
        assert running.collect()[few.name] == {
            frozenset({("test.shape", "a")}): 1,
            frozenset({("test.shape", "b")}): 1,
            frozenset({("otel.metric.overflow", True)}): 1,
        }


def test_every_declarable_bucket_bound_is_exported():
    for buckets in ((5e-324, 1.0), (1.0, 1.7e308), (1e-300, 1e300), (-2.0, -1.0), (0.0,)):
        wide = Histogram("test.wide", unit="m", description="Wide.", buckets=buckets)
        with Running(catalog=Catalog(wide, runtime.RECORDING_PROBLEMS)) as running:
            wide.record(1.0)
            assert running.collect()[wide.name][frozenset()].count == 1


# ---- Hostile values and finalizers


class Hostile:
    """A value that raises on every operation."""

    def __hash__(self):
        raise ValueError("no hash")

    def __eq__(self, other):
        raise ValueError("no comparison")

    def __repr__(self):
        raise ValueError("no text")


@pytest.mark.parametrize("way", ["verb", "bound", "measured"])
def test_a_hostile_attribute_never_raises_into_the_measured_code(way):
    work = measured(WORK, shape=Hostile)(lambda: "done")
    with Running():
        if way == "verb":
            THINGS.add(1, shape=Hostile())
        elif way == "bound":
            THINGS.bind(shape=Hostile()).add(1)
        else:
            assert work() == "done"


def test_a_finalizer_that_interrupts_the_sdk_records_without_waiting_for_it():
    @measured(WORK, shape="generator")
    def generate():
        yield

    with Running() as running:
        THINGS.add(1)
        WORK.record(0.5, outcome="ok")
        running.collect()
        made = generate()
        next(made)

        def interrupted():
            # Where the SDK holds its locks the garbage collector may run, and close a generator.
            [storage] = running.provider._measurement_consumer._reader_storages.values()
            matches = [m for of in storage._instrument_view_instrument_matches.values() for m in of]
            with contextlib.ExitStack() as held:
                for lock in (storage._lock, *(match._lock for match in matches)):
                    held.enter_context(lock)
                made.close()

        thread = threading.Thread(target=interrupted, daemon=True)
        thread.start()
        thread.join(5)
        assert not thread.is_alive()
        assert len(running.points()[WORK.name]) == 2


# ---- Memory


def test_uncollected_records_take_bounded_memory():
    with Running() as running:
        for n in range(100_000):
            THINGS.add(1, shape=str(n % 3))
            assert len(running.journal) <= 3 * (LONG + 2)
        assert sum(running.collect()[THINGS.name].values()) == 100_000


def test_uncollected_measured_calls_take_bounded_memory():
    work = measured(WORK)(lambda: None)
    with Running() as running:
        for _ in range(100_000):
            work()
            assert len(running.journal) <= 2 * (LONG + 2)
        assert running.collect()[WORK.name][frozenset({(OUTCOME.name, "ok")})].count == 100_000


def test_uncollected_series_take_bounded_memory_all_together():
    many = Counter("test.many", unit="{thing}", description="Many.", attributes=(SHAPE,), series=2_000)
    with Running(catalog=Catalog(many, runtime.RECORDING_PROBLEMS)) as running:
        for n in range(200_000):
            many.add(1, shape=str(n % 2_000))
        assert len(running.journal) < 60 * LONG
        assert sum(running.collect()[many.name].values()) == 200_000


def test_uncollected_receipts_and_discards_take_bounded_memory():
    with Running(catalog=ingest.CATALOG | runtime.CATALOG) as running:
        for _ in range(10_000):
            ingest.EVENT.receive(source="mqtt")
            ingest.EVENT.discard("filtered", source="mqtt")
        assert len(running.journal) <= 2 * (LONG + 2)
        assert accounts(running.collect()) == {
            "mqtt": {"received": 10_000, "processed": 0, "discarded": 10_000, "in_flight": 0}
        }


def test_uncollected_records_of_handles_take_bounded_memory():
    things, event = THINGS.bind(shape="round"), ingest.EVENT.bind(source="mqtt")
    with Running(catalog=CATALOG | ingest.CATALOG) as running:
        for _ in range(10_000):
            things.add(1)
            event.receive()
        assert len(running.journal) <= 2 * (LONG + 2)
        collected = running.collect()
        assert collected[THINGS.name] == {frozenset({("test.shape", "round")}): 10_000}
        assert accounts(collected)["mqtt"]["received"] == 10_000


def test_work_with_more_attribute_sets_than_are_kept_resolved_is_all_counted():
    wide = Histogram("test.wide", unit="s", description="Wide.", attributes=(SHAPE, OUTCOME), series=5_000)
    work = measured(wide, shape=lambda shape: shape)(lambda _: None)
    with Running(catalog=Catalog(wide, runtime.RECORDING_PROBLEMS)) as running:
        for _ in range(3):
            for n in range(MOST_RESOLVED + 100):
                work(str(n))
        found = running.collect()[wide.name]
        assert (len(found), {v.count for v in found.values()}) == (MOST_RESOLVED + 100, {3})


def test_measured_that_is_made_again_for_each_block_keeps_only_one():
    with Running(catalog=ingest.CATALOG | runtime.CATALOG) as running:
        for _ in range(100):
            with measured(ingest.EVENT, source="mqtt"):
                pass
        assert number_of_groups(running) == 2
        assert accounts(running.collect())["mqtt"]["processed"] == 100


def test_uncollected_records_in_spans_take_bounded_memory(tracer):
    with Running() as running:
        with tracer.start_as_current_span("work"):
            for _ in range(100_000):
                THINGS.add(1)
        assert len(running.journal) < 50_000
        assert running.collect()[THINGS.name] == {frozenset(): 100_000}


def test_uncollected_batches_in_spans_are_all_counted(tracer):
    work = measured(ingest.EVENT, source="mqtt")(lambda: None)
    with Running(catalog=ingest.CATALOG | runtime.CATALOG) as running:
        with tracer.start_as_current_span("work"):
            for _ in range(12_000):
                work()
                ingest.EVENT.receive(source="mqtt")
                ingest.EVENT.discard("filtered", source="mqtt")
        assert number_of_groups(running) == 4
        assert accounts(running.collect()) == {
            "mqtt": {"received": 24_000, "processed": 12_000, "discarded": 12_000, "in_flight": 0}
        }


@pytest.mark.parametrize("views", VIEWS)
def test_work_keeps_at_most_one_batch_for_each_end(views):
    answers = [None, "error", Discarded("filtered"), [1]]
    work = measured(ingest.EVENT, source="mqtt", outcome_of=lambda answer: answer)(lambda answer: answer)
    with Running(catalog=ingest.CATALOG | runtime.CATALOG, views=VIEWS[views]) as running:
        for n in range(400):
            work(answers[n % 4])
            ingest.EVENT.receive(source="mqtt")
            ingest.EVENT.discard("duplicate", source="mqtt")
        assert number_of_groups(running) <= 6
        found = accounts(running.collect())["mqtt"]
        assert (found["received"], found["processed"] + found["discarded"], found["in_flight"]) == (800, 800, 0)


def number_of_groups(running):
    return running.journal.batch_count


def test_spans_of_measurements_can_be_garbage_collected_after_a_collection(tracer):
    with Running() as running:
        with tracer.start_as_current_span("work"):
            THINGS.add(1)
        running.collect()
        gc.collect()
        assert not running.journal.replays


# ---- Metric groups, exponential histograms, shutdown, fork


def test_a_group_that_is_off_records_nothing_and_the_others_do():
    with Running(operations_metrics=False) as running:
        assert LEVEL.recorder is None
        record_a_little()
        assert LEVEL.name not in running.collect()


def test_an_operation_whose_duration_is_off_still_counts_the_rest():
    extra = Counter("test.extra", unit="{thing}", description="Extra.", group="operations")
    off = Histogram("test.off", unit="s", description="Off.", attributes=(OUTCOME,), group="performance")
    work = measured(Operation(duration=off, received=extra))(lambda: None)
    catalog = Catalog(extra, off, runtime.RECORDING_PROBLEMS)
    with Running(catalog=catalog, performance_metrics=False) as running:
        for _ in range(3):
            work()
        assert running.collect() == {extra.name: {frozenset(): 3}}


def pushed_to(receiver, **settings):
    return {
        "metrics_exporters": ("otlp", "prometheus"),
        "otlp_endpoint": f"http://127.0.0.1:{receiver.server_port}",
        "otlp_timeout": 5,
    } | settings


@pytest.fixture
def receiver():
    """An OTLP receiver that keeps the requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = ExportMetricsServiceRequest.FromString(
                gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            )
            server.metrics += [m for r in request.resource_metrics for s in r.scope_metrics for m in s.metrics]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.metrics = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_measurements_in_the_journal_are_pushed_at_shutdown(receiver):
    with Running(**pushed_to(receiver)) as running:
        THINGS.add(3)
        WIDTH.record(0.75)
        assert len(running.journal) == 2
    values = {metric.name: metric for metric in receiver.metrics}
    assert values[THINGS.name].sum.data_points[0].as_int == 3
    assert values[WIDTH.name].histogram.data_points[0].bucket_counts == [0, 1, 0]


def test_an_exponential_push_leaves_the_scrape_explicit_and_both_count_all(receiver):
    settings = pushed_to(receiver, otlp_histogram_aggregation="base2_exponential_bucket_histogram")
    with Running(**settings) as running:
        for width in (0, 0.25, 1.5, 3.5):
            WIDTH.record(width)
        assert running.pipeline.flush(5)
        page = generate_latest(running.pipeline.scrape.registry).decode()
    [pushed] = [metric for metric in receiver.metrics if metric.name == WIDTH.name][:1]
    [point] = pushed.exponential_histogram.data_points
    assert (point.count, point.zero_count, point.sum) == (4, 1, 5.25)
    buckets = [line.rpartition(" ")[2] for line in page.splitlines() if line.startswith("test_width_meters_bucket")]
    assert [float(count) for count in buckets] == [2, 3, 4]


def in_child(action):
    """Return what `action` returns in a forked child."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        signal.alarm(20)
        try:
            answer = repr(action())
        except BaseException as error:  # noqa: BLE001 - the parent reports it
            answer = repr(repr(error))
        os.write(write, answer.encode())
        os._exit(0)
    os.waitpid(pid, 0)
    with os.fdopen(read, "rb") as answer:
        os.close(write)
        return ast.literal_eval(answer.read().decode())


def samples(telemetry, name):
    lines = telemetry.prometheus_text().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)}


def test_a_forked_child_counts_from_zero_and_its_parent_continues():
    handle = THINGS.bind(shape="bound")
    work = measured(WORK)(lambda: None)

    def count():
        handle.add(1)
        THINGS.add(1, shape="plain")
        work()

    with setup_telemetry("test", config=config(), catalog=CATALOG) as telemetry:
        for _ in range(3):
            count()  # still in the journal

        def child():
            before = samples(telemetry, "test_things")
            count()
            return (
                before,
                sorted(samples(telemetry, "test_things_total").values()),
                sorted(samples(telemetry, "test_work_seconds_count").values()),
            )

        assert in_child(child) == ({}, [1, 1], [1])
        count()
        assert sorted(samples(telemetry, "test_things_total").values()) == [4, 4]
        assert sorted(samples(telemetry, "test_work_seconds_count").values()) == [4]


def test_a_child_can_be_forked_while_the_journal_is_being_settled():
    settings = config(metrics_exporters=("otlp", "prometheus"), otlp_endpoint="http://127.0.0.1:9", otlp_timeout=0.1)
    with setup_telemetry("test", config=settings, catalog=CATALOG) as telemetry:
        THINGS.add(1)
        with telemetry.pipeline.provider.journal.held():  # as another thread does

            def child():
                THINGS.add(1)
                return list(samples(telemetry, "test_things_total").values())

            assert in_child(child) == [1]
        telemetry.shutdown(0.1)
