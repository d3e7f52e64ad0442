"""Names of files and folders that every system accepts, so that runs can be copied between systems."""

from __future__ import annotations

import hashlib
import re

from under20k.errors import UserError

MAX_NAME = 150
"""Bytes of a recipe's name in a path. With a home folder before it, and the seed and a run's file after it,
the path stays within the 259 characters that Windows allows.
"""
MAX_GIVEN = 200
"""Bytes of a name that the user gives; file systems allow 255."""

DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | {
    f"{port}{number}" for port in ("COM", "LPT") for number in "0123456789¹²³"
}
"""Names that Windows takes for devices, in upper or lower case and with any suffix after a dot."""
REFUSED_CHARACTERS = re.compile(r'[<>:"/\\|?*\x00-\x1f]')


def safe_name(name: str, most: int = MAX_NAME) -> str:
    """Return a recipe's name with the characters replaced that a file system might refuse.

    A name of more than ``most`` bytes is cut and ends in a digest of itself.
    """
    safe = "".join(char if char.isalnum() or char in "+=._-," else "_" for char in name)
    if safe.endswith("."):
        safe = f"{safe[:-1]}_"
    if is_device(safe):
        safe = f"_{safe}"
    if len(safe.encode()) > most:
        digest = hashlib.sha256(name.encode(errors="backslashreplace")).hexdigest()[:8]
        safe = f"{safe.encode()[:most].decode(errors='ignore')}-{digest}"
    return safe


def check_name(name: str, what: str) -> str:
    """Return ``name`` if every system accepts it for a folder.

    Raises UserError, which begins with ``what`` it was given for, such as ``--name``.
    """
    if name in ("", ".", "..") or "/" in name or "\\" in name:
        raise UserError(f"{what} is {name!r}; give a folder's name, without its parents")
    if found := REFUSED_CHARACTERS.search(name):
        raise UserError(
            f"{what} is {name!r}; Windows refuses {found[0]!r} in a folder's name; "
            f"use {REFUSED_CHARACTERS.sub('_', name)!r}"
        )
    if name[-1] in ". ":
        raise UserError(f"{what} is {name!r}; Windows drops a dot or a space at the end of a folder's name")
    if is_device(name):
        raise UserError(f"{what} is {name!r}, which is a device on Windows; use '{name}-run' or the like")
    if len(name.encode(errors="surrogateescape")) > MAX_GIVEN:
        raise UserError(f"{what} has {len(name)} characters; give at most {MAX_GIVEN}")
    return name


def is_device(name: str) -> bool:
    """Return whether Windows takes a file of that name for a device: ``nul``, ``COM1``, ``aux.json``."""
    return name.split(".")[0].rstrip(" ").upper() in DEVICES


def folded(name: str) -> str:
    """Return a key that is equal for names that differ in case only, which Windows and macOS ignore."""
    return name.casefold()
