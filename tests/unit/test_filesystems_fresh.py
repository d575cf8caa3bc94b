"""Readings that are reused for a while."""

import os
import signal
from itertools import count

import pytest

from otel_ha.sources.filesystems import FRESH, fresh


def test_a_reading_serves_while_it_is_fresh():
    numbers = count()
    read = fresh(lambda: next(numbers), 3600)
    assert [read(), read()] == [0, 0]


def test_after_that_it_is_read_again():
    numbers = count()
    read = fresh(lambda: next(numbers), 0)
    assert [read(), read()] == [0, 1]


def test_reading_every_second_gets_a_new_value_each_time():
    assert FRESH < 1


def test_an_error_is_raised_again_and_not_kept():
    answers = iter([OSError("away"), 7])

    def ask() -> int:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    read = fresh(ask, 3600)
    with pytest.raises(OSError, match="away"):
        read()
    assert read() == 7


def test_a_forked_child_reads_for_itself():
    read = fresh(os.getpid, 3600)
    read()
    pid = os.fork()
    if not pid:
        signal.alarm(20)
        os._exit(0 if read() == os.getpid() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
