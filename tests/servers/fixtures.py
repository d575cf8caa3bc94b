"""pytest fixtures for real servers, each started on request and stopped at the end of the test.

The fixtures named make_… give servers that have not started yet, for tests that need one late, or two.
A missing server skips its tests with the reason, or fails them if CI=true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol, TypeVar

import pytest

from tests.servers.alertmanager import NOBODY, Alertmanager
from tests.servers.browser import launched
from tests.servers.influxdb import InfluxDB
from tests.servers.jaeger import Jaeger
from tests.servers.locate import Missing, find, in_ci
from tests.servers.mosquitto import Mosquitto
from tests.servers.otelcol import AGENT, Collector
from tests.servers.prometheus import Prometheus, Scrape
from tests.servers.running import Server
from tests.servers.victoria_logs import VictoriaLogs
from tests.servers.victoria_metrics import VictoriaMetrics
from tests.servers.vmalert import VMAlert

if TYPE_CHECKING:
    from playwright.sync_api import Browser

AnyServer = TypeVar("AnyServer", bound=Server)
Keep = Callable[[Server], None]
NewDirectory = Callable[[str], Path]


class MakeCollector(Protocol):
    """Makes a Collector that has not started: `make_otelcol(upstream=…).start()`."""

    def __call__(
        self, *, upstream: str | None = None, variables: Mapping[str, str] | None = None, config: Path = AGENT
    ) -> Collector:
        """Without an upstream, it serves its Prometheus exporter only."""


class MakePrometheus(Protocol):
    """Makes a Prometheus that has not started: `make_prometheus([Scrape(…)]).start()`."""

    def __call__(
        self, scrapes: Sequence[Scrape] = (), *, rules: Sequence[Path] | None = None, alertmanager: str | None = None
    ) -> Prometheus:
        """More targets can be given later, by scrape(). `rules` replaces the repository's rule files."""


class MakeVictoriaMetrics(Protocol):
    """Makes a VictoriaMetrics that has not started: `make_victoria_metrics([Scrape(…)]).start()`."""

    def __call__(self, scrapes: Sequence[Scrape] = (), *, dashboards: Path | None = None) -> VictoriaMetrics:
        """More targets can be given later, by scrape()."""


class MakeAlertmanager(Protocol):
    """Makes an Alertmanager that has not started: `make_alertmanager(config=text).start()`."""

    def __call__(self, config: str = NOBODY) -> Alertmanager:
        """Without a configuration it notifies nobody."""


class MakeVMAlert(Protocol):
    """Makes a vmalert that has not started: `make_vmalert(store=url, rules=[path], notifier=url).start()`."""

    def __call__(self, *, store: str, rules: Sequence[Path], notifier: str | None = None) -> VMAlert:
        """Without a notifier, alerts go nowhere but into the store."""


def needed(program: str) -> Path:
    """The program; if it is missing, the test is skipped, or fails if CI=true."""
    found = find(program)
    return lacking(found.reason) if isinstance(found, Missing) else found


def browser_program() -> Path:
    """Chromium, if the package that drives it is there as well."""
    program = needed("chromium")
    if find_spec("playwright") is None:
        lacking("playwright: the package is not installed; the extra `browser` has it: pip install -e '.[browser]'")
    return program


def lacking(reason: str) -> NoReturn:
    if in_ci():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture
def server_directory(tmp_path_factory: pytest.TempPathFactory) -> NewDirectory:
    """A fresh directory for each server of a test, apart from the test's own tmp_path."""
    return tmp_path_factory.mktemp


@pytest.fixture
def keep_server() -> Iterator[Keep]:
    """Stops the servers handed to it at the end of the test, the last one first."""
    with ExitStack() as servers:

        def keep(server: Server) -> None:
            servers.callback(server.stop)

        yield keep


@pytest.fixture
def make_otelcol(server_directory: NewDirectory, keep_server: Keep) -> MakeCollector:
    """Collectors with the repository's agent.yaml or another of its files, not started."""
    program = needed("otelcol")

    def make(
        *, upstream: str | None = None, variables: Mapping[str, str] | None = None, config: Path = AGENT
    ) -> Collector:
        directory = server_directory("otelcol")
        collector = Collector(program, directory, upstream=upstream, variables=variables, config=config)
        keep_server(collector)
        return collector

    return make


