"""The files of a submission, and how they use each other by their imports."""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from under20k.checking.source.classes import LOSS_FUNCTIONS
from under20k.checking.source.read_source import Source, read_source
from under20k.checking.source.syntax import PARSE_ERRORS, tree_of
from under20k.errors import UserError

MODULES = ("Module", "Sequential")
Names = dict[Path, dict[str, None]]
"""Names by file, in the order of the source."""


class Files(Mapping[Path, "File"]):
    """Python files and notebooks of one author, and their imports of each other."""

    def __init__(self, paths: Iterable[Path], top: Path, known: Files | None = None) -> None:
        """Parse the files at ``paths``, or take them from ``known``."""
        self.top = top
        self._files = {path: File(path, self, known[path].source if known else _read(path)) for path in paths}

    def __getitem__(self, path: Path) -> File:
        return self._files[path]

    def __iter__(self) -> Iterator[Path]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def module(self, parts: list[str], folders: list[Path]) -> File | None:
        """Return the file of a module that is looked up in these folders."""
        for folder in folders:
            place = folder.joinpath(*parts)
            for path in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
                if path in self._files:
                    return self._files[path]
        return None

    def used(self) -> tuple[Names, Names]:
        """Return, by file, the names that others call to make a model, and those that are parts of theirs."""
        made: Names = {}
        parts: Names = {}
        for file in self.values():
            for path, name, within in file.calls:
                (parts if within else made).setdefault(path, {})[name] = None
        return made, parts


