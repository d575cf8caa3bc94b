"""One reading for several readers: for how long, and by which process."""

import os
import signal
from itertools import count

import pytest

from otel_ha.sources.recent import LIFETIME, Recent


def test_a_reading_is_shared_during_its_lifetime():
    read = Recent(count().__next__, 3600)
    assert [read(), read()] == [0, 0]


def test_after_its_lifetime_a_reading_is_replaced():
    read = Recent(count().__next__, 0)
    assert [read(), read()] == [0, 1]


def test_a_reader_with_an_interval_of_one_second_gets_a_new_reading_each_time():
    assert LIFETIME < 1


def test_an_exception_passes_through_and_is_not_shared():
    answers = iter([OSError("away"), 1])

    def read() -> int:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    recent = Recent(read, 3600)
    with pytest.raises(OSError, match="away"):
        recent()
    assert recent() == 1


def test_a_forked_child_reads_for_itself():
    recent = Recent(os.getpid, 3600)
    recent()
    pid = os.fork()
    if not pid:
        signal.alarm(20)
        os._exit(0 if recent() == os.getpid() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
