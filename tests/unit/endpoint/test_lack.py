"""The log of an endpoint that cannot accept connections, as for lack of descriptors."""

import errno
from types import SimpleNamespace

import pytest

from otel_ha.serve import server
from otel_ha.serve.server import Lack

ERROR = OSError(errno.EMFILE, "Too many open files")
BEGAN = (
    "the endpoint cannot accept connections at port 9464: Too many open files; trying again, and logging when it works "
    "(find the files that the program leaves open, or raise `ulimit -n`)"
)
ENDED = "the endpoint accepts connections at port 9464 again"


@pytest.fixture
def now(monkeypatch):
    """The time, to be set."""
    seconds = [1000.0]
    monkeypatch.setattr(server, "time", SimpleNamespace(monotonic=lambda: seconds[0]))
    return seconds


def test_a_lack_is_one_line_when_it_begins_and_one_when_it_ends(caplog):
    lack = Lack(9464)
    lack.ended()
    lack.began(ERROR)
    lack.began(ERROR)
    lack.ended()
    lack.ended()
    assert caplog.messages == [BEGAN, ENDED]


def test_a_lack_that_comes_and_goes_is_told_once_a_minute(now, caplog):
    lack = Lack(9464)
    for _ in range(600):
        lack.began(ERROR)
        lack.ended()
        now[0] += 0.2
    assert caplog.messages == [BEGAN, ENDED] * 2


def test_a_handler_that_raises_does_not_end_the_endpoint(monkeypatch):
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(server._logger, "warning", fail)
    lack = Lack(9464)
    lack.began(ERROR)
    lack.ended()
