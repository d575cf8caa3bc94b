"""AutomaticSources: host, container, process, file systems and event loop, read while telemetry runs."""

from __future__ import annotations

from collections.abc import Callable, Collection

from otel_ha.sources.container import observe_container
from otel_ha.sources.event_loop import running_loop, watch_event_loop
from otel_ha.sources.filesystems import observe_filesystems
from otel_ha.sources.system import instrument_system, load_instrumentor


class AutomaticSources:
    """Starts and stops the sources whose metric groups are on."""

    def __init__(self, groups: Collection[str]) -> None:
        self._groups = groups
        self._stop: list[Callable[[], object]] = []
        self._unwatch: Callable[[], object] | None = None

    def start(self) -> None:
        """Read host, container and process at every collection, and watch the event loop if one is running."""
        if "system" in self._groups:
            self._stop += [instrument_system(), observe_container(), observe_filesystems()]
        if running_loop() is not None:
            self.watch_event_loop()

    def load(self) -> None:
        """Import the modules that the first reading would import."""
        if "system" in self._groups:
            load_instrumentor()

    @property
    def is_watching_event_loop(self) -> bool:
        """Whether an event loop is being watched."""
        return self._unwatch is not None

    def watch_event_loop(self) -> None:
        """Measure the delay of the running event loop from now on, instead of that of any other loop."""
        if "performance" in self._groups:
            self.unwatch_event_loop()
            self._unwatch = watch_event_loop()

    def unwatch_event_loop(self) -> None:
        """Stop measuring the delay of an event loop."""
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None

    def stop(self) -> None:
        """Stop all sources."""
        self.unwatch_event_loop()
        while self._stop:
            self._stop.pop()()

    def after_fork_in_child(self) -> None:
        """Forget the event loop: it belongs to the parent process."""
        self._unwatch = None
