"""A table as text of a given width.

The ladder, from the widest to the narrowest: headings wrap; left-aligned cells wrap; columns are hidden, the
least important first; the table is split into several, or each row becomes a block of lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from under20k.formatting import columns, shortened
from under20k.report.markdown import one_line
from under20k.report.text_lines import padded, pieces, wrapped

if TYPE_CHECKING:
    from under20k.report.tables import Table

GAP = "  "
COMFORTABLE, NARROWEST = 18, 14
"""Columns that a wrapped cell keeps: while other columns can be hidden, and after that."""
LONG_WORD = {COMFORTABLE: 26, NARROWEST: 16}
"""Columns above which a cell's word, such as a name, may go on in the next line after a separator."""
INDENT = "  "


def table_text(table: Table, width: int | None) -> str:
    """Return a table in lines of at most ``width`` columns; no line break at the end."""
    body, hidden = _body(table, width)
    notes = list(map(one_line, table.notes))
    if hidden:
        short = [re.split(r"[,(]", title)[0].strip() for title in table.header]
        names = ", ".join(short[at] if short.count(short[at]) == 1 else table.header[at] for at in hidden)
        notes.append(f"hidden at this width: {names}; widen the terminal, pipe the output or use --json")
    lines = wrapped(one_line(table.caption), width) if table.caption else []
    lines += body
    if notes:
        rule = next(line for line in body if line.startswith("─")) if _is_grid(body) else ""
        lines += [rule, *(line for note in notes for line in wrapped(note, width, INDENT))]
    return "\n".join(line.rstrip() for line in lines)


def _is_grid(body: Sequence[str]) -> bool:
    return "" not in body and any(line.startswith("─") for line in body)


def _body(table: Table, width: int | None) -> tuple[list[str], list[int]]:
    """Return the lines between caption and notes, and the columns that are hidden."""
    every = range(len(table.header))
    if width is None:
        return _grid(table, every, _natural(table)), []
    hidden: list[int] = []
    for title in ("", *table.optional):
        hidden += [at for at in every if table.header[at] == title and title]
        kept = [at for at in every if at not in hidden]
        if widths := _fitting(table, kept, width, COMFORTABLE):
            return _grid(table, kept, widths), sorted(hidden)
    if not table.groups and (widths := _fitting(table, kept, width, NARROWEST)):
        return _grid(table, kept, widths), sorted(hidden)
    return _split(table, width) or _stacked(table, width), []


def _natural(table: Table) -> list[int]:
    """Return the width of each column with nothing wrapped."""
    return [max(map(columns, column)) for column in zip(table.header, *table.rows, strict=True)]


def _fitting(table: Table, kept: Sequence[int], width: int, least: int) -> list[int] | None:
    """Return widths of the columns ``kept`` that fill at most ``width``; None where there are none.

    Headings shrink first, then the text of left-aligned columns, the widest first. ``least`` columns of such
    text stay.
    """
    room = width - len(GAP) * (len(kept) - 1)
    natural = _natural(table)
    cells, floors = [], []
    for at in kept:
        whole = max((columns(row[at]) for row in table.rows), default=0)
        heading = _longest([table.header[at]], LONG_WORD[least])
        cells.append(max(whole, heading))
        if table.header[at] in table.shortens:
            floors.append(max(min(whole, LONG_WORD[least]), heading))
        elif table.align[at] == "l":
            longest = _longest((row[at] for row in table.rows), LONG_WORD[least])
            floors.append(max(min(whole, least), longest, heading))
        else:
            floors.append(cells[-1])
    widths = _narrowed([natural[at] for at in kept], cells, room)
    widths = _narrowed(widths, floors, room)
    if sum(widths) > room:
        return None
    return [_used(table, at, width) for at, width in zip(kept, widths, strict=True)]


def _used(table: Table, at: int, width: int) -> int:
    """Return the columns that the lines of a column take, of ``width`` that they may."""
    cells = [table.header[at], *(row[at] for row in table.rows)]
    return max(columns(line) for cell in cells for line in _cell(table, at, cell, width))


def _cell(table: Table, at: int, text: str, width: int) -> list[str]:
    """Return the lines of a cell of column ``at``."""
    if table.header[at] in table.shortens and text != table.header[at]:
        return [shortened(text, width)]
    return wrapped(text, width)


def _longest(texts: Iterable[str], long: int) -> int:
    """Return the columns of the longest part that stays whole; words above ``long`` have several."""
    words = (word for text in texts for word in text.split())
    parts = (part for word in words for part in (pieces(word) if columns(word) > long else [word]))
    return max(map(columns, parts), default=0)


def _narrowed(widths: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Return widths that add up to ``room``, or as near as ``least`` allows; the widest shrink first."""
    narrowed = list(widths)
    while sum(narrowed) > room:
        given = [(width, i) for i, width in enumerate(narrowed) if width > least[i]]
        if not given:
            break
        narrowed[max(given)[1]] -= 1
    return narrowed


def _grid(table: Table, kept: Sequence[int], widths: Sequence[int]) -> list[str]:
    """Return headings, a rule and rows, columns two spaces apart."""
    headings = [wrapped(table.header[at], width) for at, width in zip(kept, widths, strict=True)]
    height = max(map(len, headings))
    lines = _lines(table, kept, widths, [[""] * (height - len(lines)) + lines for lines in headings])
    lines.append(GAP.join("─" * width for width in widths))
    for row in table.rows:
        cells = [_cell(table, at, row[at], width) for at, width in zip(kept, widths, strict=True)]
        lines += _lines(table, kept, widths, cells)
    return lines


def _lines(
    table: Table, kept: Sequence[int], widths: Sequence[int], cells: Sequence[Sequence[str]]
) -> list[str]:
    """Return a row's lines: as many as its tallest cell takes."""
    sides = [table.align[at] for at in kept]
    return [
        GAP.join(padded(*cell) for cell in zip(line, widths, sides, strict=True))
        for line in zip_longest(*cells, fillvalue="")
    ]


def _split(table: Table, width: int) -> list[str]:
    """Return as few tables as fit, each with the first column; empty if none fit or there are no groups."""
    first, groups = 1, []
    for size in table.groups:
        groups.append(range(first, first + size))
        first += size
    for count in range(1, len(groups) + 1):
        size, rest = divmod(len(groups), count)
        ends = [size * (i + 1) + min(i + 1, rest) for i in range(count)]
        parts = [
            [0, *(at for group in groups[start:end] for at in group)]
            for start, end in zip([0, *ends], ends, strict=False)
        ]
        widths = [_fitting(table, part, width, NARROWEST) for part in parts]
        if all(widths):
            grids = [_grid(table, part, of) for part, of in zip(parts, widths, strict=True) if of]
            return [line for grid in grids for line in ("", *grid)][1:]
    return []


def _stacked(table: Table, width: int) -> list[str]:
    """Return each row as a block: its first cell, and below it a line for each other heading."""
    blocks = []
    for row in table.rows:
        lines = wrapped(row[0] or table.header[0], width)
        for heading, cell in zip(table.header[1:], row[1:], strict=True):
            lines += [INDENT + line for line in wrapped(f"{heading}: {cell}", width - len(INDENT), INDENT)]
        blocks.append(lines)
    return [line for block in blocks for line in ("", *block)][1:]
