"""The top-level statements of a source, and facts about each."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from under20k.checking.source.ipython import WRITEFILE
from under20k.checking.source.names import Names, body_of, changed, scan
from under20k.checking.source.reduce_block import BLOCKS
from under20k.checking.source.syntax import (
    FUNCTIONS,
    IMPORTS,
    PARSE_ERRORS,
    Piece,
    is_constant,
    is_main_guard,
    outside_functions,
    tree_of,
)
from under20k.checking.source.training_calls import training_functions, trains

ANNOTATIONS_FLAG: int = annotations.compiler_flag
"""Compiler flag of ``from __future__ import annotations``; other such imports no longer change anything."""


@dataclass
class Unit:
    """A top-level statement, and the facts about it."""

    place: str
    node: ast.stmt
    flags: int
    guarded: bool
    """Whether it is below ``if __name__ == "__main__"``."""
    names: Names
    binds: set[str]
    changes: set[str]
    """Names whose objects it changes, or that a function it calls binds."""
    trains: bool = False
    needed: set[str] = field(default_factory=set)
    """The names for which the model needs it."""

    @property
    def kept(self) -> bool:
        """Whether it runs even if nothing is known to need it."""
        node = self.node
        return not self.guarded and (
            isinstance(node, (*IMPORTS, *FUNCTIONS, ast.ClassDef))
            or is_constant(node)
            or tries_imports(node)
            or (isinstance(node, ast.Expr) and "sys" in self.changes)  # sys.path.append
        )

    @property
    def sliced(self) -> bool:
        """Whether only the statements in it run that the model needs."""
        return self.trains and isinstance(self.node, BLOCKS)

    @property
    def replaces(self) -> bool:
        """Whether the values that it binds do not depend on earlier ones."""
        node = self.node
        if isinstance(node, ast.Import) and not node.names[0].asname and "." in node.names[0].name:
            return False
        plain = isinstance(node, (*IMPORTS, *FUNCTIONS, ast.ClassDef, ast.Assign, ast.AnnAssign))
        return plain and not self.binds & self.names.now


def units(pieces: Iterable[Piece]) -> list[Unit]:
    """Return the top-level statements of all pieces, in order, those below the main guard included."""
    pieces = list(pieces)
    written = {match[1] for _, text in pieces if (match := written_module(text))}
    found: list[Unit] = []
    flags = 0
    for place, text in pieces:
        try:
            tree = tree_of(text)
        except PARSE_ERRORS:
            continue
        for node, guarded in _statements(tree.body, False):
            if isinstance(node, ast.ImportFrom) and node.module == "__future__":
                if any(alias.name == "annotations" for alias in node.names):
                    flags |= ANNOTATIONS_FLAG
                continue
            for part in _split(node, written):
                names = scan([part], lazy_annotations=bool(flags))
                changes = set(changed(part))
                found.append(Unit(place, part, flags, guarded, names, set(names.binds), changes))
    _mark_calls(found)
    return found


def written_module(text: str) -> re.Match[str] | None:
    """Match a piece that a notebook writes to a file; group 1 is the module's name."""
    return re.match(re.escape(WRITEFILE) + r"(?:.*/)?(\w+)\.py\s*\n", text)


def tries_imports(node: ast.stmt) -> bool:
    """Return whether the statement is ``try: import a`` and nothing else in the block."""
    return isinstance(node, ast.Try) and all(isinstance(part, IMPORTS) for part in node.body)


def _statements(body: Iterable[ast.stmt], guarded: bool) -> Iterable[tuple[ast.stmt, bool]]:
    for node in body:
        if isinstance(node, ast.If) and is_main_guard(node):
            yield from ((part, True) for part in node.body)
        else:
            yield node, guarded


def _split(node: ast.stmt, written: set[str]) -> Iterable[ast.stmt]:
    """Yield an import of several names as several.

    If the notebook writes the module, its names are bound to those of the notebook.
    """
    if not isinstance(node, ast.Import | ast.ImportFrom):
        yield node
        return
    for alias in node.names:
        if isinstance(node, ast.Import):
            part: ast.stmt = ast.Import([alias])
            if alias.name.rpartition(".")[2] in written:
                text = f"{alias.asname or alias.name} = __import__('sys').modules[__name__]"
                part = ast.parse(text).body[0]
        elif (node.module or "").rpartition(".")[2] in written:
            if alias.name == "*" or alias.asname in (None, alias.name):
                continue
            part = ast.parse(f"{alias.asname} = {alias.name}").body[0]
        else:
            part = ast.ImportFrom(node.module, [alias], node.level)
        for inner in ast.walk(part):
            ast.copy_location(inner, node)
        yield part


def _mark_calls(found: list[Unit]) -> None:
    """Mark the units that train, and those that bind names through a function's ``global``."""
    functions = {unit.node.name: unit.node for unit in found if isinstance(unit.node, FUNCTIONS)}
    training = training_functions(functions)
    binding = {name: body_of(node).globals for name, node in functions.items()}
    for unit in found:
        if isinstance(unit.node, (*IMPORTS, *FUNCTIONS, ast.ClassDef)):
            continue
        unit.trains = trains(unit.node, training, functions)
        for part in outside_functions(unit.node):
            if isinstance(part, ast.Call) and isinstance(part.func, ast.Name):
                unit.binds |= binding.get(part.func.id, set())
