"""Each kind of measured work, which raises an exception."""

import pytest

from otel_ha import measured
from tests.unit.measure.conftest import WORK, raising

MANY = 20


class OwnError(Exception):
    """An exception of the service."""


OWN_ERROR = (("outcome", "error"), ("type", f"{OwnError.__module__}.OwnError"))


def call(work, error):
    work(raising)(error)


def call_with_computed_attributes(work, error):
    work(raising, shape=lambda _: "round")(error)


def await_coroutine(work, error):
    async def fail():
        raise error

    work(fail)().send(None)


def read_generator(work, error):
    def fail():
        yield 1
        raise error

    list(work(fail)())


def read_async_generator(work, error):
    async def fail():
        yield 1
        raise error

    async def read():
        async for _ in work(fail)():
            pass

    read().send(None)


def leave_block(work, error):
    with work(None):
        raise error


KINDS = [call, await_coroutine, read_generator, read_async_generator, leave_block]
every_kind = pytest.mark.parametrize("kind", KINDS)


def decorating(operation=WORK, /, **attributes):
    """Return the function that measures another one, or a block."""

    def work(function, **more):
        made = measured(operation, **attributes, **more)
        return made if function is None else made(function)

    return work


def end(kind, error, work=None):
    """Do work that ends by an exception, and return the exception that comes out."""
    try:
        kind(work or decorating(), error)
    except BaseException as caught:  # noqa: BLE001 - compared with the one that went in
        return caught
    return None
