"""Metrics whose names callers register at run time."""

import itertools
import re
import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from otel_ha import TelemetryConfig, setup_telemetry
from otel_ha.compat import HAIngestorCollector, MetricsCollector, MetricsRegistry, get_metrics_collector
from otel_ha.compat.built_in import BUILT_IN
from tests import earlier
from tests.earlier import problems
from tests.recorded import in_threads, switching_often
from tests.unit.compat.conftest import problem_counts


@pytest.fixture
def registry(telemetry):
    return MetricsRegistry()


def scraped(telemetry, name: str) -> dict[frozenset[tuple[str, str]], float]:
    """The samples of a name in a scrape, by their labels."""
    found = {}
    for labels, value in re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", telemetry.prometheus_text(), re.MULTILINE):
        pairs = re.findall(r'(\w+)="([^"]*)"', labels)
        found[frozenset((k, v) for k, v in pairs if v)] = float(value)
    return found


def reasons(telemetry) -> dict[str, float]:
    found: dict[str, float] = {}
    for labels, number in problem_counts(telemetry).items():
        reason = dict(labels)["otel_ha_problem_reason"]
        found[reason] = found.get(reason, 0) + number
    return found


class TestTheScrape:
    def test_a_counter_has_its_own_name_without_another_total(self, telemetry, registry):
        registry.register_counter("pool_acquired_total", "Connections taken from the pool")
        registry.increment_counter("pool_acquired_total", 2, {"pool": "db"})
        registry.increment_counter("pool_acquired_total", labels={"pool": "db"})
        assert scraped(telemetry, "pool_acquired_total") == {frozenset({("pool", "db")}): 3}
        text = telemetry.prometheus_text()
        assert "# HELP pool_acquired_total Connections taken from the pool" in text
        assert "# TYPE pool_acquired_total counter" in text
        assert "total_total" not in text

    def test_a_counter_without_total_has_its_own_name(self, telemetry, registry):
        registry.register_counter("test_counter", "Test")
        registry.increment_counter("test_counter", 10.0)
        assert scraped(telemetry, "test_counter") == {frozenset(): 10}
        assert "test_counter_total" not in telemetry.prometheus_text()

    def test_a_gauge_has_its_own_name_without_another_unit(self, telemetry, registry):
        for name in ("pool_size_bytes", "cache_hit_ratio", "temperature"):
            registry.register_gauge(name, name)
            registry.set_gauge(name, 5)
            registry.set_gauge(name, -4)
            assert scraped(telemetry, name) == {frozenset(): -4}

    def test_a_histogram_has_its_own_name_and_buckets(self, telemetry, registry):
        registry.register_histogram("pool_wait_seconds", "Wait", [0.25, 1.5])
        for seconds in (0.1, 1.0, 9.0):
            registry.observe_histogram("pool_wait_seconds", seconds, {"pool": "db"})
        found = {dict(k)["le"]: n for k, n in scraped(telemetry, "pool_wait_seconds_bucket").items()}
        assert found == {"0.25": 1, "1.5": 2, "+Inf": 3}
        assert scraped(telemetry, "pool_wait_seconds_sum") == {frozenset({("pool", "db")}): 10.1}

    @pytest.mark.parametrize("label", ["le", "quantile", "job", "instance", "via", "otel_scope_name"])
    def test_a_reserved_label_gets_a_prefix(self, telemetry, registry, label):
        registry.register_gauge("things", "Things")
        registry.set_gauge("things", 1, {label: "a"})
        assert scraped(telemetry, "things") == {frozenset({(f"exported_{label}", "a")}): 1}

    @pytest.mark.parametrize(
        ("label", "expected"), [("a-b", "a_b"), ("__name__", "exported_name_"), ("1st", "exported_1st"), ("ä", None)]
    )
    def test_a_label_that_prometheus_does_not_accept_is_spelled_otherwise(self, telemetry, registry, label, expected):
        registry.register_gauge("things", "Things")
        registry.set_gauge("things", 1, {label: "x"})
        assert scraped(telemetry, "things") == {frozenset({(expected, "x")} if expected else ()): 1}
        list(text_string_to_metric_families(registry.export_prometheus()))

    def test_a_label_may_be_a_number_and_none_leaves_it_out(self, telemetry, registry):
        registry.register_gauge("things", "Things")
        registry.set_gauge("things", 1, {"port": 80, "user": None})
        assert scraped(telemetry, "things") == {frozenset({("port", "80")}): 1}

    def test_a_name_of_another_metric_is_only_in_the_text(self, telemetry, registry):
        for name in ("homeassistant_errors_total", "homeassistant_event_process_duration_seconds_count", "target_info"):
            registry.register_counter(name, "Mine")
            registry.increment_counter(name)
            assert f"# TYPE {name} counter\n{name} 1.0\n" in registry.export_prometheus()
        text = telemetry.prometheus_text()
        assert "Mine" not in text
        families = [family.name for family in text_string_to_metric_families(text)]
        assert len(families) == len(set(families))

    @pytest.mark.parametrize(
        "name", ["HA_INGESTOR_EVENTS_MQTT_TOTAL", "ha_ingestor:errors_total", "Ha_Ingestor_queue:depth", "TARGET_INFO"]
    )
    def test_an_earlier_name_in_another_spelling_is_not_in_the_scrape(self, telemetry, registry, name):
        registry.register_counter(name, "Mine")
        registry.increment_counter(name)
        assert "Mine" not in telemetry.prometheus_text()
        assert f"{name} 1.0" in registry.export_prometheus()

    @pytest.mark.parametrize(("first", "second"), [("Pool_Size", "pool_size"), ("a:b", "a_b"), ("_lead", "lead_")])
    def test_two_names_of_one_spelling_do_not_merge(self, telemetry, registry, first, second):
        for number, name in enumerate((first, second)):
            registry.register_gauge(name, "Size")
            registry.set_gauge(name, number)
        one_spelling = first != "_lead"
        assert reasons(telemetry) == ({"name_taken": 1} if one_spelling else {})
        spelled = {"Pool_Size": "pool_size", "a:b": "a_b", "_lead": "exported_lead"}[first]
        assert scraped(telemetry, spelled) == {frozenset(): 0}
        assert f"{second} 1.0" in registry.export_prometheus()

    @pytest.mark.parametrize("kind", ["gauge", "histogram"])
    @pytest.mark.parametrize("counter_first", [True, False])
    def test_a_counter_has_its_family_for_itself(self, telemetry, registry, kind, counter_first):
        verbs = {"counter": "increment_counter", "gauge": "set_gauge", "histogram": "observe_histogram"}
        kinds = [("counter", "x_total"), (kind, "x")]
        for each, name in kinds if counter_first else reversed(kinds):
            getattr(registry, f"register_{each}")(name, "X")
            getattr(registry, verbs[each])(name, 1)
        assert reasons(telemetry) == {"name_taken": 1}
        families = [family.name for family in text_string_to_metric_families(telemetry.prometheus_text())]
        assert families.count("x") == 1

    def test_the_family_of_a_declared_counter_is_taken(self, telemetry, registry):
        registry.register_gauge("homeassistant_errors", "Mine")
        registry.set_gauge("homeassistant_errors", 1)
        assert "Mine" not in telemetry.prometheus_text()

    def test_two_registries_add_up_in_one_series(self, telemetry):
        for _ in range(2):
            registry = MetricsRegistry()
            registry.register_counter("things_total", "Things")
            registry.increment_counter("things_total")
        assert scraped(telemetry, "things_total") == {frozenset(): 2}
        assert "things_total 1.0" in registry.export_prometheus()

    def test_a_name_that_is_of_two_kinds_stays_the_first(self, telemetry, registry):
        registry.register_counter("things", "Things")
        registry.register_gauge("things", "Things")
        registry.increment_counter("things")
        other = MetricsRegistry()
        other.register_gauge("things", "Things")
        other.set_gauge("things", 9)
        assert scraped(telemetry, "things") == {frozenset(): 1}
        assert reasons(telemetry) == {"name_taken": 2}

    @pytest.mark.parametrize("name", [*BUILT_IN, "ha_ingestor_queue_depth", "ha_ingestor_errors_total"])
    def test_an_earlier_name_is_never_in_the_scrape(self, telemetry, registry, name):
        registry.register_counter(name, "Mine")
        registry.increment_counter(name)
        assert name not in telemetry.prometheus_text()
        assert problems(telemetry) == 0


