"""The module-level names that a piece of syntax reads, binds and changes. No input raises."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from under20k.checking.source.syntax import (
    FUNCTIONS,
    Function,
    annotations_of,
    arguments,
    around,
    defaults_of,
    imported,
    outside_functions,
    root_of,
)

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
MUTATING = frozenset(
    (
        *("append", "extend", "insert", "add", "update", "setdefault", "pop", "remove", "clear", "sort"),
        *("reverse", "add_module", "register_module", "register_buffer", "register_parameter"),
        *("add_argument", "add_argument_group", "set_defaults", "freeze", "merge_from_file"),
        *("merge_from_list", "__setitem__"),
    )
)
"""Methods that change their object, among those that models are built with."""


@dataclass
class Names:
    """Names of one scope."""

    now: set[str] = field(default_factory=set)
    """Read from the enclosing scope when the code runs."""
    later: set[str] = field(default_factory=set)
    """Read by the bodies of functions defined there."""
    binds: set[str] = field(default_factory=set)
    globals: set[str] = field(default_factory=set)
    """Declared ``global`` there and in the functions inside."""
    attributes: set[str] = field(default_factory=set)
    """Attributes, and texts that could name one (``getattr``)."""

    def add(self, other: Names) -> None:
        """Add the names that ``other`` reads, as code of the same scope."""
        self.now |= other.now
        self.later |= other.later
        self.globals |= other.globals
        self.attributes |= other.attributes


def scan(nodes: Iterable[ast.AST], *, lazy_annotations: bool = False, in_function: bool = False) -> Names:
    """Collect the names of ``nodes``, which stand in one scope.

    Args:
        nodes: statements or expressions.
        lazy_annotations: whether annotations are not evaluated (``from __future__ import annotations``).
        in_function: whether the scope is a function's.
    """
    try:
        return _scan(nodes, lazy_annotations, in_function)
    except RecursionError:  # hundreds of nested lambdas: take every name as if there were one scope
        names = Names()
        for node in nodes:
            for part in ast.walk(node):
                if isinstance(part, ast.Name):
                    (names.now if isinstance(part.ctx, ast.Load) else names.binds).add(part.id)
        return names


def _scan(nodes: Iterable[ast.AST], lazy: bool, in_function: bool) -> Names:
    names = Names()
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Name):
            (names.now if isinstance(node.ctx, ast.Load) else names.binds).add(node.id)
        elif isinstance(node, ast.Attribute):
            names.attributes.add(node.attr)
            stack.append(node.value)
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, str) and len(node.value) < 60 and node.value.isidentifier():
                names.attributes.add(node.value)
        elif isinstance(node, FUNCTIONS):
            names.binds.add(node.name)
            stack += [*node.decorator_list, *defaults_of(node.args)]
            if not lazy:
                stack += annotations_of(node)
            inner = body_of(node, lazy)
            names.later |= inner.now
            names.globals |= inner.globals
            names.attributes |= inner.attributes
        elif isinstance(node, ast.Lambda):
            stack += defaults_of(node.args)
            inner = _scan([node.body], lazy, True)
            names.now |= (inner.now | inner.later) - _parameters(node.args) - inner.binds
            names.attributes |= inner.attributes
        elif isinstance(node, ast.ClassDef):
            names.binds.add(node.name)
            stack += around(node)
            names.add(_class_body(node, lazy))
        elif isinstance(node, COMPREHENSIONS):
            inner = _scan(ast.iter_child_nodes(node), lazy, in_function)
            targets = _scan([g.target for g in node.generators], lazy, in_function).binds
            names.now |= (inner.now | inner.later) - targets
            names.binds |= inner.binds - targets  # :=
            names.attributes |= inner.attributes
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.binds |= imported(node)
        elif isinstance(node, ast.Global):
            names.globals |= set(node.names)
        elif isinstance(node, ast.AnnAssign):
            stack += [node.target] if node.value is None else [node.target, node.value]
            if not (lazy or in_function):
                stack.append(node.annotation)
            if node.value is None and isinstance(node.target, ast.Name):
                stack.remove(node.target)  # declared, not bound
        elif isinstance(node, ast.AugAssign):
            if isinstance(node.target, ast.Name):
                names.now.add(node.target.id)
            stack += [node.target, node.value]
        else:
            if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
                names.binds.add(node.name)
            elif isinstance(node, ast.MatchMapping) and node.rest:
                names.binds.add(node.rest)
            stack += ast.iter_child_nodes(node)
    return names


def body_of(function: Function, lazy: bool = False) -> Names:
    """Return the outside names that a function reads when called; ``globals``: those that it binds."""
    inner = _scan(function.body, lazy, True)
    local = (inner.binds | _parameters(function.args)) - inner.globals
    return Names(
        now=(inner.now | inner.later) - local,
        globals=inner.globals & (inner.binds | inner.globals),
        attributes=inner.attributes,
    )


def changed(node: ast.AST) -> Iterator[str]:
    """Yield names whose objects change: ``N.x = …``, ``N[i] = …``, ``N.append(…)``, ``setattr``."""
    for part in outside_functions(node):
        if isinstance(part, ast.Attribute | ast.Subscript) and not isinstance(part.ctx, ast.Load):
            if root := root_of(part):
                yield root
            elif isinstance(part, ast.Subscript) and (name := _global_item(part)):
                yield name
        elif isinstance(part, ast.Call):
            if isinstance(part.func, ast.Attribute) and part.func.attr in MUTATING:
                if root := root_of(part.func.value):
                    yield root
            elif getattr(part.func, "id", "") == "setattr" and part.args and (root := root_of(part.args[0])):
                yield root


def _class_body(node: ast.ClassDef, lazy: bool) -> Names:
    names, bound = Names(), set[str]()
    for statement in node.body:
        part = _scan([statement], lazy, False)
        part.now -= bound
        names.add(part)
        bound |= part.binds
    return names


def _parameters(args: ast.arguments) -> set[str]:
    return {argument.arg for argument in arguments(args)}


def _global_item(part: ast.Subscript) -> str:
    """Return ``x`` for ``globals()["x"]``."""
    call, index = part.value, part.slice
    is_globals = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "globals"
    return (
        index.value if is_globals and isinstance(index, ast.Constant) and isinstance(index.value, str) else ""
    )
