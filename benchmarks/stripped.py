"""Import the example ingestor without its telemetry, from the same sources.

An import hook removes every `@measured(...)`, every `with measured(...)` around a block, and every statement that is a
call on the vocabulary or on its handles, such as `ingest.RECEIVED.add(1)`. Not even a call that does nothing remains.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

PACKAGE = "examples.ingestor"
MEASURED, RECORDS = "measured", ("ingest", "counted")


def strip() -> None:
    """Import the ingestor stripped from now on; raises RuntimeError if it is already imported."""
    if PACKAGE in sys.modules:
        raise RuntimeError(f"{PACKAGE} is imported already")
    sys.meta_path.insert(0, _Finder())


class _Finder(PathFinder):
    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module of the ingestor, with a loader that strips it."""
        if not fullname.startswith(f"{PACKAGE}."):
            return None
        spec = super().find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin)
        return spec


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the stripped source; cached bytecode is not stripped, so it is not used."""
        path = self.get_filename(fullname)
        tree = _Stripper().visit(ast.parse(self.get_data(path), path))
        code: CodeType = compile(ast.fix_missing_locations(tree), path, "exec")
        return code


class _Stripper(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.stmt | None:
        """Remove a statement that records."""
        return None if _is_call(node.value, *RECORDS) else node

    def visit_With(self, node: ast.With) -> Any:
        """Replace a measured block with its body."""
        self.generic_visit(node)
        return node.body if all(_is_call(item.context_expr, MEASURED) for item in node.items) else node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Remove measuring decorators, and fill bodies that became empty."""
        super().generic_visit(node)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.decorator_list = [each for each in node.decorator_list if not _is_call(each, MEASURED)]
        if isinstance(body := getattr(node, "body", None), list) and not body and not isinstance(node, ast.Module):
            body.append(ast.Pass())
        return node


def _is_call(node: ast.expr, *names: str) -> bool:
    """Whether a node calls one of these names, or something that was reached through it."""
    if not isinstance(node, ast.Call):
        return False
    called: ast.expr = node
    while isinstance(called, ast.Attribute | ast.Call):
        called = called.value if isinstance(called, ast.Attribute) else called.func
    return isinstance(called, ast.Name) and called.id in names
