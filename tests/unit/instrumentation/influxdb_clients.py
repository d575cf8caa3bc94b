"""InfluxDB's client libraries, to be tested alike: a client of each writes in one of three modes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module, metadata
from types import SimpleNamespace
from typing import Any, NamedTuple, Self
from unittest.mock import patch

import pytest
from packaging.version import Version
from reactivex.scheduler import TimeoutScheduler

from otel_ha.instrumentation.influxdb3 import Influxdb3Instrumentor
from otel_ha.instrumentation.influxdb_client import InfluxdbClientInstrumentor

MODES = ("synchronous", "asynchronous", "batching")

BATCHES = {"batch_size": 5, "flush_interval": 600_000, "retry_interval": 1, "max_retry_delay": 2, "max_retries": 2}
"""Settings of a batching client: a batch begins when it has five items, or the client is closed."""


class Client(NamedTuple):
    """A client that writes; `write` waits for the store unless it is batching, `close` for the last batch."""

    write: Callable[..., object]
    close: Callable[[], None]
    api: Any
    """The object with the buffer."""


@contextmanager
def client_2(url: str, mode: str = "synchronous", *, options: dict[str, Any] | None = None, **of_client: Any) -> Any:
    """A client of influxdb-client; `options` are those of a batching one."""
    package = import_module("influxdb_client")
    settings = {"token": "secret", "org": "home", "timeout": 20_000} | of_client
    module = package.client.write_api
    with package.InfluxDBClient(url=url, **settings) as client:
        # The library's own timers keep a process from ending until their time is over.
        with warnings.catch_warnings(action="ignore"), patch.object(module, "ThreadPoolScheduler", _Timers):
            api = client.write_api(**_options(module, mode, options or {}))  # asynchronous ones are deprecated

        def write(record: object, **kwargs: object) -> object:
            return _waited(api.write(bucket="events", record=record, **kwargs))

        yield Client(write, api.close, api)
        api.close()


@contextmanager
def client_3(url: str, mode: str = "synchronous", *, options: dict[str, Any] | None = None, **of_client: Any) -> Any:
    """A client of influxdb3-python; `options` are those of a batching one."""
    package = import_module("influxdb_client_3")
    if "timeout" in of_client:
        of_client["write_timeout"] = of_client.pop("timeout")
    with warnings.catch_warnings(action="ignore"):
        client = package.InfluxDBClient3(
            host=url,
            token="secret",
            org="home",
            database="events",
            write_client_options=_options(package.write_client.client.write_api, mode, options or {}),
            **of_client,
        )

    def write(record: object, **kwargs: object) -> object:
        return _waited(client._write_api.write("events", record=record, **kwargs))

    yield Client(write, client._write_api.close, client._write_api)
    client.close()


class _Timers(TimeoutScheduler):
    """Timers in threads that end with the process."""

    executor = SimpleNamespace(shutdown=lambda **_: None)

    def __new__(cls, _: int) -> Self:
        return object.__new__(cls)


def _options(module: Any, mode: str, options: dict[str, Any]) -> dict[str, Any]:
    callbacks = {name: options[name] for name in options if name.endswith("_callback")}
    settings = BATCHES | {name: options[name] for name in options if name not in callbacks}
    settings["write_type"] = module.WriteType[mode]
    return {"write_options": module.WriteOptions(**settings), **callbacks}


def _waited(result: Any) -> object:
    """Wait for the results of asynchronous writes."""
    if isinstance(result, list):
        return [_waited(each) for each in result]
    return result.get(20) if hasattr(result, "get") else result


class Library(NamedTuple):
    """A client library, its instrumentor, and a client."""

    name: str
    package: str
    instrumentor: Callable[[], Any]
    client: Callable[..., Any]
    point: Callable[[int], Any]
    """A function that makes a point with this value."""

    def since(self, version: str) -> None:
        """Skip the test of something that earlier versions cannot do."""
        if Version(metadata.version(self.name)) < Version(version):
            pytest.skip(f"{self.name} cannot do this before {version}")

    @property
    def classes(self) -> Iterator[type]:
        """The classes whose functions are replaced."""
        for module in (
            "_sync.api_client",
            "_async.api_client",
            "_sync.rest",
            "_async.rest",
            "service.write_service",
            "client.write_api",
            "write_client._sync.rest_client",
            "write_client.client.write_api",
        ):
            try:
                found = import_module(f"{self.package}.{module}")
            except ImportError:
                continue
            yield from (each for each in vars(found).values() if isinstance(each, type))


def _point(package: str) -> Callable[[int], Any]:
    return lambda value: import_module(package).Point("state").tag("of", f"sensor.{value}").field("value", value)


LIBRARIES = [
    Library("influxdb-client", "influxdb_client", InfluxdbClientInstrumentor, client_2, _point("influxdb_client")),
    Library("influxdb3-python", "influxdb_client_3", Influxdb3Instrumentor, client_3, _point("influxdb_client_3")),
]
