"""YAML as a person would write it: block style, in the given order, long texts as literal blocks."""

from __future__ import annotations

from functools import cache
from textwrap import indent
from typing import Any

from otel_ha.errors import TelemetryError

__all__ = ["to_yaml"]


def to_yaml(data: Any, opening: str = "") -> str:
    """Return data as YAML, below a comment. Raises TelemetryError without PyYAML, which the extra `render` installs."""
    yaml, dumper = _library()
    text: str = yaml.dump(data, Dumper=dumper, sort_keys=False, width=120, allow_unicode=True)
    comment = indent(opening.rstrip(), "# ", lambda _: True).replace("# \n", "#\n")
    return f"{comment}\n\n{text}" if opening else text


@cache
def _library() -> tuple[Any, Any]:
    try:
        import yaml  # noqa: PLC0415 - optional
    except ImportError as error:
        raise TelemetryError("rendering YAML needs PyYAML; install otel-ha[render]") from error

    class Dumper(yaml.SafeDumper):
        """Indents lists below their key, and repeats values instead of linking to them."""

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
            super().increase_indent(flow, indentless=False)

        def ignore_aliases(self, _: Any) -> bool:
            return True

    def text(dumper: Any, value: str) -> Any:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", str.__str__(value), style=style)

    Dumper.add_representer(str, text)
    Dumper.add_multi_representer(str, text)  # of a StrEnum, for example
    return yaml, Dumper
