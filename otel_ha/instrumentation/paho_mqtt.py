"""PahoMqttInstrumentor: instruments paho-mqtt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, ClassVar

from otel_ha.instrumentation.instrumentor import LibraryInstrumentor
from otel_ha.instrumentation.mqtt.client import WIRE

__all__ = ["PahoMqttInstrumentor"]


class PahoMqttInstrumentor(LibraryInstrumentor):
    """Instruments paho-mqtt: messages that it receives and sends, and its connections.

    An event is processed while all callbacks that match its topic run; if none matches, it is discarded as unhandled.
    """

    library: ClassVar[str] = "paho-mqtt >= 2, < 3"

    def hooks(self) -> Mapping[str, Callable[[ModuleType], None]]:
        """Return the function that patches paho's client."""
        return {"paho.mqtt.client": self._patch}

    def _patch(self, module: ModuleType) -> None:
        WIRE.use(self, module)
        WIRE.receiving.count_own(True)  # noqa: FBT003 - the switch is all it takes

    def _uninstrument(self, **kwargs: Any) -> None:
        WIRE.receiving.count_own(False)  # noqa: FBT003 - as above
        WIRE.leave(self)
        super()._uninstrument(**kwargs)
