"""LibraryInstrumentor: the instrumentor of one library, which patches it as soon as the program imports it."""

from __future__ import annotations

import logging
import sys
from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping
from types import ModuleType
from typing import Any, ClassVar

from opentelemetry.instrumentation.dependencies import DependencyConflictError, get_dependency_conflicts
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # it has no types

from otel_ha.instrumentation.patches import Patches, when_imported
from otel_ha.instrumentation.topics.parser import topic_parser
from otel_ha.telemetry import attach, detach

__all__ = ["LibraryInstrumentor"]

_logger = logging.getLogger("otel_ha")


class LibraryInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # as above
    """Instruments one library.

    Without telemetry of ours, measurements go to `meter_provider`, an argument of `instrument()`, or else to the
    process's MeterProvider. `topic_parser`, another argument, is a function that tells the entity of an MQTT message,
    whatever library receives it. A subclass names the library, and the modules that it patches.
    """

    library: ClassVar[str]
    """The library and the supported versions, as in a requirement: ``paho-mqtt >= 2, < 3``."""

    _instrumented: ClassVar[set[type]] = set()

    def __init__(self) -> None:
        if not hasattr(self, "patches"):  # BaseInstrumentor makes one object, and initializes it each time
            self.patches = Patches()
            self._awaited: set[str] = set()

    @abstractmethod
    def hooks(self) -> Mapping[str, Callable[[ModuleType], None]]:
        """Return, for each module of the library, the function that patches it by `self.patches`."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the library with the supported versions."""
        return (self.library,)

    def _instrument(self, **kwargs: Any) -> None:
        # `opentelemetry-instrument` checks distributions, and ours has instrumentors of several libraries.
        conflict = get_dependency_conflicts(self.instrumentation_dependencies())
        if conflict is not None:
            raise DependencyConflictError(conflict)
        provider = kwargs.get("meter_provider")
        if not attach(provider) and provider is not None:
            _logger.warning(
                "%s: meter_provider is ignored, because telemetry already runs in this process", type(self).__name__
            )
        if (parse := kwargs.get("topic_parser")) is not None:
            topic_parser().use(parse)
        self._instrumented.add(type(self))
        self.patches.is_on = True
        for module, hook in self.hooks().items():
            if module in sys.modules or module not in self._awaited:  # one hook, however often it is instrumented
                self._awaited.add(module)
                when_imported(module, self._while_on(hook))

    def _uninstrument(self, **_: Any) -> None:
        self.patches.is_on = False
        self.patches.undo()
        self._instrumented.discard(type(self))
        if not self._instrumented:
            topic_parser().use_no_longer()
            detach()

    def _while_on(self, hook: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
        """Return a hook that does nothing once the library is uninstrumented: import hooks cannot be removed."""

        def patch(module: ModuleType) -> None:
            if not self.patches.is_on:
                return
            try:
                hook(module)
            except Exception:
                _logger.exception("%s cannot patch %s", type(self).__name__, module.__name__)

        return patch
