"""Documents and comments name only what exists: links, paths, modules, `make` targets."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import otel_ha.vocabulary
from otel_ha.declare.instruments import Attribute, Instrument
from tests.pages import ROOT, anchors

SUFFIXES = {".md", ".py", ".yaml", ".yml"}
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "Makefile", "pyproject.toml")),
    *(
        path
        for folder in ("benchmarks", "collector-config", "docs", "examples", "otel_ha", "tests")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in SUFFIXES and not path.name.startswith("test_")  # tests make names up
    ),
]

FENCED = re.compile(r"^( *)```.*?^\1```", flags=re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:)([^)\s]+)\)")
# A path from the top, wherever it stands in the text.
FROM_TOP = re.compile(r"(?<![\w/.-])((?:benchmarks|collector-config|docs|examples|otel_ha|tests)/[\w./-]*)")
# A path in backticks: from the top, beside the document, or within the package.
IN_BACKTICKS = re.compile(r"`(\w[\w.-]*(?:/[\w.-]+)*/(?:[\w-]+\.(?:py|md|ya?ml|json|toml))?)`")
# A file's name, such as that of rendered rules, looks like a module's.
DOTTED = re.compile(r"(?<![\w.])(otel_ha(?!\.\w+\.yml\b)(?:\.[A-Za-z]\w*)+)")
# In Python, a name in quotes may be anything: the key of a context, the name of a logger.
IN_CODE = re.compile(rf"(?<![\"']){DOTTED.pattern}")
RUN = re.compile(r"-m ((?:benchmarks|examples|otel_ha|tests)(?:\.\w+)*)")
MAKE = re.compile(r"(?:`|^ {4,})make ([a-z]+)", flags=re.MULTILINE)


def problems(text: str, document: Path) -> list[str]:
    """Return one line for each thing that the text names and that does not exist."""
    found = [f"no path {path}" for path in FROM_TOP.findall(text) if not (ROOT / path.rstrip(".-")).exists()]
    dotted = (IN_CODE if document.suffix == ".py" else DOTTED).findall(text)
    found += [f"no name {name}" for name in dotted if name not in KNOWN and not resolves(name)]
    found += [f"no module {name} to run" for name in RUN.findall(text) if not runs(name)]
    found += [f"no target {target} in the Makefile" for target in MAKE.findall(text) if target not in TARGETS]
    if document.suffix == ".md":
        found += [f"no path {path}" for path in IN_BACKTICKS.findall(text) if not anywhere(path, document)]
        links = LINK.findall(FENCED.sub("", text))
        found += [f"no page or section {link}" for link in links if not leads(link, text, document)]
    return found


def anywhere(path: str, document: Path) -> bool:
    return any((folder / path).exists() for folder in (ROOT, document.parent, ROOT / "otel_ha"))


def leads(link: str, text: str, document: Path) -> bool:
    path, _, section = link.partition("#")
    if path:
        target = document.parent / path
        if not section or not target.is_file():
            return target.exists()
        text = target.read_text(encoding="utf-8")
    return section in anchors(text)


def resolves(name: str) -> bool:
    """Return whether a dotted name is a module, or an attribute of one."""
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def runs(name: str) -> bool:
    path = ROOT / Path(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


def declared() -> set[str]:
    """Return the names of the instruments and attributes that the vocabulary declares."""
    modules = pkgutil.iter_modules(otel_ha.vocabulary.__path__, "otel_ha.vocabulary.")
    values = [value for module in modules for value in vars(importlib.import_module(module.name)).values()]
    return {value.name for value in values if isinstance(value, (Attribute, Instrument))}


def loggers() -> set[str]:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "otel_ha").rglob("*.py")]
    return set(re.findall(r'getLogger\("([\w.]+)"\)', "\n".join(sources)))


KNOWN = declared() | loggers()
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_names_only_what_exists(document):
    assert problems(document.read_text(encoding="utf-8"), document) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("see [the page](nowhere.md)", "no page or section nowhere.md"),
        ("see [the\npage](docs/nowhere.md#there)", "no page or section docs/nowhere.md#there"),
        ("see [below](#nothing-like-it)", "no page or section #nothing-like-it"),
        (
            "see [the map](docs/architecture.md#nothing-like-it)",
            "no page or section docs/architecture.md#nothing-like-it",
        ),
        ("Rendered from otel_ha/nowhere.py by `make docs`", "no path otel_ha/nowhere.py"),
        ("it is in tests/unit/nowhere/.", "no path tests/unit/nowhere/."),
        ("see `history/nowhere.py`", "no path history/nowhere.py"),
        ("see `nowhere/`", "no path nowhere/"),
        ("`otel_ha.nowhere`", "no name otel_ha.nowhere"),
        ("`otel_ha.telemetry.nothing`", "no name otel_ha.telemetry.nothing"),
        ("`otel_ha.recording.nothing`", "no name otel_ha.recording.nothing"),
        ("    python -m examples.nowhere", "no module examples.nowhere to run"),
        ("run `make nothing`", "no target nothing in the Makefile"),
        ("    make nothing ARGS=1", "no target nothing in the Makefile"),
    ],
)
def test_something_that_does_not_exist_is_found(text, problem):
    assert problem in problems(text, ROOT / "README.md")


def test_things_that_exist_are_accepted():
    text = """
    # A page

    See [it](#a-page), [the log](CHANGELOG.md), `history/series.py`, `declare/`, otel_ha/history/series.py, and
    [elsewhere](https://example.org/docs/nowhere.md). `otel_ha.recording.problems` is counted by
    `otel_ha.record.problems`, `otel_ha.setup_telemetry` starts, otel_ha.rules.yml has rules, /metrics answers, and

        python -m examples.demo
        make test

    make sure of it.
    """.replace("\n    ", "\n")
    assert problems(text, ROOT / "README.md") == []
