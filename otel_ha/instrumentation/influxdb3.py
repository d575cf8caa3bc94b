"""Instrumentation of influxdb3-python: synchronous, asynchronous and batching writes to InfluxDB 3."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType

from otel_ha.instrumentation.influxdb.hooks import InfluxdbInstrumentor

__all__ = ["Influxdb3Instrumentor"]


class Influxdb3Instrumentor(InfluxdbInstrumentor):
    """Instruments influxdb3-python.

    From 0.21 on, the class that writes makes the requests itself. Before, it was built as influxdb-client is.
    """

    library = "influxdb3-python >= 0.5, < 1"
    queue = "influxdb3-python"

    def hooks(self) -> Mapping[str, Callable[[ModuleType], None]]:
        """Return the functions that patch the library's modules."""
        package = "influxdb_client_3.write_client."
        return {
            f"{package}client.write_api": self._patch_write_api,
            f"{package}client.write.retry": self.patch_retries,
            f"{package}_sync.rest_client": lambda module: self.patch_bodies(module.RestClient),
            # The parts before 0.21:
            f"{package}_sync.api_client": lambda module: self.patch_requests(
                module.ApiClient, "_ApiClient__call_api", lambda api_client: api_client.configuration.host
            ),
            f"{package}_sync.rest": lambda module: self.patch_bodies(module.RESTClientObject),
            f"{package}service.write_service": lambda module: self.patch_posts(module.WriteService, "post_write"),
        }

    def _patch_write_api(self, module: ModuleType) -> None:
        self.patch_batching(module.WriteApi)
        if not hasattr(module, "_BaseWriteApi"):
            self.patch_requests(module.WriteApi, "_call_api", lambda write_api: write_api.rest_client.base_url)
            self.patch_posts(module.WriteApi, "_post_write")
