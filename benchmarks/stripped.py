"""Import the example ingestor without its telemetry, or with a peer's, from the same sources.

An import hook removes every `@measured(...)`, every `with measured(...)` around a block, and every statement that is a
call on the vocabulary or on its handles, such as `ingest.RECEIVED.add(1)`. Not even a call that does nothing remains.
With a peer, the peer's statement stands in its place (see benchmarks.by_hand.statements).
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

from benchmarks.by_hand.statements import STATEMENTS

PACKAGE = "examples.ingestor"
MEASURED, RECORDS = "measured", ("ingest", "counted")
STATEMENTS_FILE = "benchmarks/by_hand/statements.py"


def strip(peer: str | None = None) -> None:
    """Import the ingestor stripped, or with a peer's telemetry, from now on.

    Raises RuntimeError if it is already imported.
    """
    if PACKAGE in sys.modules:
        raise RuntimeError(f"{PACKAGE} is imported already")
    sys.meta_path.insert(0, _Finder(peer))


class _Finder:
    def __init__(self, peer: str | None) -> None:
        self._peer = peer

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module of the ingestor, with a loader that rewrites it."""
        if not fullname.startswith(f"{PACKAGE}."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin, self._peer)
        return spec


class _Loader(SourceFileLoader):
    def __init__(self, fullname: str, path: str, peer: str | None) -> None:
        super().__init__(fullname, path)
        self._peer = peer

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the rewritten source; cached bytecode is of the source itself, so it is not used."""
        path = self.get_filename(fullname)
        tree = rewritten(ast.parse(self.get_data(path), path), self._peer)
        code: CodeType = compile(tree, path, "exec")
        return code


def rewritten(tree: ast.Module, peer: str | None = None) -> ast.Module:
    """Return a module without our telemetry, or with a peer's; raise RuntimeError if the peer lacks a statement."""
    tree = _Rewriter(peer).visit(tree)
    return ast.fix_missing_locations(tree)


class _Rewriter(ast.NodeTransformer):
    def __init__(self, peer: str | None) -> None:
        self._peer = peer
        self._statements: Mapping[str, str] = STATEMENTS[peer] if peer else {}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt | list[ast.stmt] | None:
        """Import the peer's instruments instead of ours."""
        ours = [alias for alias in node.names if alias.name in (MEASURED, *RECORDS)]
        if not ours:
            return node
        left: list[ast.stmt] = []
        node.names = [alias for alias in node.names if alias not in ours]
        if node.names:
            left.append(node)
        if self._peer:
            left += ast.parse(f"from benchmarks.by_hand import {self._peer} as metrics").body
        return left

    def visit_Expr(self, node: ast.Expr) -> ast.stmt | list[ast.stmt] | None:
        """Replace or remove a statement that records."""
        return self._instead_of(node.value) if _is_call(node.value, *RECORDS) else node

    def visit_With(self, node: ast.With) -> Any:
        """Replace a measured block with its body."""
        self.generic_visit(node)
        if not all(_is_call(item.context_expr, MEASURED) for item in node.items):
            return node
        if self._peer:
            raise RuntimeError(f"{self._peer} has no block in place of {ast.unparse(node.items[0])}")
        return node.body

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Replace or remove measuring decorators, and fill bodies that became empty."""
        super().generic_visit(node)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.decorator_list = [
                instead
                for each in node.decorator_list
                for instead in (self._decorators(each) if _is_call(each, MEASURED) else [each])
            ]
        if isinstance(body := getattr(node, "body", None), list) and not body and not isinstance(node, ast.Module):
            body.append(ast.Pass())
        return node

    def _decorators(self, node: ast.expr) -> list[ast.expr]:
        return [statement.value for statement in self._instead_of(node) if isinstance(statement, ast.Expr)]

    def _instead_of(self, node: ast.expr) -> list[ast.stmt]:
        if self._peer is None:
            return []
        ours = ast.unparse(node)
        if ours not in self._statements:
            raise RuntimeError(f"{self._peer} has nothing in place of {ours!r}; add it to {STATEMENTS_FILE}")
        return ast.parse(self._statements[ours]).body


def _is_call(node: ast.expr, *names: str) -> bool:
    """Whether a node calls one of these names, or something that was reached through it."""
    if not isinstance(node, ast.Call):
        return False
    called: ast.expr = node
    while isinstance(called, ast.Attribute | ast.Call):
        called = called.value if isinstance(called, ast.Attribute) else called.func
    return isinstance(called, ast.Name) and called.id in names
