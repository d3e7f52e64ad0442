"""Print lines as wide as the terminal; a file or a pipe gets each of them whole."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from under20k.interactive.style import coloured
from under20k.report.text_lines import wrapped

FALLBACK, NARROWEST = 80, 40
INDENT = "  "


def terminal_width(stream: TextIO | None = None) -> int | None:
    """Return the columns of the terminal behind ``stream``, by default stdout; None for a file or a pipe.

    COLUMNS overrides what the terminal says, as for ``shutil.get_terminal_size``. At least 40.
    """
    stream = sys.stdout if stream is None else stream
    try:
        if not stream.isatty():
            return None
    except (AttributeError, ValueError):  # no stream, or a closed one
        return None
    try:
        width = int(os.environ["COLUMNS"])
    except (KeyError, ValueError):
        width = 0
    if width <= 0:
        try:
            width = os.get_terminal_size(stream.fileno()).columns
        except (OSError, ValueError, AttributeError):
            width = 0
    return max(width or FALLBACK, NARROWEST)


def say(text: str, stream: TextIO | None = None, *, indent: str = INDENT) -> None:
    """Print lines, by default on stdout, each wrapped at words to the terminal's width.

    Args:
        text: One or more lines; on a terminal, ✓ and ✗ are coloured.
        stream: stdout or stderr.
        indent: What the second and further lines of a wrapped one begin with.
    """
    stream = sys.stdout if stream is None else stream
    width = terminal_width(stream)
    lines = [part for line in text.split("\n") for part in wrapped(line, width, indent)]
    print(coloured("\n".join(lines), stream), file=stream)
