"""Paths: which fast path a piece of work takes, found by its attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from otel_ha.declare.fastpath import FastPath, Measurable
from otel_ha.declare.keys import Key, is_exact, key_of
from otel_ha.declare.ports import AttributeValue
from otel_ha.declare.resolved import MOST_RESOLVED


class _Found(dict[AttributeValue | None, Any]):
    """The fast paths by the value of an attribute; by another one like this, if a further attribute is computed.

    A look-up for each value is cheaper than to make a key of all of them. `before` has the values before this one.
    """

    __slots__ = ("before",)

    def __init__(self, before: Key) -> None:
        super().__init__()
        self.before = before


class FastPaths:
    """The fast paths of one measured(), by attribute set, for as long as no recorder changes.

    `only` is the path of every call, if no attribute has to be computed. `idle` equals the current generation while
    nothing is recorded, so that an inert call makes a single comparison. While traces are on, no path is kept.
    """

    __slots__ = ("_computed", "_failed", "_fixed", "_found", "_operation", "_resolved", "generation", "idle", "only")

    def __init__(
        self,
        operation: Measurable,
        fixed: Mapping[str, AttributeValue | None],
        computed: Mapping[str, Callable[..., AttributeValue | None]],
        failed: Callable[[str, Exception], None],
    ) -> None:
        self._resolved = operation.resolved()
        # An attribute that no instrument records now need not be computed, and does not need a path of its own.
        recorded = self._resolved.recorded
        self._fixed = {keyword: value for keyword, value in fixed.items() if keyword in recorded}
        self._computed = tuple((keyword, compute) for keyword, compute in computed.items() if keyword in recorded)
        self._operation = operation
        self._failed = failed
        self._found = _Found(())
        self.generation = self._resolved.generation
        is_idle = self._resolved.recorder is None and self._resolved.open_span is None
        self.idle = self.generation if is_idle else None
        self.only: FastPath | None = None
        if not self._computed:
            self.only = self._find(())

    def of(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> FastPath:
        """Return the path of a call with these arguments; `only` is at hand for a call whose attributes are fixed."""
        found: Any = self._found
        for keyword, compute in self._computed:
            try:
                value = compute(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - recording never raises into the measured code
                value = None
                self._failed(keyword, error)
            try:
                found = found[value]
            except Exception:  # noqa: BLE001 - it was not found, or cannot be looked up: see look_up()
                found = self._first(found, value)
        path: FastPath = found
        return path

    def _first(self, found: _Found, value: AttributeValue | None) -> FastPath | _Found:
        """Return what belongs to a value that is not found after the values before it."""
        computed = (*found.before, value)
        return self._find(computed) if len(computed) == len(self._computed) else _Found(computed)

    def _find(self, computed: Key) -> FastPath:
        """Return the path with these attributes, one of its own if they cannot be looked up."""
        try:
            return self._find_shared(computed)
        except Exception:  # noqa: BLE001 - see look_up()
            return FastPath(self._operation, self._resolved, self._attributes(computed))

    def _find_shared(self, computed: Key) -> FastPath:
        """Return the path with these attributes, shared by every measured() on the operation."""
        attributes, shared = self._attributes(computed), self._resolved.fast_paths
        if self._resolved.open_span is not None:
            return FastPath(self._operation, self._resolved, attributes)
        key = key_of(attributes)
        path: FastPath | None = shared.get(key)
        if path is None:
            path = FastPath(self._operation, self._resolved, attributes)
            if not is_exact(key) or len(shared) >= MOST_RESOLVED:
                return path
            path = shared.setdefault(key, path)
            path.shared = True
        self._keep(computed, path)
        return path

    def _keep(self, computed: Key, path: FastPath) -> None:
        """Let later calls with these computed values find their path."""
        found = self._found
        for number, value in enumerate(computed[:-1], 1):
            found = found.setdefault(value, _Found(computed[:number]))
        if computed:
            found[computed[-1]] = path

    def _attributes(self, computed: Key) -> dict[str, AttributeValue | None]:
        if not computed:
            return self._fixed
        keywords = (keyword for keyword, _ in self._computed)
        return {**self._fixed, **dict(zip(keywords, computed, strict=True))}
