"""Fixtures for unmodified programs: environments with the built wheel, and the two commands.

An environment that cannot be made, for want of a network, skips its tests with the reason, or fails them if CI=true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.servers.fixtures import lacking
from tests.servers.locate import Missing
from tests.zero_code.environment import Environment, made
from tests.zero_code.recipes import NEWEST, OLDEST

HERE = Path(__file__).parent
MakeEnvironment = Callable[[str], Environment]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder as those that need real servers, and give them time to install packages.

    The tests of a module that share an environment run on one worker, so that the others do not wait for it.
    """
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.servers)
            item.add_marker(pytest.mark.timeout(600))
            names = set(getattr(item, "fixturenames", ())) & {"environment", "oldest", "make_environment"}
            item.add_marker(pytest.mark.xdist_group(f"{item.path.stem}: {min(names, default='')}"))


@pytest.fixture(scope="session")
def shared_directory(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A directory that all workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    directory = (base.parent if hasattr(request.config, "workerinput") else base) / "zero-code"
    directory.mkdir(exist_ok=True)
    return directory


@pytest.fixture
def make_environment(shared_directory: Path, tmp_path: Path) -> Iterator[MakeEnvironment]:
    """Environments by name, see tests.zero_code.recipes; each is made once in a run of the tests."""
    with ExitStack() as stack:

        def make(name: str) -> Environment:
            directory = made(name, shared_directory)
            if isinstance(directory, Missing):
                lacking(directory.reason)
            environment = Environment(directory, tmp_path)
            stack.callback(environment.stop)
            return environment

        yield make


@pytest.fixture
def environment(make_environment: MakeEnvironment) -> Environment:
    """The environment with the newest version of each instrumented library."""
    return make_environment(NEWEST)


@pytest.fixture
def oldest(make_environment: MakeEnvironment) -> Environment:
    """The environment with the oldest version of each instrumented library and of our dependencies."""
    return make_environment(OLDEST)


@pytest.fixture(params=["opentelemetry-instrument", "otel-ha run"])
def command(request: pytest.FixtureRequest) -> str:
    """Each of the two commands."""
    return str(request.param)
