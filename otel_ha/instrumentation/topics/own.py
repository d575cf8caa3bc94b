"""OwnParser: a function of the user's that tells the entity of a message."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from otel_ha.config.parsing import FUNCTION
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

    def load(self) -> None:
        """Import the function that a setting names, unless the program is importing that package just now.

        The first message tries again: the program may change where modules are found.
        """
        module = self._name.partition(":")[0]
        if self._parse is not None or _is_program(module) or _is_begun(module.partition(".")[0]):
            return
        try:
            self._parse = _imported(self._name)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's module may raise anything
            self._report_missing(error)

    def entity(self, topic: str, payload: bytes) -> Entity | None:
        """Return the entity of a message; None if the function does not know it."""
        try:
            if self._parse is None:
                self._parse = _knows_nothing
                self._parse = self._imported_late()
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

    def _imported_late(self) -> Parse:
        try:
            found = _imported(self._name)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
            self._report_missing(error)
            return _knows_nothing
        self._has_failed = False
        return found

    def _report_missing(self, error: BaseException) -> None:
        if not self._has_failed:
            self._has_failed = True
            _logger.warning(
                "OTEL_HA_TOPIC_PARSER is %r, which cannot be imported (%s); allowed: %s, in a folder of PYTHONPATH or "
                "beside the program; the built-in parser goes on without it",
                self._name,
                scrub(" ".join(f"{type(error).__name__}: {error}".split())),
                FUNCTION.allowed,
            )

    def _report(self, reason: str) -> None:
        if not self._has_failed:
            self._has_failed = True
            _logger.error("the topic parser %s fails (%s); it counts as knowing nothing", self._name, scrub(reason))


def _imported(name: str) -> Parse:
    module, _, path = name.partition(":")
    found: Any = sys.modules["__main__"] if _is_program(module) else importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    if not callable(found):
        raise TypeError(f"{path} is not a function")
    return found  # type: ignore[no-any-return]


def _is_program(module: str) -> bool:
    """Whether a module is the program, which an import would run again."""
    program = sys.modules["__main__"]
    if (spec := getattr(program, "__spec__", None)) is not None:  # python -m
        return module in {spec.name, "__main__"}
    file = getattr(program, "__file__", None)
    return module == "__main__" or (file is not None and Path(file).name == f"{module}.py")


def _is_begun(package: str) -> bool:
    """Whether the import of a package has begun, and not ended."""
    # importlib's own mark; without it, the function is imported too early at worst, and again at the first message.
    spec = getattr(sys.modules.get(package), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def _knows_nothing(_: str, __: bytes) -> None:
    """Stand for a function that cannot be imported, so that it is looked for once."""
