"""OwnParser: a function of the user's that tells the entity of a message."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from typing import Any

from otel_ha.instrumentation.topics.entities import Entity, entity_of
from otel_ha.scrub import scrub

__all__ = ["OwnParser", "Parse"]

_logger = logging.getLogger("otel_ha")

Parse = Callable[[str, bytes], str | None]
"""A function of topic and payload that returns an entity's ID, a domain alone, or None if it knows neither."""


class OwnParser:
    """Calls a function of the user's; its first failure is logged, and a failure means that it knows nothing."""

    def __init__(self, parse: Parse | str) -> None:
        self.setting = parse if isinstance(parse, str) else None
        self._parse = None if isinstance(parse, str) else parse
        self._name = parse if isinstance(parse, str) else getattr(parse, "__qualname__", repr(type(parse)))
        self._has_failed = False

    def entity(self, topic: str, payload: bytes) -> Entity | None:
        """Return the entity of a message; None if the function does not know it."""
        try:
            if self._parse is None:
                # Not before the first message: `opentelemetry-instrument` starts before the program's folder is found.
                self._parse = _knows_nothing
                self._parse = _imported(self._name)
            answer = self._parse(topic, payload)
            if answer is None:
                return None
            found = entity_of(answer)
        except Exception as error:  # noqa: BLE001 - the user's function may raise anything
            self._report(f"{type(error).__name__}: {error}")
            return None
        if found is None:
            self._report("it returns something else than an entity's ID such as light.kitchen, a domain, or None")
        return found

    def _report(self, reason: str) -> None:
        if not self._has_failed:
            self._has_failed = True
            _logger.error("the topic parser %s fails (%s); it counts as knowing nothing", self._name, scrub(reason))


def _imported(name: str) -> Parse:
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]


def _knows_nothing(_: str, __: bytes) -> None:
    """Stand for a function that cannot be imported, so that it is looked for once."""
