"""Transformer: turns events into points, as the settings and the kind of store require."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate

from examples.ingestor.event import Event
from examples.ingestor.line_protocol import Point, label, line, state_fields, tags_of, to_point
from examples.ingestor.text_labels import TextLabels
from otel_ha import measured
from otel_ha.vocabulary import ingest

Attributes = tuple[tuple[str, tuple[str, ...]], ...]
"""Pairs of a glob on the entity's id and the names of attributes that become fields."""


class Transformer:
    """Turns events into points. `attributes` become fields, `tags` are attributes that become tags.

    A store that takes no `text` gets numbers alone; `labels` write the text of states as labels.
    """

    def __init__(
        self,
        attributes: Attributes = (),
        tags: tuple[str, ...] = (),
        *,
        text: bool = True,
        labels: TextLabels | None = None,
    ) -> None:
        self._attributes = [(re.compile(translate(glob)), names) for glob, names in attributes]
        self._tags = tags
        self._text = text
        self._labels = labels

    @measured(ingest.TRANSFORM, transformer="line_protocol")
    def point(self, event: Event) -> Point | None:
        """Return the point of an event; None if the store can take none of its values."""
        point = to_point(event, self.names(event.entity_id), self._tags, text=self._text)
        if self._labels is None:
            return point
        text = None if "value" in state_fields(event.state, event.domain) else label(event.state)
        lines = [point.line] if point else []
        for tags, value in self._labels.change(event.entity_id, text, tags_of(event, self._tags)):
            lines.append(line(event.domain, tags, {"state": value}, event.timestamp))
        return Point("\n".join(lines), event.domain, event) if lines else None

    def names(self, entity_id: str) -> Iterable[str]:
        """Return the names of the attributes that become fields, each once."""
        return dict.fromkeys(name for glob, names in self._attributes if glob.match(entity_id) for name in names)
