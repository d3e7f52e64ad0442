"""Names of files and folders that every system takes, so that a run made on one can be copied to another."""

from __future__ import annotations

import hashlib
import re

from under20k.errors import UserError

MAX_NAME = 150
"""Bytes of a recipe's name in a path: with a home folder before it, the seed after it and a run's files in it
no more than the 259 characters of a path on Windows.
"""
MAX_GIVEN = 200
"""Bytes of a name that someone gives, of the 255 that file systems allow."""

DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | {
    f"{port}{number}" for port in ("COM", "LPT") for number in "0123456789¹²³"
}
"""What Windows takes for a device, in upper or lower case and whatever follows a dot."""
REFUSED_SIGNS = re.compile(r'[<>:"/\\|?*\x00-\x1f]')


def safe_name(name: str, most: int = MAX_NAME) -> str:
    """A recipe's name with the signs replaced that a file system might refuse.

    One of more than ``most`` bytes, as with many settings changed, ends in a digest of itself instead.
    """
    safe = "".join(sign if sign.isalnum() or sign in "+=._-," else "_" for sign in name)
    if safe.endswith("."):
        safe = f"{safe[:-1]}_"
    if is_device(safe):
        safe = f"_{safe}"
    if len(safe.encode()) > most:
        digest = hashlib.sha256(name.encode(errors="backslashreplace")).hexdigest()[:8]
        safe = f"{safe.encode()[:most].decode(errors='ignore')}-{digest}"
    return safe


def check_name(name: str, what: str) -> str:
    """``name``, given for ``what`` (``--name``), if it can be a folder's on every system; else UserError."""
    if name in ("", ".", "..") or "/" in name or "\\" in name:
        raise UserError(f"{what} is {name!r}; give a folder's name, without its parents")
    if found := REFUSED_SIGNS.search(name):
        raise UserError(
            f"{what} is {name!r}; Windows refuses {found[0]!r} in a folder's name; "
            f"use {REFUSED_SIGNS.sub('_', name)!r}"
        )
    if name[-1] in ". ":
        raise UserError(f"{what} is {name!r}; Windows drops a dot or a space at the end of a folder's name")
    if is_device(name):
        raise UserError(f"{what} is {name!r}, which is a device on Windows; use '{name}-run' or the like")
    if len(name.encode(errors="surrogateescape")) > MAX_GIVEN:
        raise UserError(f"{what} has {len(name)} characters; give at most {MAX_GIVEN}")
    return name


def is_device(name: str) -> bool:
    """Whether Windows takes a file of that name for a device: ``nul``, ``COM1``, ``aux.json``."""
    return name.split(".")[0].rstrip(" ").upper() in DEVICES


def folded(name: str) -> str:
    """The same for names that Windows and macOS take for one, since they ignore case."""
    return name.casefold()
