"""Instrumentation of influxdb-client: synchronous, asynchronous and batching writes to InfluxDB 2."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from otel_ha.instrumentation.influxdb.hooks import InfluxdbInstrumentor

__all__ = ["InfluxdbClientInstrumentor"]


class InfluxdbClientInstrumentor(InfluxdbInstrumentor):
    """Instruments influxdb-client."""

    library = "influxdb-client >= 1.36, < 2"
    queue = "influxdb-client"

    def hooks(self) -> Mapping[str, Callable[[ModuleType], None]]:
        """Return the functions that patch the library's modules."""
        return {
            "influxdb_client._sync.api_client": lambda module: self.patch_requests(
                module.ApiClient, "_ApiClient__call_api", _url
            ),
            "influxdb_client._sync.rest": lambda module: self.patch_bodies(module.RESTClientObject),
            "influxdb_client._async.api_client": lambda module: self.patch_requests(
                module.ApiClientAsync, "_ApiClientAsync__call_api", _url, is_async=True
            ),
            "influxdb_client._async.rest": lambda module: self.patch_bodies(
                module.RESTClientObjectAsync, is_async=True
            ),
            "influxdb_client.service.write_service": self._patch_service,
            "influxdb_client.client.write.retry": self.patch_retries,
            "influxdb_client.client.write_api": lambda module: self.patch_batching(module.WriteApi),
        }

    def _patch_service(self, module: ModuleType) -> None:
        self.patch_posts(module.WriteService, "post_write")
        self.patch_posts(module.WriteService, "post_write_async", is_async=True)


def _url(api_client: Any) -> object:
    return api_client.configuration.host
