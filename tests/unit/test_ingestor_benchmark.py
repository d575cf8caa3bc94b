"""The benchmark of the ingestor: its rounds, and the tables that follow from them."""

import json
import math

import pytest

from benchmarks import children, ingestor, pace
from benchmarks.ingestor import DEFAULT, RATIO, SCALED, SECOND, SHARE, WHOLE, Plan, ratio_of_medians
from benchmarks.service import CLIENT, MODES, NONE, OTEL, OURS
from benchmarks.story import story
from benchmarks.surroundings import receiver
from benchmarks.targets import BUSY, TARGETS

CPU = {OURS: 0.12, OTEL: 0.2, CLIENT: 0.14, NONE: 0.1}


def run(cpu, wrapper=0.2):
    return {"cpu": cpu, "rate": 1000.0, "p99": 0.002, "resident": 4e7, "wrapper": wrapper}


def rounds_of(*cpus):
    return [{mode: run(cpu) for mode, cpu in each.items()} for each in cpus]


def test_every_mode_is_run_at_every_rate_and_both_intervals():
    assert {(plan.intervals, plan.rate) for plan in WHOLE if plan.modes == MODES} == {
        (intervals, rate) for intervals in (SECOND, DEFAULT) for rate in (10, 200, 1000, 5000)
    }


def test_each_target_of_telemetry_is_about_something_that_is_run():
    *_, table = ingestor.tables({(plan.intervals, plan.rate): rounds_of(CPU) for plan in WHOLE})
    chosen = [target for target in TARGETS if target.table == table.key]
    assert len(chosen) == 3
    assert [target.claim for target in chosen if target.cell({table.key: table}) is None] == []


@pytest.mark.parametrize("intervals", [SECOND, DEFAULT])
def test_each_run_is_scraped_and_pushes_as_often_whatever_the_phase(intervals):
    assert intervals.window % intervals.scrape == intervals.window % intervals.push == 0


def test_each_round_starts_with_another_mode(monkeypatch):
    order = []
    monkeypatch.setattr(pace, "wrapper", lambda: order.append("pace") or 0.25)
    monkeypatch.setattr(ingestor, "one_run", lambda _, mode, *__: order.append(mode) or {"cpu": 0.1})
    ingestor.one_round("http://127.0.0.1:4318", Plan(SECOND, 10, 2), 0)
    found = ingestor.one_round("http://127.0.0.1:4318", Plan(SECOND, 10, 2), 1)
    assert order == ["pace", OURS, OTEL, CLIENT, NONE, OTEL, CLIENT, NONE, "pace", OURS]
    assert {mode: runs.get("wrapper") for mode, runs in found.items()} == dict.fromkeys(MODES) | {OURS: 0.25}


def test_the_tables_have_the_rows_that_were_run():
    second, telemetry = ingestor.tables({(SECOND, 1000): rounds_of(CPU)})
    assert list(second.rows) == [f"1,000 events/s, {mode}" for mode in MODES]
    row = second.rows["1,000 events/s, otel-ha"]
    assert {column: cell.median for column, cell in row.items()} == {
        "CPU, % of a core": pytest.approx(12),
        "events/s processed": 1000,
        "p99 from intake to sink, ms": pytest.approx(2),
        "resident, MB": 40,
    }
    assert list(telemetry.rows) == ["1,000 events/s, every second"]


def test_the_rows_at_one_second_come_before_those_at_default_intervals():
    rounds = {(DEFAULT, 10): rounds_of(CPU), (SECOND, 200): rounds_of(CPU), (SECOND, 10): rounds_of(CPU)}
    *by_mode, telemetry = ingestor.tables(rounds)
    assert [table.key for table in by_mode] == ["ingestor_second", "ingestor_default"]
    assert list(telemetry.rows) == [
        "10 events/s, every second",
        "200 events/s, every second",
        "10 events/s, default intervals",
    ]


