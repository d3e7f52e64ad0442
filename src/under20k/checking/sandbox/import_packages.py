"""Import the installed packages that a source needs, once for every model that is forked afterwards.

They are found by parsing: the source's own imports, and those of the local modules that it imports.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from under20k.checking.ownership import installed_folders
from under20k.checking.sandbox.process_limits import time_limit
from under20k.checking.source.syntax import PARSE_ERRORS

IMPORT_LIMIT_S = 60
"""For one package; one that takes longer is left to the models."""
COMPILING = ("optim", "lr_scheduler", "compile")
"""Parts of torch whose use imports its compiler, which takes a second."""
MAX_MODULES = 200
"""Local modules that are read."""


def import_packages(sources: Iterable[str], folders: Sequence[Path]) -> set[str]:
    """Import the installed packages that the sources import; return the top-level names that are new.

    Modules in ``folders`` are local ones, never packages. A package that fails is skipped: the model that
    needs it will report it.
    """
    installed = installed_folders()
    before = set(sys.modules)
    for name in dict.fromkeys(_imports(sources, folders)):
        top = name.partition(".")[0]
        if name in sys.modules or is_local(top, folders):
            continue
        with contextlib.suppress(BaseException), time_limit(IMPORT_LIMIT_S):
            spec = importlib.util.find_spec(top)
            if not (spec and spec.origin and spec.origin.startswith(installed)):
                continue
            importlib.import_module(name)
    return {name.partition(".")[0] for name in set(sys.modules) - before}


def is_local(name: str, folders: Sequence[Path]) -> bool:
    """Return whether a module or package of that top-level name lies in one of the folders."""
    return local_file(name, folders) is not None


def local_file(name: str, folders: Sequence[Path]) -> Path | None:
    """Return the file of a local module, or None."""
    for folder in folders:
        for path in (folder / f"{name}.py", folder / name / "__init__.py"):
            with contextlib.suppress(OSError):
                if path.is_file():
                    return path
    return None


def _imports(sources: Iterable[str], folders: Sequence[Path]) -> Iterator[str]:
    """Yield the dotted names that are imported, for local modules those that they import."""
    left, seen = list(sources), set[Path]()
    while left:
        for name in _imported(left.pop()):
            path = local_file(name.partition(".")[0], folders)
            if path is None:
                yield name
            elif path not in seen and len(seen) < MAX_MODULES:
                seen.add(path)
                files = [path] if path.name != "__init__.py" else sorted(path.parent.glob("*.py"))
                for file in files[:MAX_MODULES]:
                    with contextlib.suppress(Exception):
                        left.append(importlib.util.decode_source(file.read_bytes()))


def _imported(source: str) -> Iterator[str]:
    try:
        tree = ast.parse(source)
    except PARSE_ERRORS:
        return
    for node in _outside_functions(tree):
        if isinstance(node, ast.Attribute) and node.attr in COMPILING:
            yield "torch._dynamo"
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if alias.name.islower())


def _outside_functions(tree: ast.AST) -> Iterator[ast.AST]:
    left = [tree]
    while left:
        node = left.pop(0)
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            left += ast.iter_child_nodes(node)