class TestTelemetrysLife:
    def test_values_from_before_and_after_telemetry_are_in_the_text_only(self):
        with earlier.telemetry() as first:
            registry = MetricsRegistry()
            first.shutdown()
            registry.register_counter("things_total", "Things")
            registry.increment_counter("things_total", 1)
            with setup_telemetry("again", config=first.config) as telemetry:
                registry.increment_counter("things_total", 2)
                assert scraped(telemetry, "things_total") == {frozenset(): 2}
            registry.increment_counter("things_total", 4)
            assert registry.get_metric("things_total").numbers == {(): 7}

    def test_disabled_telemetry_changes_nothing_in_the_text(self):
        off = TelemetryConfig(environ={}, enabled=False)
        with earlier.untouched(), setup_telemetry("off", config=off):
            registry = MetricsRegistry()
            registry.register_gauge("things", "Things")
            registry.set_gauge("things", 3)
            assert "things 3.0" in registry.export_prometheus()

    def test_clearing_leaves_the_series_of_telemetry(self, telemetry, registry):
        registry.register_counter("things_total", "Things")
        registry.increment_counter("things_total")
        registry.clear_all_metrics()
        assert registry.get_metric("things_total").values == []
        registry.increment_counter("things_total")
        assert "things_total 1.0" in registry.export_prometheus()
        assert scraped(telemetry, "things_total") == {frozenset(): 2}


