"""Colour for a terminal, by ANSI escape sequences; signs and words alone are enough to read the output."""

from __future__ import annotations

import os
import re
from typing import Any

GREEN, RED = "32", "31"
_VERDICT = re.compile(r"([✓✗])(?: (?:passed|failed|broken|valid|invalid)\b)?")


def has_colour(stream: Any) -> bool:
    """Return whether ``stream`` is a terminal that shows colour, and the user allows it.

    NO_COLOR, of any value but the empty one, forbids it (no-color.org); so does TERM=dumb.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # closed, or none
        return False


def styled(text: str, code: str, stream: Any) -> str:
    """Return ``text`` in a colour of the constants above where ``stream`` shows it."""
    return f"\033[{code}m{text}\033[0m" if text and has_colour(stream) else text


def coloured(text: str, stream: Any) -> str:
    """Return ``text``, laid out before, with ✓, ✗ and the word after each in their colours."""
    if not has_colour(stream):
        return text
    colours = {"✓": GREEN, "✗": RED}
    return _VERDICT.sub(lambda found: styled(found[0], colours[found[1]], stream), text)
