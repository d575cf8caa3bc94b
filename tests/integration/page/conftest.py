"""Fixtures of the status page's tests: services as processes, and a summary of one."""

from collections.abc import Callable, Iterator

import pytest

from tests.integration.page.running import Service, Summary, serving, stretched

NewService = Callable[..., Service]


@pytest.fixture(scope="session")
def summary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Summary]:
    """A summary of a real service, stretched over 75 minutes. Do not change it."""
    service = Service(tmp_path_factory.mktemp("service"))
    try:
        return stretched(service.start().summary())
    finally:
        service.stop()


@pytest.fixture(scope="module")
def address(summary: Summary) -> Iterator[str]:
    """The URL of a page of this summary."""
    with serving(summary) as url:
        yield url


@pytest.fixture
def new_service(server_directory, keep_server) -> NewService:
    """Makes services that have not started, and ends them after the test."""

    def make(*arguments: object, **variables: str) -> Service:
        service = Service(server_directory("service"), *arguments, **variables)
        keep_server(service)
        return service

    return make