def test_telemetry_is_what_a_run_uses_more_than_the_one_without_in_the_same_round():
    *_, table = ingestor.tables({(SECOND, 1000): rounds_of(CPU, {mode: cpu + 0.05 for mode, cpu in CPU.items()})})
    (row,) = table.rows.values()
    found = {column: (cell.low, cell.median, cell.high) for column, cell in row.items()}
    assert found[SHARE[OURS]] == pytest.approx((2, 2, 2))
    assert found[SHARE[OTEL]] == pytest.approx((10, 10, 10))
    assert found[RATIO[OTEL]] == pytest.approx((0.2, 0.2, 0.2))
    assert found[RATIO[CLIENT]] == pytest.approx((0.5, 0.5, 0.5))
    # The wrapper took 0.2 µs.
    assert found[SCALED] == pytest.approx((3, 3, 3))


def test_more_rounds_of_some_modes_count_for_these_only():
    more = {OURS: 0.14, NONE: 0.1}
    *_, table = ingestor.tables({(DEFAULT, 200): rounds_of(CPU, more)})
    (row,) = table.rows.values()
    assert (row[SHARE[OURS]].median, row[SHARE[OURS]].count) == (pytest.approx(3), 2)
    assert (row[SHARE[OTEL]].count, row[RATIO[OTEL]].median) == (1, pytest.approx(0.2))


def test_a_ratio_is_that_of_the_medians_with_the_spread_of_random_draws():
    pairs = [(1.0, 4.0), (2.0, 8.0), (30.0, 2.0)]
    found = ratio_of_medians(pairs)
    assert (found.median, found.count) == (0.5, 3)
    assert found.low <= found.median <= found.high
    assert ratio_of_medians(pairs) == found


def test_a_ratio_to_a_difference_that_is_lost_in_the_noise_has_no_limit():
    assert ratio_of_medians([(1.0, -1.0), (1.0, -2.0), (1.0, 3.0)]).median == math.inf
    # Some of the random draws have no limit: the spread is open.
    assert ratio_of_medians([(1.0, 1.0), (1.0, 2.0), (1.0, -3.0)]).high == math.inf


def test_a_ratio_of_a_difference_that_is_lost_in_the_noise_is_zero():
    assert ratio_of_medians([(-1.0, 1.0)]).median == 0


def test_two_differences_that_are_lost_in_the_noise_have_no_ratio():
    assert ratio_of_medians([(-1.0, -1.0)]) is None


def test_more_than_a_peer_that_is_lost_in_the_noise_is_not_met():
    tables = ingestor.tables({(SECOND, 1000): rounds_of(CPU | {CLIENT: 0.09})})
    by_key = {table.key: table for table in tables}
    (target,) = (each for each in TARGETS if (each.row, each.column) == (BUSY, RATIO[CLIENT]))
    assert target.cells(by_key)[-2:] == ["∞", "not met"]
    assert "% of that of prometheus_client" not in story(tables)


def test_a_table_with_an_open_spread_can_be_stored():
    *_, table = ingestor.tables({(SECOND, 1000): rounds_of(CPU, CPU, CPU | {OTEL: 0.05})})
    assert type(table).from_json(json.loads(json.dumps(table.to_json()))) == table


def test_the_devices_are_those_that_the_host_has():
    found = ingestor.devices()
    assert found.keys() == {"disks", "interfaces", "filesystems"}
    assert all(len(each) == 3 for each in found["filesystems"])


def test_the_ingestor_works_at_a_rate_and_says_what_it_used():
    with receiver() as address:
        intervals = ingestor.Intervals("often", 0.5, 0.2, 0.5)
        found = ingestor.one_run(address, OTEL, 100, intervals)
    assert found.keys() == {"cpu", "rate", "p99", "resident"}
    assert min(found.values()) > 0


def test_the_pace_is_the_time_of_the_wrapper(monkeypatch):
    monkeypatch.setattr(children, "run", lambda module: {"pace": 0.31}[module])
    assert pace.wrapper() == 0.31


def test_a_process_that_says_nothing_is_an_error():
    process = children.start("pace")
    process.kill()
    with process, pytest.raises(RuntimeError, match=r"benchmarks\.pace.* said nothing more"):
        children.heard(process)
