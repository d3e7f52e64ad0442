"""The top-level declarations of a source: classes, functions, imports, and which classes are models."""

from __future__ import annotations

import ast
import builtins
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from under20k.checking.source.classes import (
    NO_MODELS,
    Classes,
    bases_of,
    constructor_of,
    is_loss,
    is_model,
    method_of,
    runs,
    takes_one,
)
from under20k.checking.source.imported_definitions import Found, find_local
from under20k.checking.source.scopes import definitions_in, scopes_in
from under20k.checking.source.syntax import (
    FUNCTIONS,
    Function,
    imported,
    last_name,
    outside_functions,
    root_of,
)
from under20k.checking.source.top_level import Unit

OF_TORCH = (
    *("torch", "torchvision", "torchaudio", "lightning", "pytorch_lightning", "timm", "fastai", "ignite"),
)
"""Packages whose classes may be models."""


class Declarations:
    """The top level of a source, and the files next to it that it imports."""

    def __init__(self, units: Sequence[Unit], path: Path, roots: Sequence[Path] = ()) -> None:
        """Read the top-level statements of the source at ``path``; imports are looked up in ``roots``."""
        self.units, self.path, self.roots = units, path, roots
        top = [part for unit in self.units for part in definitions_in(unit.node)]
        self.classes: Classes = {node.name: node for node in top if isinstance(node, ast.ClassDef)}
        self.functions: dict[str, Function] = {node.name: node for node in top if isinstance(node, FUNCTIONS)}
        nodes = [part for unit in self.units for part in outside_functions(unit.node)]
        froms = [part for part in nodes if isinstance(part, ast.ImportFrom)]
        named = [(alias.asname or alias.name, node) for node in froms for alias in node.names]
        self.imports = {name: node for name, node in named if name != "*"}
        self.stars = [node for name, node in named if name == "*"]
        self.packages = {n: (node.module or "").partition(".")[0] for n, node in named if not node.level}
        for part in nodes:
            if isinstance(part, ast.Import):
                self.packages |= {name: part.names[0].name.partition(".")[0] for name in imported(part)}
        self._found: dict[str, Found | None] = {}
        self.bound = {name for unit in self.units for name in unit.binds}
        self.aliases = {
            last_name(target): node.value.id
            for node in (unit.node for unit in self.units)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name)
            for target in node.targets
        }
        self.models = [name for name in self.classes if self._is_model(name)]
        self.losses = {name for name in self.classes if is_loss(name, self.classes)}
        self.scopes = [(unit, scope) for unit in self.units for scope in scopes_in(unit.node)]

    def calls(self, name: str) -> list[tuple[ast.Call, ast.AST]]:
        """Return the calls of ``name`` outside the class itself, each with its scope."""
        own = self.classes.get(name)
        found = []
        for scope in (scope for _, scope in self.scopes if scope.node is not own):
            for part in scope.parts:
                if isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id == name:
                    found.append((part, scope.node))
        return found

    def node_of(self, name: str) -> ast.ClassDef | Function | None:
        """Return the class or function of this name, here or in a file next to the source."""
        if node := self.classes.get(name) or self.functions.get(name):
            return node
        local = self.local(name)
        return local.node if local else None

    def constructor(self, name: str) -> ast.arguments | None:
        """Return the parameters of a class's constructor, ``self`` included, or of a factory."""
        if node := self.functions.get(name):
            return node.args
        if name in self.classes:
            return constructor_of(name, self.classes)
        local = self.local(name)
        if local is None:
            return None
        return (
            local.node.args
            if isinstance(local.node, FUNCTIONS)
            else constructor_of(local.node.name, local.classes)
        )

    def _is_model(self, name: str) -> bool:
        """Return whether a class derives from nn.Module, by bases here and in files next to the source."""
        if is_model(name, self.classes):
            return True
        elsewhere = (base for base in bases_of(name, self.classes) if base in self.imports)
        return any(local.is_model for local in map(self.local, elsewhere) if local)

    @cached_property
    def blocks(self) -> set[str]:
        """Model classes that another model class uses, itself or through functions, but not as its base."""
        if len(self.models) < 2:
            return set()
        parts: dict[str, list[ast.AST]] = {name: [node] for name, node in self.functions.items()}
        parts |= {
            name: [*self.classes[name].body, *self.classes[name].decorator_list] for name in self.models
        }
        reads = {
            name: {part.id for node in nodes for part in ast.walk(node) if isinstance(part, ast.Name)}
            for name, nodes in parts.items()
        }
        blocks: set[str] = set()
        for name in self.models:
            seen = {name}
            left = [] if name in self.losses else list(reads[name])
            while left:
                if (used := left.pop()) not in seen and used in reads:
                    seen.add(used)
                    left += reads[used]
            blocks |= seen & set(self.models) - {name}
        return blocks

    def tiers(self) -> Iterator[list[str]]:
        """Yield groups of classes that may be the model, the likeliest first."""
        usable = [name for name in self.models if name not in self.losses]
        tops = [name for name in usable if name not in self.blocks]
        yield [name for name in tops if runs(name, self.classes) and self._takes_one(name)]
        yield [name for name in usable if runs(name, self.classes) and self._takes_one(name)]
        yield tops
        yield usable
        unknown = [
            name
            for name, node in self.classes.items()
            if name not in self.losses
            and node.bases
            and not any(
                NO_MODELS.search(last_name(base)) or last_name(base) in self.classes for base in node.bases
            )
            and all(self._may_be_of_torch(base) for base in node.bases)
        ]
        yield [name for name in unknown if method_of(name, "forward", self.classes)]
        # Leave out classes that iterate, load or transform data.
        data = ("__getitem__", "__len__", "__iter__", "__call__", "setup", "train_dataloader")
        yield [name for name in unknown if not any(method_of(name, method, self.classes) for method in data)]

    def _may_be_of_torch(self, base: ast.expr) -> bool:
        """Return whether a base from elsewhere may be an nn.Module.

        It may not if it is Python's or belongs to an installed package without torch.
        """
        root = root_of(base)
        if hasattr(builtins, root):
            return False
        if local := self.local(root):
            return local.is_model
        package = self.packages.get(root, "")
        if package in sys.stdlib_module_names:
            return False
        return package in OF_TORCH or not package or not _is_installed(package)

    def _takes_one(self, name: str) -> bool:
        forward = method_of(name, "forward", self.classes)
        return forward is None or takes_one(forward.args)

    def is_foreign(self, name: str) -> bool:
        """Return whether the class has a ``forward`` and a base from elsewhere."""
        return self.classes[name].bases != [] and method_of(name, "forward", self.classes) is not None

    def local(self, name: str) -> Found | None:
        """Return the definition of an imported name in a file next to the source."""
        if name not in self._found:
            nodes = [self.imports[name]] if name in self.imports else self.stars
            found = (find_local(node, name, self.path, self.roots) for node in nodes)
            self._found[name] = next(filter(None, found), None)
        return self._found[name]


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False
