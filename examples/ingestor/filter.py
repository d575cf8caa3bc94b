"""Filter: selects events by entity and state."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property

from examples.ingestor.event import Event


@dataclass(frozen=True)
class Filter:
    """Selects entities that match `include` (all entities if it is empty) and do not match `exclude`.

    Both are globs on the entity's id: `light.*` is a domain, `*_battery` a kind of entity. States in `ignored_states`,
    such as unavailable, are left out, and so is a state that was cleared.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    ignored_states: frozenset[str] = frozenset()

    def wants(self, event: Event) -> bool:
        """Return whether the filter selects an event."""
        if not event.state and not event.fields:
            return False
        if event.state in self.ignored_states or self._excluded.match(event.entity_id):
            return False
        return not self.include or self._included.match(event.entity_id) is not None

    @cached_property
    def _included(self) -> re.Pattern[str]:
        return any_of(self.include)

    @cached_property
    def _excluded(self) -> re.Pattern[str]:
        return any_of(self.exclude)


def any_of(globs: Iterable[str]) -> re.Pattern[str]:
    """Return an expression that matches if any of the globs does; without globs it never matches."""
    return re.compile("|".join(translate(glob) for glob in globs) or r"(?!)")