class File:
    """One file, parsed; empty where it cannot be."""

    def __init__(self, path: Path, files: Files, source: Source) -> None:
        self.path, self.files, self.source = path, files, source
        self.tree = ast.Module([], [])
        for _, text in source.pieces:
            with contextlib.suppress(*PARSE_ERRORS):
                self.tree.body += tree_of(text).body
        self.defined: dict[str, ast.stmt] = {}
        """Classes, functions and assigned names at the top level, by their last definition."""
        for node in self.tree.body:
            for name in _names_made(node):
                self.defined[name] = node
        self._names: dict[str, tuple[File, str]] | None = None
        self._modules: dict[str, File] = {}
        self._stars: list[File] = []

    @property
    def name(self) -> str:
        """Its path within the submission."""
        return self.path.relative_to(self.files.top).as_posix()

    @property
    def has_model_class(self) -> bool:
        """Whether a class here is of ``nn.Module`` by its own bases."""
        return any(isinstance(node, ast.ClassDef) and _is_model(node) for node in self.tree.body)

    @property
    def may_hold_model(self) -> bool:
        """Whether the text, Python or not, names the parts of a model."""
        return bool(re.search(rb"\bnn\b|Module|Sequential", self.path.read_bytes()))

    @property
    def losses(self) -> frozenset[str]:
        """The loss functions that it names."""
        nodes = list(ast.walk(self.tree))
        names = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        return LOSS_FUNCTIONS & (names | {node.id for node in nodes if isinstance(node, ast.Name)})

    def imports(self) -> list[File]:
        """Return the other files that this one imports itself."""
        self._resolve()
        assert self._names is not None
        found = [file for file, _ in self._names.values()]
        found += [*self._modules.values(), *self._stars]
        return list({file.path: file for file in found if file is not self}.values())

    def reached(self) -> list[File]:
        """Return the other files that this one imports, directly or not."""
        found: dict[Path, File] = {}
        left = self.imports()
        while left:
            file = left.pop(0)
            if file is not self and file.path not in found:
                found[file.path] = file
                left += file.imports()
        return list(found.values())

    def origin(self, name: str, depth: int = 8) -> tuple[File, str] | None:
        """Return the file that defines the object called ``name`` here, and its name there."""
        self._resolve()
        assert self._names is not None
        if name in self.defined:
            return self, name
        if depth and name in self._names:
            file, there = self._names[name]
            return file.origin(there, depth - 1)
        for file in self._stars if depth else ():
            if found := file.origin(name, depth - 1):
                return found
        return None

    def is_borrowed(self, name: str) -> bool:
        """Return whether another file defines the object called ``name`` here, or its factory."""
        node = self.defined.get(name)
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
            found = self._called(node.value)
        else:
            found = self.origin(name)
        return found is not None and found[0] is not self

    @cached_property
    def calls(self) -> list[tuple[Path, str, bool]]:
        """Calls of other files' definitions: the file, the name, and whether a model's class calls it."""
        return list(self._calls())

    def _calls(self) -> Iterator[tuple[Path, str, bool]]:
        left: list[tuple[ast.AST, bool]] = [(self.tree, False)]
        while left:
            node, within = left.pop()
            within = within or (isinstance(node, ast.ClassDef) and _is_model(node))
            if isinstance(node, ast.Call) and (found := self._called(node)) and found[0] is not self:
                yield found[0].path, found[1], within
            left += [(child, within) for child in ast.iter_child_nodes(node)][::-1]

    def code_of(self, name: str) -> str:
        """Return the code that a definition consists of, without layout, to tell whether two are the same."""
        found: dict[str, str] = {}
        left = [name]
        while left:
            here = left.pop()
            if here in found:
                continue
            if node := self.defined.get(here):
                found[here] = ast.dump(node)
                left += [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]
            elif origin := self.origin(here):
                found[here] = f"{origin[0].path}:{origin[1]}"
        return "\n".join(f"{here}={code}" for here, code in sorted(found.items()))

    def _called(self, call: ast.Call) -> tuple[File, str] | None:
        module, _, name = _dotted(call.func).rpartition(".")
        if not module:
            return self.origin(name)
        self._resolve()
        file = self._modules.get(module)
        return file.origin(name) if file else None

    def _resolve(self) -> None:
        """Look up the imports, once."""
        if self._names is not None:
            return
        self._names = {}
        above = folders_up(self.path.parent, self.files.top)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if file := self.files.module(alias.name.split("."), above):
                        self._modules[alias.asname or alias.name] = file
            elif isinstance(node, ast.ImportFrom):
                parts = node.module.split(".") if node.module else []
                folders = above
                if node.level:
                    folders = [self.path.parent, *self.path.parent.parents][node.level - 1 :][:1]
                self._resolve_from(node, parts, folders)

    def _resolve_from(self, node: ast.ImportFrom, parts: list[str], folders: list[Path]) -> None:
        assert self._names is not None
        file = self.files.module(parts, folders) if parts else self.files.module(["__init__"], folders)
        for alias in node.names:
            if submodule := self.files.module([*parts, alias.name], folders):
                self._modules[alias.asname or alias.name] = submodule
            elif file and alias.name == "*":
                self._stars.append(file)
            elif file and file is not self:
                self._names[alias.asname or alias.name] = (file, alias.name)


def folders_up(folder: Path, top: Path) -> list[Path]:
    """Return the folders from ``folder`` up to ``top``, only the first if it does not lie below."""
    above = [folder]
    while above[-1] != top and top in above[-1].parents:
        above.append(above[-1].parent)
    return above


def _read(path: Path) -> Source:
    try:
        return read_source(path)
    except (UserError, *PARSE_ERRORS):
        return Source()


def _names_made(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name}
    if not isinstance(node, ast.Assign | ast.AnnAssign | ast.If | ast.Try):
        return set()
    names = (part for part in ast.walk(node) if isinstance(part, ast.Name))
    return {name.id for name in names if isinstance(name.ctx, ast.Store)}


def _is_model(node: ast.ClassDef) -> bool:
    return any(_dotted(base).rpartition(".")[2] in MODULES for base in node.bases)


def _dotted(node: ast.expr) -> str:
    """Return ``a.b.c`` for such an expression, else nothing."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""
