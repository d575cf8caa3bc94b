"""A page as a browser sees it: its elements, their texts, and the numbers with their paths in the summary."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

_VOID = {"meta", "link", "input", "br", "img"}


@dataclass
class Node:
    tag: str
    attributes: dict[str, str]
    parent: Node | None = None
    children: list[Node | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def all(self, tag: str | None = None, **attributes: str) -> list[Node]:
        """Return the elements below with this tag and these attributes, in the order of the page."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        found = []
        for child in self.children:
            if isinstance(child, Node):
                if tag in {None, child.tag} and wanted.items() <= child.attributes.items():
                    found.append(child)
                found += child.all(tag, **attributes)
        return found

    def one(self, tag: str | None = None, **attributes: str) -> Node:
        [found] = self.all(tag, **attributes)
        return found


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.node = Node("", {})

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Node(tag, {name: value or "" for name, value in attrs}, self.node)
        self.node.children.append(made)
        if tag not in _VOID:
            self.node = made

    def handle_endtag(self, tag: str) -> None:
        assert self.node.tag == tag
        assert self.node.parent is not None
        self.node = self.node.parent

    def handle_data(self, data: str) -> None:
        self.node.children.append(data)


def seen(page: str) -> Node:
    """Return the document; every element of it is closed."""
    parser = _Parser()
    parser.feed(page)
    parser.close()
    assert parser.node.tag == ""
    return parser.node


def numbers(document: Node) -> list[tuple[str, str]]:
    """Return the path and the exact value of each number that says where it is in the summary."""
    found = []
    for number in document.all("data"):
        named: Node | None = number
        while named is not None and not {"data-key", "id"} & named.attributes.keys():
            named = named.parent
        assert named is not None
        key = named.attributes.get("data-key")
        if key is not None:
            found.append((key, number.attributes["value"]))
    return found


def at(summary: Any, path: str) -> Any:
    """Return the value at a path, whose steps are keys, positions, or the names of rows."""
    if not path:
        return summary
    if isinstance(summary, list):
        named = {row.get("name", row.get("attribute")): row for row in summary if isinstance(row, dict)}
        by_position = {str(index - past): row for past in (0, len(summary)) for index, row in enumerate(summary)}
        summary = by_position | named
    for key, value in summary.items():
        if key is not None and (path == key or path.startswith(f"{key}.")):
            try:
                return at(value, path[len(key) + 1 :])
            except LookupError:
                continue
    raise LookupError(path)
