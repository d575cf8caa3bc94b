"""The tables of the how-to page docs/how-to/move-from-ha-ingestor.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from otel_ha.compat.old_names.old_name import PREFIX
from otel_ha.compat.old_names.table import OLD_NAMES
from otel_ha.declare.instruments import Instrument
from otel_ha.render.markdown import code, table

__all__ = ["render_page"]

_TABLE: Final = re.compile(r"(<!-- rendered: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def render_page(page: str) -> str:
    """Return the page with its tables rendered again, each between ``<!-- rendered: NAME -->`` and ``<!-- end -->``.

    Raises ValueError for an unknown name.
    """
    return _TABLE.sub(lambda found: f"{found[1]}\n{_table_named(found[2])}\n{found[3]}", page)


def _table_named(name: str) -> str:
    if name not in _TABLES:
        raise ValueError(f"'<!-- rendered: {name} -->' names an unknown table; allowed: {', '.join(_TABLES)}")
    return _TABLES[name]()


def _names() -> str:
    rows = (
        (
            f"`{PREFIX}{old.name}`{_in_brackets(old.labels)}",
            "<br>".join(map(_spelling, old.recorded)),
            "<br>".join(map(_spelling, old.derived)),
            old.prefer,
        )
        for old in OLD_NAMES
    )
    return table(("Earlier name (and labels)", "Recorded as", "Otherwise derived from", "Prefer"), rows)


def _calls() -> str:
    calls: dict[str, dict[Instrument, None]] = {}
    for old in OLD_NAMES:
        for call in old.calls:
            calls.setdefault(call, {}).update(dict.fromkeys(old.recorded))
    rows = ((f"`{call}()`", "<br>".join(map(_spelling, recorded))) for call, recorded in sorted(calls.items()))
    return table(("Call", "Records"), rows)


def _spelling(instrument: Instrument) -> str:
    return code(instrument.prometheus_name)


def _in_brackets(labels: Iterable[str]) -> str:
    return f" ({', '.join(labels)})" if labels else ""


_TABLES: Final[Mapping[str, Callable[[], str]]] = {"names": _names, "calls": _calls}
