"""Find the classes and functions that a source imports from files next to it, by parsing alone."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from under20k.checking.source.classes import LOSSES, is_model
from under20k.checking.source.read_source import read_source
from under20k.checking.source.syntax import FUNCTIONS, PARSE_ERRORS, Function, tree_of
from under20k.errors import UserError

DEPTH = 5
"""Depth of imports that only pass a name on."""


@dataclass(frozen=True)
class Found:
    """A definition in another file."""

    node: ast.ClassDef | Function
    file: Path
    classes: dict[str, ast.ClassDef]
    """All of that file."""

    @property
    def is_model(self) -> bool:
        """Whether it is a class of nn.Module, or has a ``forward``."""
        if not isinstance(self.node, ast.ClassDef) or LOSSES.search(self.node.name):
            return False
        forward = any(isinstance(part, FUNCTIONS) and part.name == "forward" for part in self.node.body)
        return forward or is_model(self.node.name, self.classes)


def find_local(
    node: ast.ImportFrom, name: str, path: Path, roots: Iterable[Path], depth: int = DEPTH
) -> Found | None:
    """Find the definition that ``node`` imports as ``name``, if it is in a file next to the source.

    Args:
        node: the import.
        name: the name that it binds.
        path: of the source.
        roots: folders to look in after the source's own.
        depth: of imports that only pass a name on.
    """
    original = next((alias.name for alias in node.names if (alias.asname or alias.name) == name), name)
    for file in _files(node, original, path, roots):
        try:
            data = file.read_bytes()
        except OSError:
            continue
        if original.encode() not in data and b"*" not in data:
            continue
        body = _body(file, hash(data))
        classes = {part.name: part for part in body if isinstance(part, ast.ClassDef)}
        for part in reversed(body):
            if isinstance(part, (*FUNCTIONS, ast.ClassDef)) and part.name == original:
                return Found(part, file, classes)
        for part in reversed(body):
            if isinstance(part, ast.ImportFrom) and depth:
                names = {alias.asname or alias.name for alias in part.names}
                if names & {original, "*"} and (found := find_local(part, original, file, roots, depth - 1)):
                    return found
    return None


@lru_cache(maxsize=256)
def _body(file: Path, content: int) -> tuple[ast.stmt, ...]:
    """Return the top-level statements of a file with this hash of its content, none if it does not parse."""
    try:
        trees = [tree_of(text) for _, text in read_source(file).pieces]
    except (UserError, *PARSE_ERRORS):
        return ()
    return tuple(part for tree in trees for part in tree.body)


def _files(node: ast.ImportFrom, name: str, path: Path, roots: Iterable[Path]) -> list[Path]:
    parts = (node.module or "").split(".") if node.module else []
    if node.level:
        above = path.absolute().parents
        folders = [above[node.level - 1]] if node.level <= len(above) else []
    else:
        folders = list(dict.fromkeys([path.absolute().parent, *roots]))
    found = []
    for folder in folders:
        place = folder.joinpath(*parts)
        options = [place.with_suffix(".py")] if parts else []
        options += [place / f"{name}.py", place / "__init__.py"]
        for file in options:
            try:
                if file.is_file() and file.absolute() != path.absolute():
                    found.append(file)
            except (OSError, ValueError):
                continue
    return found