class TestLimits:
    def test_names_are_limited(self, telemetry, registry):
        for number in range(600):
            registry.register_counter(f"name_{number}_total", "x")
            registry.increment_counter(f"name_{number}_total")
        assert len(registry.get_metric_names()) == 500
        assert reasons(telemetry) == {"names_exceeded": 100, "undeclared": 100}

    def test_names_of_all_registries_are_limited_in_the_scrape(self, telemetry):
        for number in range(600):
            registry = MetricsRegistry()
            registry.register_counter(f"name_{number}_total", "x")
            registry.increment_counter(f"name_{number}_total")
        assert telemetry.prometheus_text().count("# TYPE name_") == 500

    def test_names_that_are_not_registered_are_one_series_of_problems(self, telemetry, registry):
        for number in range(50):
            registry.increment_counter(f"name_{number}_total")
        assert [(dict(k)["otel_ha_problem_reason"], n) for k, n in problem_counts(telemetry).items()] == [
            ("undeclared", 50)
        ]

    def test_clients_leave_names_to_the_service(self, telemetry):
        collector = MetricsCollector()
        for number in range(600):
            collector.record_client_connection_status(f"client-{number}", connected=True)
        collector.record_client_connection_status("client-3", connected=False)
        collector.registry.register_counter("own_total", "Mine")
        collector.registry.increment_counter("own_total")
        assert scraped(telemetry, "own_total") == {frozenset(): 1}
        assert len(collector.registry.get_metric_names()) == len(BUILT_IN) + 16 + 1
        assert "ha_ingestor_client_3_connected 0.0" in collector.export_prometheus()

    @pytest.mark.parametrize("given", [itertools.count(), range(2_000_000), iter(range(101))])
    def test_buckets_are_limited(self, telemetry, registry, given):
        registry.register_histogram("times", "Times", given)
        assert registry.get_metric("times").buckets == list(range(100))
        assert reasons(telemetry) == {"invalid_buckets": 1}

    def test_a_hundred_buckets_are_fine(self, telemetry, registry):
        registry.register_histogram("times", "Times", [*range(100)])
        assert len(registry.get_metric("times").buckets) == 100
        assert reasons(telemetry) == {}

    def test_series_beyond_the_limit_add_up_in_one(self, telemetry, registry):
        registry.register_counter("things_total", "Things")
        for number in range(1_100):
            registry.increment_counter("things_total", labels={"number": str(number)})
        found = scraped(telemetry, "things_total")
        assert (len(found), sum(found.values())) == (1_001, 1_100)
        assert found[frozenset({("otel_metric_overflow", "true")})] == 100
        assert 'things_total{otel_metric_overflow="true"} 100.0' in registry.export_prometheus()

    def test_series_of_a_gauge_beyond_the_limit_are_ignored(self, telemetry, registry):
        registry.register_gauge("things", "Things")
        for number in range(1_100):
            registry.set_gauge("things", number, {"number": str(number)})
        assert len(scraped(telemetry, "things")) == 1_000
        assert reasons(telemetry) == {"series_exceeded": 100}

    def test_the_values_that_are_kept_are_limited_and_add_up_to_the_total(self, registry):
        registry.register_counter("things_total", "Things")
        for _ in range(5_000):
            registry.increment_counter("things_total", 2)
        values = registry.get_metric("things_total").values
        assert len(values) == 100
        assert sum(value.value for value in values) == 10_000


