"""The earlier API in signal handlers, and in threads that wait for each other."""

import threading

import pytest

from otel_ha import TelemetryError
from otel_ha.compat import PerformanceMonitor, get_prometheus_collector, performance_monitor, process_lock
from otel_ha.compat.process_lock import ProcessLock
from otel_ha.compat.running import Instance
from otel_ha.turn import working


def held_by_another_thread(lock: ProcessLock) -> tuple[threading.Event, threading.Thread]:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock():
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    return done, thread


def test_a_block_goes_on_without_a_lock_that_another_thread_keeps(monkeypatch):
    monkeypatch.setattr(process_lock, "PATIENCE", 0.01)
    lock = ProcessLock()
    done, thread = held_by_another_thread(lock)
    with lock(), lock():
        pass
    done.set()
    thread.join()


def test_a_lock_is_released_after_its_block():
    lock = ProcessLock()
    with pytest.raises(ValueError, match="theirs"), lock():
        raise ValueError("theirs")
    done, thread = held_by_another_thread(lock)
    done.set()
    thread.join()


def test_there_is_one_instance_even_if_a_thread_goes_on_without_the_lock(monkeypatch):
    monkeypatch.setattr(process_lock, "PATIENCE", 0.01)
    making, go_on = threading.Event(), threading.Event()

    def make() -> object:
        if threading.current_thread() is not threading.main_thread():
            making.set()
            go_on.wait()
        return object()

    instance, got = Instance(make), []
    thread = threading.Thread(target=lambda: got.append(instance.get()))
    thread.start()
    making.wait()
    mine = instance.get()
    go_on.set()
    thread.join()
    assert got == [mine] == [instance.get()]


@pytest.mark.usefixtures("telemetry")
def test_two_monitors_read_the_host_at_the_same_time(monkeypatch):
    # A cached_property takes a lock for its class until Python 3.12, which a forked child could find held.
    reading, go_on = threading.Event(), threading.Event()

    def system_info(facts: object) -> dict[str, object]:
        if threading.current_thread() is thread:
            reading.set()
            assert go_on.wait(20)
        return {}

    monkeypatch.setattr(performance_monitor, "system_info", system_info)
    one, other = PerformanceMonitor(), PerformanceMonitor()
    thread = threading.Thread(target=lambda: one.system_info)
    thread.start()
    reading.wait()
    other_thread = threading.Thread(target=lambda: other.system_info)
    other_thread.start()
    other_thread.join(10)
    waits = other_thread.is_alive()
    go_on.set()
    thread.join()
    other_thread.join()
    assert not waits


def test_the_text_lacks_the_scrape_in_a_handler_that_interrupts_one(telemetry):
    collector = get_prometheus_collector()
    assert "\ntarget_info{" in collector.export_metrics()
    with working():
        assert "\ntarget_info{" not in collector.export_metrics()
        with pytest.raises(TimeoutError, match="This thread is busy with another collection"):
            telemetry.prometheus_text()


def test_counts_are_refused_and_not_zero_in_a_handler_that_interrupts_storing(telemetry, monkeypatch):
    monitor = PerformanceMonitor()
    monitor.record_event_processed("mqtt")
    store, refused = telemetry.history.store, []
    take = store.take

    def interrupted(*given: object, **options: object) -> None:
        with pytest.raises(TelemetryError, match="try again later"):
            monitor.calculate_business_metrics()
        refused.append(True)
        take(*given, **options)

    monkeypatch.setattr(store, "take", interrupted)
    telemetry.history.collect()
    assert refused
    monkeypatch.undo()
    assert monitor.calculate_business_metrics().events_by_source == {"mqtt": 1}
