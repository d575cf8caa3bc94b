"""The ingestor that the benchmarks run without telemetry: it works, and nothing in it records."""

import ast
from pathlib import Path

import pytest

import examples.ingestor
from benchmarks.stripped import _Stripper

MODULES = sorted(Path(examples.ingestor.__file__).parent.glob("*.py"))


def stripped(source: str) -> str:
    return ast.unparse(_Stripper().visit(ast.parse(source)))


# The accounting reads metrics, and main() starts them: the benchmark imports neither. Nothing calls `counted`.
RECORDING = {"accounting", "counted", "__main__"}


@pytest.mark.parametrize("path", [path for path in MODULES if path.stem not in RECORDING], ids=str)
def test_nothing_that_records_is_left(path):
    tree = _Stripper().visit(ast.parse(path.read_text()))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not names & {"ingest", "counted", "measured"}
    compile(ast.fix_missing_locations(tree), str(path), "exec")


def test_a_statement_that_becomes_empty_does_nothing():
    assert stripped("def f():\n    ingest.A.add(1)") == "def f():\n    pass"
    assert stripped("for x in y:\n    ingest.A.add(x)") == "for x in y:\n    pass"
    assert stripped("def f():\n    counted.events(x).receive()") == "def f():\n    pass"
    assert stripped("if a:\n    b()\nelse:\n    ingest.A.add(1)") == "if a:\n    b()"


def test_a_measured_block_becomes_the_block():
    assert stripped("with measured(a):\n    b()") == "b()"
    assert stripped("@measured(a)\n@other\ndef f():\n    return 1") == "@other\ndef f():\n    return 1"