class TestWrongCalls:
    @pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), "1", None, [], 10**400])
    def test_an_amount_that_cannot_be_added_is_ignored_and_counted(self, telemetry, registry, wrong):
        registry.register_counter("things_total", "Things")
        registry.register_histogram("times", "Times")
        registry.increment_counter("things_total", wrong)
        registry.observe_histogram("times", wrong)
        assert reasons(telemetry) == {"invalid_amount": 2}
        assert scraped(telemetry, "things_total") == {}

    def test_a_name_that_is_not_registered_is_ignored_and_logged_once(self, telemetry, registry, caplog):
        for _ in range(3):
            registry.increment_counter("things_total")
        (record,) = caplog.records
        assert record.message == (
            "MetricsRegistry: 'things_total' is not registered; ignored; "
            "call register_counter() once, before recording "
            "(later ones are counted, not logged)"
        )
        assert reasons(telemetry) == {"undeclared": 3}

    def test_a_metric_of_another_kind_is_left_alone(self, telemetry, registry):
        registry.register_gauge("things", "Things")
        registry.increment_counter("things")
        assert registry.get_metric("things").values == []
        assert reasons(telemetry) == {"undeclared": 1}

    @pytest.mark.parametrize("wrong", [None, "", 5, "x" * 300])
    def test_a_name_that_is_not_usable_text_is_ignored(self, telemetry, registry, wrong):
        registry.register_gauge(wrong, "x")
        assert registry.get_metric_names() == []
        assert reasons(telemetry) == {"invalid_name": 1}

    @pytest.mark.parametrize(
        ("kind", "wrong", "allowed"),
        [("gauge", 1e300, "-2**63 to 2**63"), ("gauge", -1e300, "-2**63 to 2**63"), ("counter", 1e300, "0 to 2**63")],
    )
    def test_a_number_that_is_too_large_is_reported_with_the_limit(self, registry, caplog, kind, wrong, allowed):
        getattr(registry, f"register_{kind}")("things", "Things")
        getattr(registry, {"gauge": "set_gauge", "counter": "increment_counter"}[kind])("things", wrong)
        assert f"allowed: a number from {allowed}; ignored" in caplog.text

    @pytest.mark.parametrize("part", ["bucket", "sum", "count"])
    @pytest.mark.parametrize("histogram_first", [True, False])
    def test_a_name_of_a_histograms_samples_is_taken(self, telemetry, registry, part, histogram_first):
        def histogram() -> None:
            registry.register_histogram("svc_h", "H")
            registry.observe_histogram("svc_h", 1)

        if histogram_first:
            histogram()
        registry.register_gauge(f"svc_h_{part}", "G")
        histogram()
        assert len(registry.get_metric_names()) == 1
        assert reasons(telemetry)["name_taken"] == 1
        lines = [line.rpartition(" ")[0] for line in registry.export_prometheus().splitlines()]
        assert len(lines) == len(set(lines))

    def test_a_counter_needs_a_name_besides_total(self, telemetry, registry):
        registry.register_counter("_total", "x")
        assert registry.get_metric_names() == []
        assert reasons(telemetry) == {"invalid_name": 1}

    def test_a_name_with_other_characters_is_spelled_otherwise_everywhere(self, telemetry, registry):
        registry.register_gauge("health tracker/cpu-load", "Load")
        registry.set_gauge("health tracker/cpu-load", 2)
        assert registry.get_metric("health tracker/cpu-load").values[0].value == 2
        assert scraped(telemetry, "health_tracker_cpu_load") == {frozenset(): 2}
        assert "health_tracker_cpu_load 2.0" in registry.export_prometheus()

    @pytest.mark.parametrize("wrong", [[2, 1], ["a"], 5, [float("nan")], [1, 1]])
    def test_wrong_buckets_are_reported_and_replaced(self, telemetry, registry, wrong):
        registry.register_histogram("times", "Times", wrong)
        registry.observe_histogram("times", 1.5)
        assert reasons(telemetry) == {"invalid_buckets": 1}
        assert scraped(telemetry, "times_count") == {frozenset(): 1}

    def test_labels_that_are_no_dict_are_left_out(self, telemetry, registry):
        registry.register_gauge("things", "Things")
        registry.set_gauge("things", 1, ["a"])
        assert scraped(telemetry, "things") == {frozenset(): 1}
        assert reasons(telemetry) == {"invalid_labels": 1}


