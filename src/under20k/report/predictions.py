"""What was read in pictures, as text, CSV and plain values."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from under20k.deploy.digit import UNSURE, Digit
from under20k.deploy.read import Reading
from under20k.errors import shown
from under20k.formatting import percent
from under20k.report.tables import Table
from under20k.report.words import NOTHING, plural

STDIN = "standard input"
HEADER = (
    *("file", "line", "digit", "probability", "likeliest", "runner_up", "runner_up_probability"),
    *("left", "top", "right", "bottom"),
)
INDENT = "  "


def name(reading: Reading) -> str:
    """Return what to call a picture."""
    return str(reading.source) if isinstance(reading.source, str | Path) else STDIN


def is_page(reading: Reading) -> bool:
    """Tell whether a picture has several digits, which make a number or a text."""
    return len(reading.digits) > 1


def page_text(reading: Reading, width: int | None, *, alone: bool) -> str:
    """Return what a page says, and below it a table of its digits.

    Args:
        reading: of several digits.
        width: columns of the terminal; None does not limit them.
        alone: whether it is the only picture, which needs no name.
    """
    table = digits_table([reading], with_name=False).text(width)
    if alone:
        return f"{reading.digits.text}\n\n{table}"
    lines = [shown(name(reading)), *(INDENT + line for line in reading.digits.text.splitlines())]
    return "\n".join([*lines, "", table])


def digits_table(readings: Sequence[Reading], *, with_name: bool) -> Table:
    """Return a row a digit, and one for a picture without any; ``with_name`` begins them with the picture."""
    several_lines = any(digit.line for reading in readings for digit in reading.digits)
    rows = tuple(
        (
            *((shown(name(reading)),) if with_name else ()),
            *(([NOTHING] if digit is None else [str(digit.line + 1)]) if several_lines else ()),
            *cells(digit),
        )
        for reading in readings
        for digit in (reading.digits or [None])
    )
    header = (
        *(("File",) if with_name else ()),
        *(("Line",) if several_lines else ()),
        *("Digit", "Probability", "Runner-up", "Left, top", "Size"),
    )
    unsure = any(digit.value is None for reading in readings for digit in reading.digits)
    return Table(
        header,
        rows,
        align=("l" if with_name else "") + ("r" if several_lines else "") + "lrlrr",
        notes=(f"{UNSURE}: found, but not believed to be a digit; the likeliest in brackets",) * unsure,
        optional=("Size", "Left, top"),
        shortens=("File",) if with_name else (),
    )


def cells(digit: Digit | None) -> tuple[str, ...]:
    """Return a digit's cells; None for a picture without any."""
    if digit is None:
        return ("none", *[NOTHING] * 4)
    box = digit.box
    return (
        f"{UNSURE} ({digit.likeliest})" if digit.value is None else str(digit.value),
        percent(digit.probability, 1),
        f"{digit.runner_up} ({percent(digit.runner_up_probability, 1)})",
        f"{box.left}, {box.top}",
        f"{box.right - box.left}×{box.bottom - box.top}",
    )


def plain(reading: Reading) -> dict[str, Any]:
    """Return a picture as ``--json`` prints it."""
    if reading.fault:
        return {"file": name(reading), "error": reading.fault}
    width, height = reading.size
    return {
        "file": name(reading),
        "width": width,
        "height": height,
        "text": reading.digits.text,
        "digits": [digit.to_dict() for digit in reading.digits],
    }


def csv_lines(rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV (RFC 4180)."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def csv_rows(reading: Reading) -> Iterator[Sequence[object]]:
    """Yield a row a digit under ``HEADER``; a picture without any has one with the file alone."""
    if not reading.digits:
        yield (name(reading), *[""] * (len(HEADER) - 1))
    for digit in reading.digits:
        yield (
            *(name(reading), digit.line, str(digit), f"{digit.probability:.6f}", digit.likeliest),
            *(digit.runner_up, f"{digit.runner_up_probability:.6f}", *digit.box),
        )


def tally(pictures: int, digits: int, unsure: int, failed: int) -> str:
    """Return a line that counts what was read.

    Args:
        pictures: that were read.
        digits: that were found, those not believed included.
        unsure: not believed.
        failed: pictures that could not be read.
    """
    parts = [f"{plural(digits, 'digit')} in {plural(pictures, 'picture')}"]
    parts += [f"{unsure:,} of them not believed ({UNSURE})"] * bool(unsure)
    parts += [f"{plural(failed, 'picture')} not read"] * bool(failed)
    return "; ".join(parts)
