"""Helpers on Python's syntax trees that every reader of a source shares. No code runs."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator

Piece = tuple[str, str]
"""The place of a piece of code (``work.ipynb cell 3``) and its text."""
IMPORTS = (ast.Import, ast.ImportFrom)
# Raised by ast.parse; SystemError is CPython's for code nested too deep.
PARSE_ERRORS = (SyntaxError, ValueError, RecursionError, MemoryError, SystemError)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def tree_of(text: str) -> ast.Module:
    """Parse without warnings about the student's string escapes. Raises PARSE_ERRORS."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def try_tree_of(text: str) -> ast.Module | None:
    """Parse like ``tree_of``; return None if the text cannot be parsed."""
    try:
        return tree_of(text)
    except PARSE_ERRORS:
        return None


def is_constant(node: ast.stmt) -> bool:
    """Return whether the statement is an assignment without any call."""
    assigned = isinstance(node, ast.Assign | ast.AnnAssign)
    return assigned and not any(isinstance(part, ast.Call) for part in ast.walk(node))


def is_main_guard(node: ast.stmt) -> bool:
    """Return whether the statement is ``if __name__ == "__main__":``."""
    test = node.test if isinstance(node, ast.If) else None
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], ast.Eq):
        return False
    sides = [test.left, test.comparators[0]]
    has_name = any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)
    return has_name and any(isinstance(side, ast.Constant) and side.value == "__main__" for side in sides)


def outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that run with the statement, not those in the bodies of functions and lambdas."""
    stack = [node]
    while stack:
        part = stack.pop()
        yield part
        if isinstance(part, FUNCTIONS):
            stack += around(part)
        elif isinstance(part, ast.Lambda):
            stack += defaults_of(part.args)
        else:
            stack += ast.iter_child_nodes(part)


def around(node: Function | ast.ClassDef) -> list[ast.expr]:
    """Return the expressions that run with a definition: decorators, defaults, annotations, bases."""
    if isinstance(node, ast.ClassDef):
        return [*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)]
    return [*node.decorator_list, *defaults_of(node.args), *annotations_of(node)]


def root_of(node: ast.AST) -> str:
    """Return ``a`` for ``a.b[c].d``, empty if it does not begin with a name."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def imported(node: ast.Import | ast.ImportFrom) -> set[str]:
    """Return the names that an import binds, ``*`` among them."""
    if isinstance(node, ast.Import):
        return {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    return {alias.asname or alias.name for alias in node.names}


def annotations_of(node: Function) -> list[ast.expr]:
    """Return the annotations of the parameters and of the result."""
    found = [argument.annotation for argument in arguments(node.args)] + [node.returns]
    return [note for note in found if note is not None]


def arguments(args: ast.arguments) -> list[ast.arg]:
    """Return all parameters, of every kind."""
    stars = [arg for arg in (args.vararg, args.kwarg) if arg]
    return [*args.posonlyargs, *args.args, *args.kwonlyargs, *stars]


def defaults_of(args: ast.arguments) -> list[ast.expr]:
    """Return the default values."""
    return [default for default in (*args.defaults, *args.kw_defaults) if default is not None]


def last_name(node: ast.expr) -> str:
    """Return ``Conv2d`` for ``nn.Conv2d``."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
