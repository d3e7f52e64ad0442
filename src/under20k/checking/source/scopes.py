"""The definitions and scopes of a syntax tree, and the calls whose results assignments name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from under20k.checking.source.syntax import FUNCTIONS, around, last_name

WRAPPERS = ("DataParallel", "compile", "script", "DistributedDataParallel", "prepare", "summary")
MOVES = ("to", "cuda", "cpu", "float", "double", "half", "train", "eval", "requires_grad_", "apply")


def definitions_in(node: ast.stmt) -> Iterator[ast.stmt]:
    """Yield the classes and functions that a top-level statement defines, below ``if`` and ``try`` too."""
    stack: list[ast.AST] = [node]
    while stack:
        part = stack.pop()
        if isinstance(part, (*FUNCTIONS, ast.ClassDef)):
            yield part
        elif isinstance(part, ast.stmt | ast.ExceptHandler):
            stack += reversed(
                [p for p in ast.iter_child_nodes(part) if isinstance(p, ast.stmt | ast.ExceptHandler)]
            )


@dataclass
class Scope:
    """A function's or a class's own code, or that of a top-level statement."""

    node: ast.AST
    parts: list[ast.AST]
    """Its nodes, without those of functions and classes in it, in the order of the source."""
    in_class: str
    """The outermost class that it belongs to, empty if none."""

    @property
    def is_top(self) -> bool:
        """Whether its code runs with the module."""
        return not isinstance(self.node, (*FUNCTIONS, ast.ClassDef))


def scopes_in(node: ast.AST) -> Iterator[Scope]:
    """Yield the scope of a top-level statement, and those of every function and class inside."""
    left = [(node, "")]
    while left:
        at, in_class = left.pop()
        parts: list[ast.AST] = []
        is_scope = isinstance(at, (*FUNCTIONS, ast.ClassDef))
        if isinstance(at, ast.ClassDef):
            in_class = in_class or at.name
        stack: list[ast.AST] = list(reversed(at.body)) if isinstance(at, (*FUNCTIONS, ast.ClassDef)) else [at]
        inner: list[tuple[ast.AST, str]] = []
        while stack:
            part = stack.pop()
            if isinstance(part, (*FUNCTIONS, ast.ClassDef)) and (is_scope or part is not node):
                inner.append((part, in_class))
                stack += reversed(around(part))
                continue
            parts.append(part)
            stack += reversed(list(ast.iter_child_nodes(part)))
        left += reversed(inner)
        yield Scope(at, parts, in_class)


def named_calls(target: ast.expr, value: ast.expr) -> dict[ast.Call, str]:
    """Return the calls whose results an assignment names."""
    if isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List):
        found: dict[ast.Call, str] = {}
        for left, right in zip(target.elts, value.elts, strict=False):
            found.update(named_calls(left, right))
        return found
    value = stripped(value)
    name = last_name(target)
    return {value: name} if isinstance(value, ast.Call) and name else {}


def stripped(value: ast.expr) -> ast.expr:
    """Return ``Net()`` for ``Net().to(device)`` and ``nn.DataParallel(Net())``."""
    while isinstance(value, ast.Call):
        function = value.func
        if (
            isinstance(function, ast.Attribute)
            and function.attr in MOVES
            and isinstance(function.value, ast.Call)
        ):
            value = function.value
        elif last_name(function) in WRAPPERS and value.args and isinstance(value.args[0], ast.Call):
            value = value.args[0]
        else:
            break
    return value