class TestTheText:
    def test_it_has_one_line_for_each_series(self, registry):
        registry.register_counter("test_counter", "Test counter")
        registry.increment_counter("test_counter", value=4.0)
        registry.increment_counter("test_counter", value=6.0)
        text = registry.export_prometheus()
        assert "# HELP test_counter Test counter\n# TYPE test_counter counter\ntest_counter 10.0\n" in text
        assert "ha_ingestor_uptime_seconds" in text

    def test_special_characters_are_escaped(self, registry):
        registry.register_gauge("things", "back\\slash\nline")
        registry.set_gauge("things", 1, {"path": 'a\\b"c\nd'})
        family = {each.name: each for each in text_string_to_metric_families(registry.export_prometheus())}["things"]
        assert family.documentation == "back\\slash\nline"
        assert family.samples[0].labels == {"path": 'a\\b"c\nd'}

    def test_the_summary_has_the_last_value(self, registry):
        registry.register_counter("things_total", "Things")
        registry.increment_counter("things_total", 5.0)
        summary = registry.get_metrics_summary()
        assert summary["uptime_seconds"] >= 0
        assert summary["total_metrics"] == 1
        found = summary["metrics"]["things_total"]
        assert (found["type"], found["help"], found["value_count"], found["latest_value"]) == (
            "counter",
            "Things",
            1,
            5.0,
        )

    def test_threads_lose_nothing_in_the_scrape(self, telemetry, registry):
        registry.register_counter("things_total", "Things")
        with switching_often():
            in_threads(8, lambda _: [registry.increment_counter("things_total") for _ in range(200)])
        assert scraped(telemetry, "things_total") == {frozenset(): 1600}

    def test_threads_lose_nothing_in_the_text(self, telemetry, registry):
        registry.register_counter("things_total", "Things")
        telemetry.shutdown()  # its locks would let one thread at a time get here
        with switching_often():
            in_threads(8, lambda _: [registry.increment_counter("things_total") for _ in range(1_000)])
        metric = registry.get_metric("things_total")
        assert (metric.numbers, sum(value.value for value in metric.values)) == ({(): 8_000}, 8_000)

    def test_threads_that_record_leave_both_texts_readable(self, telemetry):
        collector, registry = HAIngestorCollector(), get_metrics_collector().registry
        is_over = threading.Event()

        def record() -> None:
            for number in itertools.count():
                if is_over.is_set():
                    return
                registry.increment_counter("ha_ingestor_filters_cache_hits_total", labels={"n": str(number % 900)})
                if number % 900 == 0:
                    registry.clear_all_metrics()

        thread = threading.Thread(target=record)
        with switching_often():
            thread.start()
            try:
                for _ in range(10):
                    list(text_string_to_metric_families(collector.export_metrics()))
                    list(text_string_to_metric_families(registry.export_prometheus()))
            finally:
                is_over.set()
                thread.join()

    def test_recording_does_not_wait_for_a_collection(self, telemetry, registry):
        registry.register_gauge("things", "Things")
        thread = threading.Thread(target=registry.set_gauge, args=("things", 3))

        def collect():
            thread.start()
            thread.join(5)
            assert not thread.is_alive()

        telemetry.pipeline.gate.collect(object(), collect)
        assert scraped(telemetry, "things") == {frozenset(): 3}