@pytest.fixture
def otelcol(make_otelcol: MakeCollector) -> Collector:
    """A running Collector with no upstream."""
    return make_otelcol().start()


@pytest.fixture
def make_prometheus(server_directory: NewDirectory, keep_server: Keep) -> MakePrometheus:
    """Prometheus 3 with the repository's prometheus.yml and the test's targets, not started."""
    program = needed("prometheus")

    def make(
        scrapes: Sequence[Scrape] = (), *, rules: Sequence[Path] | None = None, alertmanager: str | None = None
    ) -> Prometheus:
        directory = server_directory("prometheus")
        prometheus = Prometheus(program, directory, scrapes=scrapes, rules=rules, alertmanager=alertmanager)
        keep_server(prometheus)
        return prometheus

    return make


@pytest.fixture
def prometheus(make_prometheus: MakePrometheus) -> Prometheus:
    """A running Prometheus 3 with no targets yet."""
    return make_prometheus().start()


@pytest.fixture
def promtool() -> Path:
    """The promtool program."""
    return needed("promtool")


@pytest.fixture
def mosquitto(server_directory: NewDirectory, keep_server: Keep) -> Mosquitto:
    """A running broker."""
    return _started(Mosquitto(needed("mosquitto"), server_directory("mosquitto")), keep_server)


@pytest.fixture
def influxdb(server_directory: NewDirectory, keep_server: Keep) -> InfluxDB:
    """A running InfluxDB 1.x without databases."""
    return _started(InfluxDB(needed("influxd"), server_directory("influxdb")), keep_server)


@pytest.fixture
def make_victoria_metrics(server_directory: NewDirectory, keep_server: Keep) -> MakeVictoriaMetrics:
    """VictoriaMetrics with the repository's settings for scrapes and OTLP, and the test's targets, not started."""
    program = needed("victoria-metrics")

    def make(scrapes: Sequence[Scrape] = (), *, dashboards: Path | None = None) -> VictoriaMetrics:
        directory = server_directory("victoria-metrics")
        store = VictoriaMetrics(program, directory, scrapes=scrapes, dashboards=dashboards)
        keep_server(store)
        return store

    return make


@pytest.fixture
def victoria_metrics(make_victoria_metrics: MakeVictoriaMetrics) -> VictoriaMetrics:
    """A running VictoriaMetrics with no targets yet."""
    return make_victoria_metrics().start()


@pytest.fixture
def jaeger(server_directory: NewDirectory, keep_server: Keep) -> Jaeger:
    """A running Jaeger without traces."""
    return _started(Jaeger(needed("jaeger"), server_directory("jaeger")), keep_server)


@pytest.fixture
def victoria_logs(server_directory: NewDirectory, keep_server: Keep) -> VictoriaLogs:
    """A running VictoriaLogs without records."""
    return _started(VictoriaLogs(needed("victoria-logs"), server_directory("victoria-logs")), keep_server)


@pytest.fixture
def make_alertmanager(server_directory: NewDirectory, keep_server: Keep) -> MakeAlertmanager:
    """Alertmanagers with the test's configuration, not started."""
    program = needed("alertmanager")

    def make(config: str = NOBODY) -> Alertmanager:
        alertmanager = Alertmanager(program, server_directory("alertmanager"), config=config)
        keep_server(alertmanager)
        return alertmanager

    return make


@pytest.fixture
def alertmanager(make_alertmanager: MakeAlertmanager) -> Alertmanager:
    """A running Alertmanager that notifies nobody."""
    return make_alertmanager().start()


@pytest.fixture
def amtool() -> Path:
    """The amtool program."""
    return needed("amtool")


@pytest.fixture
def make_vmalert(server_directory: NewDirectory, keep_server: Keep) -> MakeVMAlert:
    """vmalerts with the test's rules, not started."""
    program = needed("vmalert")

    def make(*, store: str, rules: Sequence[Path], notifier: str | None = None) -> VMAlert:
        vmalert = VMAlert(program, server_directory("vmalert"), store=store, rules=rules, notifier=notifier)
        keep_server(vmalert)
        return vmalert

    return make


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A running headless browser; each test opens pages of its own with tests.servers.browser.opened()."""
    with launched(browser_program()) as browser:
        yield browser


def _started(server: AnyServer, keep_server: Keep) -> AnyServer:
    keep_server(server)
    return server.start()
