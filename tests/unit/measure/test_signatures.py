"""A measured function keeps its signature and its kind."""

import inspect
import subprocess
import sys
import textwrap

import pytest

from otel_ha import measured
from tests.unit.measure.conftest import WORK


def plain(a: int, b: str = "x", *args: int, c: float, **kwargs: str) -> bool:
    """Say something."""
    return True


async def coroutine(a: int) -> bool:
    """Say something."""
    return True


def generator(a: int):
    """Say something."""
    yield a


async def async_generator(a: int):
    """Say something."""
    yield a


FUNCTIONS = [plain, coroutine, generator, async_generator]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_the_signature_stays(function):
    assert inspect.signature(measured(WORK)(function)) == inspect.signature(function)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", ["__doc__", "__name__", "__qualname__", "__module__", "__annotations__"])
def test_the_metadata_of_a_function_stays(function, name):
    assert getattr(measured(WORK)(function), name) == getattr(function, name)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    "kind",
    [
        inspect.isfunction,
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
        callable,
    ],
    ids=lambda k: k.__name__,
)
def test_the_kind_of_function_stays(function, kind):
    assert kind(measured(WORK)(function)) == kind(function)


def test_mypy_sees_the_signature_that_was_decorated(tmp_path):
    pytest.importorskip("mypy")
    snippet = tmp_path / "snippet.py"
    snippet.write_text(
        textwrap.dedent("""
        from collections.abc import AsyncIterator, Iterator
        from otel_ha import measured
        from otel_ha.vocabulary import ingest

        @measured(ingest.TRANSFORM)
        def plain(a: int, *, b: str = "") -> list[int]:
            return [a]

        @measured(ingest.TRANSFORM)
        async def coroutine(a: int) -> str:
            return ""

        @measured(ingest.TRANSFORM)
        def generator() -> Iterator[int]:
            yield 1

        @measured(ingest.TRANSFORM)
        async def async_generator() -> AsyncIterator[int]:
            yield 1

        class Thing:
            @measured(ingest.TRANSFORM)
            def method(self, a: int) -> int:
                return a

            @classmethod
            @measured(ingest.TRANSFORM)
            def of_class(cls, a: int) -> str:
                return ""

            @measured(ingest.TRANSFORM)
            @staticmethod
            def static(a: int) -> float:
                return 1.0

        reveal_type(plain)
        reveal_type(coroutine)
        reveal_type(generator)
        reveal_type(async_generator)
        reveal_type(Thing().method)
        reveal_type(Thing.of_class)
        reveal_type(Thing.static)
        with measured(ingest.TRANSFORM) as measurement:
            reveal_type(measurement)
        """)
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir", tmp_path, snippet]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    revealed = [line.partition("Revealed type is ")[2] for line in result.stdout.splitlines() if "Revealed" in line]
    assert [line.strip('"').replace("builtins.", "") for line in revealed] == [
        "def (a: int, *, b: str =) -> list[int]",
        "def (a: int) -> typing.Coroutine[Any, Any, str]",
        "def () -> typing.Iterator[int]",
        "def () -> typing.AsyncIterator[int]",
        "def (a: int) -> int",
        "def (a: int) -> str",
        "def (a: int) -> float",
        "otel_ha.declare.measurement.Measurement",
    ]
    assert result.returncode == 0, result.stdout
