"""The source of a model that a program or a notebook has made: that of its classes, and where they stand."""

from __future__ import annotations

import ast
import linecache
import os
import sys
from collections.abc import Iterator
from types import FunctionType

from torch import nn

from under20k.checking.ownership import Ownership


def classes_of(module: nn.Module) -> dict[type, str]:
    """Return the classes of a module and its parts that their author wrote, each with its file or cell.

    Classes without methods are left out, and what was typed into a terminal's prompt.
    """
    ownership, found = Ownership(), {}
    for kind in dict.fromkeys(kind for part in module.modules() for kind in type(part).__mro__):
        file = next((method.__code__.co_filename for method in _methods(kind)), "")
        if file and (_cell(file) or ownership.is_authors(file)):
            found[kind] = file
    return found


def files_of(module: nn.Module) -> dict[str, bytes]:
    """Return the files of a module's classes, by name; a notebook's cell by its number: ``In_3.py``."""
    found = {}
    for file in dict.fromkeys(classes_of(module).values()):
        if lines := linecache.getlines(file):
            found[_cell(file) or os.path.basename(file)] = "".join(lines).encode(errors="replace")
    return found


def source_of(module: nn.Module) -> str:
    """Return the source of a module's classes alone: what stands beside them may change."""
    return "\n\n".join(_class_source(kind, file) for kind, file in classes_of(module).items())


def _class_source(kind: type, file: str) -> str:
    """Return the source of a class; of ``inspect``, cells and old versions of Python get none."""
    text = "".join(linecache.getlines(file))
    at = {method.__code__.co_firstlineno for method in _methods(kind)}
    try:
        nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)]
    except (SyntaxError, ValueError):  # the file has changed since
        return ""
    for node in nodes:
        if node.name == kind.__name__ and at & set(range(node.lineno, (node.end_lineno or 0) + 1)):
            return ast.get_source_segment(text, node) or ""
    return ""


def _methods(kind: type) -> Iterator[FunctionType]:
    return (method for method in vars(kind).values() if isinstance(method, FunctionType))


def _cell(file: str) -> str:
    """Return a name for the source of a notebook's cell; empty for another file."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    cell = shell and shell.compile.format_code_name(file)
    return cell[1].replace("[", "_").replace("]", ".py") if cell else ""
