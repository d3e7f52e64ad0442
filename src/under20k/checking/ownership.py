"""The owner of a source file: the model's author, Python, an installed package, or under20k."""

from __future__ import annotations

import os
import site
import sysconfig
from collections.abc import Iterable

PACKAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")
"""The folder of under20k's own code, which no model's author wrote."""


class Ownership:
    """Tells the author's files from all others.

    The author's are those below ``folders`` (everywhere if None) that are neither installed nor ours, and
    code compiled under one of the names in ``places``, such as a notebook's cells.
    """

    def __init__(self, folders: Iterable[str] | None = None, places: Iterable[str] = ()) -> None:
        self._folders = None if folders is None else tuple(map(folder_of, folders))
        self._places = frozenset(places)
        self._installed = installed_folders()

    def is_authors(self, file: str) -> bool:
        """Return whether the model's author wrote the file."""
        if file in self._places:
            return True
        if file.startswith(("<", PACKAGE)) or self.is_installed(file):
            return False
        if self._folders is None:
            return True
        return os.path.isabs(file) and os.path.realpath(file).startswith(self._folders)

    def is_installed(self, file: str) -> bool:
        """Return whether the file belongs to Python or to an installed package."""
        if file.startswith("<"):
            return False
        # A package's folder may be a link to a store.
        return os.path.realpath(file).startswith(self._installed) or os.path.abspath(file).startswith(
            self._installed
        )


def folder_of(path: str) -> str:
    """Return the real path with a separator at its end, so that it begins every path below it."""
    return os.path.join(os.path.realpath(path), "")


def installed_folders() -> tuple[str, ...]:
    """Return the folders of Python's modules and of installed packages, with and without links resolved."""
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    paths |= {*site.getsitepackages(), site.getusersitepackages()}
    found = {folder_of(path) for path in paths if path}
    found |= {os.path.join(os.path.abspath(path), "") for path in paths if path}
    return tuple(sorted(found))
