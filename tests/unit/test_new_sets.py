"""The benchmark of new attribute sets: both sides record the same."""

from prometheus_client.parser import text_string_to_metric_families

from benchmarks import new_sets, surroundings
from benchmarks.targets import TARGETS

SETS = 3


def recorded(side):
    """Return {(name, device): value} of the samples that a side exports after a few new sets, without times."""
    for record in side.record.values():
        for number in range(SETS):
            record(f"device-{number}")
    text = side.collect()
    side.end()
    samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
    names = ("acme_read_total", "acme_received_total", "acme_in_flight", "acme_work_duration_seconds_count")
    return {(each.name, each.labels.get("acme_device")): each.value for each in samples if each.name in names}


def test_both_sides_of_the_benchmark_record_the_same_and_fold_nothing():
    with surroundings.receiver() as receiver:
        ours, theirs = recorded(new_sets.ours(receiver)), recorded(new_sets.opentelemetry(receiver))
    assert ours == theirs
    assert len(ours) == 2 * SETS + 2


def test_a_burst_takes_some_time_for_each_row():
    with surroundings.receiver() as receiver:
        assert all(new_sets.burst(new_sets.ours(receiver), row, sets=2) > 0 for row in new_sets.ROWS)


def test_each_target_of_new_sets_is_about_something_that_is_measured():
    cells = {(target.row, target.column) for target in TARGETS if target.table == "new_sets"}
    assert cells == {(row, new_sets.RATIO) for row in new_sets.ROWS}
