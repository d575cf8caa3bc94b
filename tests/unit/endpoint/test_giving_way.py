"""A look at a service lets its event loop run in between: pieces of work give way to other threads."""

from otel_ha import turn
from otel_ha.serve.summary.summary import summary
from tests.history import run


def test_items_are_returned_in_turn_and_other_threads_run_before_every_third(monkeypatch):
    given = []
    monkeypatch.setattr(turn.time, "sleep", given.append)
    assert list(turn.giving_way("abcdefg", 3)) == list("abcdefg")
    assert given == [0, 0]


def test_a_summary_gives_way_at_each_stored_collection(monkeypatch):
    given = []
    with run() as recorded:
        for _ in range(5):
            recorded.collect(1)
        monkeypatch.setattr(turn.time, "sleep", given.append)
        summary(recorded.history, service=None, groups=())
    assert len(given) >= 5
