"""The API page: signatures and docstrings, put into a page whose order and examples are written by hand.

A block of the page begins with ``<!-- rendered: otel_ha.Counter __init__ add -->`` and ends with ``<!-- end -->``. It
names an object and, for a class, the members to show; ``__init__`` shows how to make one.
"""

from __future__ import annotations

import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from typing import Any

from otel_ha.errors import TelemetryError
from otel_ha.render.markdown import table

__all__ = ["documented", "render_api"]

_BLOCK = re.compile(r"(<!-- rendered: (\S+)((?: \w+)*) -->\n).*?(<!-- end -->)", re.DOTALL)
_WIDTH = 100
_LONGEST_DEFAULT = 40
_STARS: dict[object, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


def render_api(page: str) -> str:
    """Return the page with its blocks filled in. Raises TelemetryError for a name that does not exist."""
    return _BLOCK.sub(lambda found: f"{found[1]}\n{_block(found[2], found[3].split())}\n{found[4]}", page)


def documented(page: str) -> list[str]:
    """Return the names of the objects that the page has a block for."""
    return [found[2] for found in _BLOCK.finditer(page)]


def _block(path: str, members: list[str]) -> str:
    try:
        described: Any = pkgutil.resolve_name(path)
    except (ImportError, AttributeError) as error:
        raise TelemetryError(f"the page documents {path}, which does not exist; change or delete its block") from error
    name = path.rpartition(".")[2]
    if isinstance(described, tuple):
        return f"`{described!r}`\n"
    parts = [f"{_text(described)}\n"]
    if "__init__" in members or inspect.isfunction(described):
        parts.insert(0, f"```py\n{_signature(name, described)}\n```\n")
    shown = [member for member in members if member != "__init__"]
    if shown:
        rows = ((f"`{_member(described, member)}`", _text(getattr(described, member), " ")) for member in shown)
        parts.append(table(("Member", "Description"), rows))
    return "\n".join(parts)


def _member(of: Any, name: str) -> str:
    member = inspect.getattr_static(of, name, None)
    if isinstance(member, property):
        returned = inspect.signature(member.fget).return_annotation if member.fget else ""
        return f"{name}: {_annotation(returned)}"
    if not callable(member):
        raise TelemetryError(
            f"the page documents {of.__name__}.{name}, which is not a method; take it out of its block"
        )
    return _signature(name, member, method=True, width=None)


def _text(described: object, joint: str = "\n\n") -> str:
    """Return a docstring, each paragraph on one line."""
    text = inspect.getdoc(described) or ""
    paragraphs = text.split("\n\n")
    return joint.join(" ".join(paragraph.split()) for paragraph in paragraphs).replace("``", "`")


def _signature(name: str, function: Callable[..., Any], *, method: bool = False, width: int | None = _WIDTH) -> str:
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())[1 if method else 0 :]
    returned = _annotation(signature.return_annotation)
    arrow = f" -> {returned}" if returned not in {"", "None"} else ""
    texts = list(_parameters(parameters))
    line = f"{name}({', '.join(texts)}){arrow}"
    if width is None or len(line) <= width:
        return line
    return "\n".join([f"{name}(", *(f"    {text}," for text in texts), f"){arrow}"])


def _parameters(parameters: list[inspect.Parameter]) -> Iterator[str]:
    kinds = inspect.Parameter
    positional = [each for each in parameters if each.kind is kinds.POSITIONAL_ONLY]
    starred = False
    for number, each in enumerate(parameters):
        starred = starred or each.kind is kinds.VAR_POSITIONAL
        if each.kind is kinds.KEYWORD_ONLY and not starred:
            starred = True
            yield "*"
        yield _parameter(each)
        if positional and number == len(positional) - 1:
            yield "/"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = _STARS.get(parameter.kind, "")
    annotation = _annotation(parameter.annotation)
    text = f"{stars}{parameter.name}{': ' if annotation else ''}{annotation}"
    if parameter.default is inspect.Parameter.empty:
        return text
    default = repr(parameter.default)
    return f"{text} = {default if len(default) <= _LONGEST_DEFAULT else '...'}"


def _annotation(annotation: object) -> str:
    if annotation is inspect.Signature.empty:
        return ""
    return annotation if isinstance(annotation, str) else str(getattr(annotation, "__name__", annotation))
