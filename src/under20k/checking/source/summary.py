"""Statements other than definitions and constants that run before a source's model is called."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from under20k.checking.source.syntax import IMPORTS, arguments, defaults_of, is_constant, is_main_guard

HARMLESS_DECORATORS = ("property", "staticmethod", "classmethod", "abstractmethod", "dataclass", "override")


def running(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt | ast.expr]:
    """Statements, and of definitions the decorators, defaults and bases that run with them."""
    for node in statements:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _decorators(node)
            notes = [node.returns, *(argument.annotation for argument in arguments(node.args))]
            yield from _calling([*defaults_of(node.args), *notes])
        elif isinstance(node, ast.ClassDef):
            yield from _decorators(node)
            yield from _calling([*node.bases, *(keyword.value for keyword in node.keywords)])
            yield from running(node.body)
        elif isinstance(node, ast.If) and is_main_guard(node):
            yield from running(node.orelse)
        elif isinstance(node, ast.Try):
            yield from running(node.body)
            for handler in node.handlers:
                yield from _calling([handler.type])
                yield from running(handler.body)
            yield from running([*node.orelse, *node.finalbody])
        elif not (isinstance(node, (*IMPORTS, ast.Pass)) or _is_text(node) or is_constant(node)):
            yield node


def _decorators(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Iterator[ast.expr]:
    for decorator in node.decorator_list:  # each is called
        if not (isinstance(decorator, ast.Name) and decorator.id in HARMLESS_DECORATORS):
            yield decorator


def _calling(parts: Iterable[ast.expr | None]) -> Iterator[ast.expr]:
    for part in parts:
        if part is not None and any(isinstance(inner, ast.Call) for inner in ast.walk(part)):
            yield part


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
