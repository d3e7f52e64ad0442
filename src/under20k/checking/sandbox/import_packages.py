"""The installed packages that a source imports, imported once for every model that is forked afterwards.

Found by parsing: the source's own imports, and those of the local modules that it imports.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from under20k.checking.sandbox.audit_hook import installed_folders
from under20k.checking.source.ipython import PARSE_ERRORS

IMPORT_LIMIT_S = 60
"""For one package; one that takes longer is left to the models."""
COMPILING = ("optim", "lr_scheduler", "compile")
"""What of torch imports its compiler when it is used, which takes a second."""
MOST_MODULES = 200
"""Local modules that are looked at."""


class TooLong(BaseException):
    """What runs has had its time."""


@contextlib.contextmanager
def time_limit(limit_s: float) -> Iterator[None]:
    """Raise TooLong in what runs after ``limit_s`` seconds, and again each second; not on Windows."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    active = True

    def ring(number: int, frame: Any) -> None:
        if active:
            raise TooLong

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit_s, 1)
    try:
        yield
    finally:
        active = False  # first: it may ring on the way out
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def preload(sources: Iterable[str], folders: Sequence[Path]) -> set[str]:
    """Import the installed packages that the sources import; returns the top-level names that came new.

    What lies in ``folders``, where local modules are looked up, is never taken for a package. A package that
    fails is passed over: the model that needs it will say so.
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
    """Whether a module or package of that top-level name lies in one of the folders."""
    return local_file(name, folders) is not None


def local_file(name: str, folders: Sequence[Path]) -> Path | None:
    """The file of a local module, or None."""
    for folder in folders:
        for path in (folder / f"{name}.py", folder / name / "__init__.py"):
            with contextlib.suppress(OSError):
                if path.is_file():
                    return path
    return None


def _imports(sources: Iterable[str], folders: Sequence[Path]) -> Iterator[str]:
    """Dotted names that are imported, of local modules those that they import."""
    left, seen = list(sources), set[Path]()
    while left:
        for name in _imported(left.pop()):
            path = local_file(name.partition(".")[0], folders)
            if path is None:
                yield name
            elif path not in seen and len(seen) < MOST_MODULES:
                seen.add(path)
                files = [path] if path.name != "__init__.py" else sorted(path.parent.glob("*.py"))
                for file in files[:MOST_MODULES]:
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
