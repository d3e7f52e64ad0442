"""The source of a model that a program or a notebook has made: the files, or the cells, of its classes."""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any

from torch import nn

from under20k.checking.ownership import Ownership


def written(module: nn.Module, make: Callable[..., Any] | None = None) -> dict[str, bytes]:
    """Return the author's sources of a module and of what makes it, by file name.

    A cell is called by its number, ``In_3.py``. What was typed into a terminal may be missing.
    """
    ownership = Ownership()
    found: dict[str, bytes] = {}
    for file in _files(module, make):
        cell = _cell(file)
        if not cell and not ownership.is_authors(file):
            continue
        if text := "".join(linecache.getlines(file)):
            found.setdefault(cell or os.path.basename(file), text.encode(errors="replace"))
    return dict(sorted(found.items(), key=lambda item: (len(item[0]), item[0])))


def _files(module: nn.Module, make: Callable[..., Any] | None) -> Iterator[str]:
    """Yield the files of the code that makes a module and of its parts' classes; some of them repeat."""
    kinds = {kind for part in module.modules() for kind in type(part).__mro__}
    for value in (make, *kinds):
        for code in _codes(value):
            yield code.co_filename


def _codes(value: Any) -> Iterator[CodeType]:
    """Yield the code of a function, or of a class' methods."""
    value = getattr(value, "func", value)  # of functools.partial
    if isinstance(value, FunctionType):
        yield value.__code__
    elif isinstance(value, type):
        for method in vars(value).values():
            if isinstance(method, FunctionType):
                yield method.__code__


def _cell(file: str) -> str:
    """Return a name for the source of a notebook's cell; empty for another file."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    cell = shell and shell.compile.format_code_name(file)
    return cell[1].replace("[", "_").replace("]", ".py") if cell else ""
