"""Templates of MQTT discovery that read one value, without a template engine.

`{{ value }}` is the payload, `{{ value_json.a['b'][0] }}` a part of a JSON payload. Filters may follow: float, int,
round, default, is_defined, string, lower, upper and trim. Home Assistant renders any Jinja template; calculations and
conditions are not supported here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from examples.ingestor.event import InvalidEventError
from examples.ingestor.payloads import json_of, text_of

LONGEST: Final = 1000
STEP: Final = re.compile(r"""\.(\w+)|\[\s*(?:'([^']*)'|"([^"]*)"|(\d+))\s*\]""")
FILTER: Final = re.compile(r"\|\s*(\w+)\s*(?:\(([^()]*)\)\s*)?")
TEMPLATE: Final = re.compile(
    rf"\{{\{{-?\s*(?P<root>value|value_json)(?P<steps>(?:{STEP.pattern})*)\s*(?P<filters>(?:{FILTER.pattern})*)-?\}}\}}"
)


class UnsupportedTemplateError(ValueError):
    """A template that needs Home Assistant's template engine."""


class MissingValueError(InvalidEventError):
    """A payload without the value that the template reads."""


def _float(value: Any, *default: Any) -> Any:
    try:
        return float(value)
    except (ValueError, TypeError):
        if default:
            return default[0]
        raise


def _int(value: Any, *default: Any) -> Any:
    try:
        return int(float(value))
    except (ValueError, TypeError):
        if default:
            return default[0]
        raise


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "float": _float,
    "int": _int,
    "round": lambda value, digits=0: round(float(value), digits or None),
    "default": lambda value, *_: value,
    "is_defined": lambda value: value,
    "string": str,
    "lower": lambda value: str(value).lower(),
    "upper": lambda value: str(value).upper(),
    "trim": lambda value: str(value).strip(),
}


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template: the steps from the payload to the value, and the filters on the value."""

    json: bool = False
    steps: tuple[str | int, ...] = ()
    filters: tuple[tuple[str, tuple[Any, ...]], ...] = ()

    def render(self, payload: bytes) -> str:
        """Return the value in a payload as text.

        Raises MissingValueError if the payload lacks the value, InvalidEventError if it is malformed.
        """
        value = self._value(json_of(payload) if self.json else text_of(payload))
        if isinstance(value, dict | list):
            raise InvalidEventError("the template reads an object or a list, not a value")
        try:
            for name, arguments in self.filters:
                value = FILTERS[name](value, *arguments)
        except (ValueError, TypeError, OverflowError) as error:
            raise InvalidEventError(f"the template's filter cannot convert the value: {error}") from None
        return str(value)

    def _value(self, content: Any) -> Any:
        for step in self.steps:
            in_list = isinstance(content, list) and isinstance(step, int) and step < len(content)
            if not in_list and not (isinstance(content, dict) and step in content):
                return self._default(step)
            content = content[step]
        return content

    def _default(self, step: str | int) -> Any:
        match self.filters:
            case (("default", (default, *_)), *_):
                return default
        raise MissingValueError(f"the payload has no {step!r}")


PLAIN: Final = Template()
"""The template of an entity without one: the payload itself."""


def parse(text: str) -> Template:
    """Return a template; raise UnsupportedTemplateError if it does more than read a value."""
    found = TEMPLATE.fullmatch(text.strip()) if len(text) <= LONGEST else None
    if found is None:
        raise UnsupportedTemplateError(f"{text[:100]!r} does more than read a value")
    steps = tuple(int(index) if index else a or b or c for a, b, c, index in STEP.findall(found["steps"]))
    filters = tuple((name, _arguments(arguments)) for name, arguments in FILTER.findall(found["filters"]))
    if unknown := [name for name, _ in filters if name not in FILTERS]:
        raise UnsupportedTemplateError(f"{text!r} has the filter {unknown[0]!r}; supported: {', '.join(FILTERS)}")
    return Template(found["root"] == "value_json", steps, filters)


def _arguments(text: str) -> tuple[str | float | None, ...]:
    try:
        arguments = tuple(ast.literal_eval(f"({text},)")) if text.strip() else ()
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        arguments = (...,)
    if not all(isinstance(argument, str | int | float | None) for argument in arguments):
        raise UnsupportedTemplateError(f"{text[:100]!r} is not a number, text, True, False or None")
    return arguments
