"""Numbers and names as text. Accuracies are fractions in code and percentages only when printed."""

from __future__ import annotations

from wcwidth import wcswidth, wcwidth

from under20k.errors import shown


def percent(fraction: float, decimals: int = 2) -> str:
    """Write a fraction as a percentage: ``0.994`` as ``99.40%``."""
    return f"{fraction:.{decimals}%}"


def points(difference: float) -> str:
    """Write a difference of fractions in signed percentage points: ``0.0049`` as ``+0.49``."""
    return f"{100 * difference:+.2f}"


def columns(text: str) -> int:
    """Return how many columns a line takes on a terminal: two for a Chinese character, none for an accent."""
    if text.isascii():
        return len(text)
    width = wcswidth(text)
    # A control character makes the whole text's width -1.
    return width if width >= 0 else sum(max(wcwidth(sign), 0) for sign in text)


def shortened(text: str, width: int | None) -> str:
    """Return a text of at most ``width`` columns, its middle left out: both ends name settings."""
    if width is None or columns(text) <= width:
        return text
    head, tail = "", text
    while head != text and columns(head + text[len(head)]) <= (width - 1) * 2 // 3:
        head += text[len(head)]
    while tail and columns(f"{head}…{tail}") > width:
        tail = tail[1:]
    return f"{head}…{tail}"


def title(name: str) -> str:
    """Return a name for the one line that a value prints."""
    return shortened(shown(name), 60)
