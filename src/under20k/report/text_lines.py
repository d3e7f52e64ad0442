"""Text on a terminal, padded and wrapped to a width.

A width counts columns of a terminal, as ``formatting.columns`` does.
"""

from __future__ import annotations

import re

from under20k.formatting import columns

_WORD = re.compile(r"(\s*)(\S+)")
# A long word may go on in the next line after one of these.
_PIECE = re.compile(r"[^-/\\_,;:+=|.&]*[-/\\_,;:+=|.&]+|[^-/\\_,;:+=|.&]+")


def padded(text: str, width: int, side: str) -> str:
    """Return ``text`` with spaces to ``width`` columns, at its left (``l``) or right (``r``) edge."""
    spaces = " " * (width - columns(text))
    return spaces + text if side == "r" else text + spaces


def pieces(word: str) -> list[str]:
    """Return a word cut after each of its separators: ``runs/``, ``minimal-``, ``0``."""
    return _PIECE.findall(word)


def wrapped(text: str, width: int | None, indent: str = "") -> list[str]:
    """Return the lines of a text of at most ``width`` columns, all but the first after ``indent``.

    At least one line. A word is broken only where it is longer than a line: after a separator if possible.
    """
    if width is None or columns(text) <= width:
        return [text]
    lines, line, empty = [], "", True
    for gap, word in _WORD.findall(text):
        parts = [word]
        if columns(indent + word) > width:
            parts = [part for piece in pieces(word) for part in _broken(piece, width - columns(indent))]
        for part in parts:
            while empty and gap and columns(gap + part) > width:  # the text's own indentation
                gap = gap[:-1]
            if not empty and columns(line + gap + part) > width:
                lines.append(line)
                line, gap = indent, ""
            line, gap, empty = line + gap + part, "", False
    return [*lines, line]


def _broken(word: str, width: int) -> list[str]:
    """Return a word in parts of at most ``width`` columns, each as long as possible."""
    if columns(word) <= width:
        return [word]
    parts = [""]
    for sign in word:
        if parts[-1] and columns(parts[-1] + sign) > width:
            parts.append("")
        parts[-1] += sign
    return parts
