"""Text escaped for Markdown.

Characters are escaped only where Markdown would interpret them, so that the source stays readable: an
underscore within a word, a "<" before a space and brackets without a parenthesis after them are plain text.
"""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"[\\`*~]|(?<![^\W_])_|_(?![^\W_])|\](?=[(\[:])|<(?=[A-Za-z/!?])|&(?=#?\w+;)")
_BLOCK_START = re.compile(r"(?=[#>\[]|[+-](?:\s|$)|[=-]+$)|(\d+)(?=[.)](?:\s|$))")


def escape(text: str) -> str:
    """Return ``text`` on one line, to stand within a line of Markdown."""
    return _SPECIAL.sub(r"\\\g<0>", one_line(text))


def escape_block(text: str) -> str:
    """Return ``text`` as a line of its own that begins no heading, quotation, list or rule."""
    line = escape(text)
    start = _BLOCK_START.match(line)
    return f"{line[: start.end()]}\\{line[start.end() :]}" if start else line


def escape_cell(text: str) -> str:
    """Return ``text`` as a table's cell."""
    return escape(text).replace("|", "\\|")


def escape_label(text: str) -> str:
    """Return ``text`` for the brackets of an image or a link."""
    return re.sub(r"(?<!\\)[\[\]]", r"\\\g<0>", escape(text))


def one_line(text: str) -> str:
    """Return ``text`` with each run of white space as one space, and no control characters."""
    line = " ".join(text.split())
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in line)
