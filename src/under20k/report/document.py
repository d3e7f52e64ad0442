"""A report as sections of blocks, written once and rendered twice: self-contained HTML, and Markdown."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from under20k.files import write_bytes
from under20k.report.markdown import escape_block, escape_label
from under20k.report.tables import Table
from under20k.report.words import MISSED, NOTHING, PASSED

# A block's ``kind`` chooses its form in the templates.


@dataclass(frozen=True)
class Text:
    """A paragraph of plain text."""

    text: str
    kind = "text"


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    text: str
    kind = "heading"


@dataclass(frozen=True)
class Bullets:
    """A list of plain texts."""

    items: tuple[str, ...]
    kind = "bullets"


@dataclass(frozen=True)
class Code:
    """Lines to type, shown verbatim."""

    text: str
    kind = "code"


NOT_DRAWN = (b"not drawn", b"not drawn")
"""Instead of ``figures.themed``, for a page whose text alone is wanted: a picture, and a dark one."""


@dataclass(frozen=True)
class Picture:
    """A PNG: embedded in the HTML, a file beside the Markdown."""

    file: str
    """Name of the file beside the Markdown."""
    png: bytes
    alt: str
    """Alternative text."""
    dark_png: bytes = b""
    """The same for a dark page; empty where there is none."""
    kind = "picture"

    @property
    def dark_file(self) -> str:
        """Name of ``dark_png``'s file: ``curves.png`` gives ``curves-dark.png``."""
        return f"{self.file.removesuffix('.png')}-dark.png"

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of ``png`` in pixels; None where it is not drawn."""
        if len(self.png) < 24:
            return None
        return int.from_bytes(self.png[16:20]), int.from_bytes(self.png[20:24])

    @property
    def data_uri(self) -> str:
        """The image as a data URI."""
        return _data_uri(self.png)

    @property
    def dark_data_uri(self) -> str:
        """The dark image as a data URI."""
        return _data_uri(self.dark_png)

    @property
    def files(self) -> dict[str, bytes]:
        """The PNGs by name of file."""
        return {self.file: self.png} | ({self.dark_file: self.dark_png} if self.dark_png else {})


@dataclass(frozen=True)
class Grid:
    """Pictures, two side by side where there is room."""

    pictures: tuple[Picture, ...]
    kind = "grid"


@dataclass(frozen=True)
class Cards:
    """A table whose rows the HTML shows as cards: the first cell, the verdict, the figure, then the rest."""

    table: Table
    verdict: str
    """Heading of the column whose cells begin with ``PASSED`` or ``MISSED``."""
    figure: str
    """Heading of the column that is written large."""
    kind = "cards"

    @property
    def cards(self) -> list[tuple[str, str, str, list[tuple[str, str]]]]:
        """For each row: name, verdict, figure, and the other cells by heading unless they are empty."""
        verdict, figure = map(self.table.header.index, (self.verdict, self.figure))
        return [
            (
                row[0],
                row[verdict],
                row[figure],
                [
                    (heading, cell)
                    for i, (heading, cell) in enumerate(zip(self.table.header, row, strict=True))
                    if i not in (0, verdict, figure) and cell not in ("", NOTHING)
                ],
            )
            for row in self.table.rows
        ]


@dataclass(frozen=True)
class Details:
    """Blocks that are folded away on a screen, and shown in print."""

    summary: str
    blocks: tuple[Block, ...]
    kind = "details"


Block = Text | Heading | Bullets | Code | Picture | Table | Grid | Cards | Details


@dataclass(frozen=True)
class Section:
    """Blocks under a heading."""

    title: str
    blocks: tuple[Block, ...]

    @property
    def anchor(self) -> str:
        """The title as the fragment of a link."""
        return re.sub(r"\W+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class Document:
    """A report: its claim, then its sections."""

    title: str
    lead: tuple[Block, ...]
    """The claim, before the first heading."""
    sections: tuple[Section, ...] = ()

    @property
    def pictures(self) -> list[Picture]:
        """All pictures, in order."""
        return list(
            _pictures([*self.lead, *(block for section in self.sections for block in section.blocks)])
        )

    def write_pictures(self, folder: Path) -> None:
        """Write every picture into ``folder``. Raises UserError where a file cannot be written."""
        for picture in self.pictures:
            for name, png in picture.files.items():
                write_bytes(folder / name, png)

    def html(self) -> str:
        """Return one self-contained page."""
        return _environment().get_template("document.html.j2").render(document=self)

    def markdown(self) -> str:
        """Return the same in Markdown, which needs the files of ``pictures`` beside it."""
        return _environment().get_template("document.md.j2").render(document=self).rstrip() + "\n"


def _pictures(blocks: Iterable[Block]) -> Iterator[Picture]:
    for block in blocks:
        match block:
            case Picture():
                yield block
            case Grid(pictures):
                yield from pictures
            case Details(_, inner):
                yield from _pictures(inner)


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _unbroken(text: str) -> str:
    """Keep ``99.417 ± 0.036 %`` and ``✓ passed`` on one line."""
    return re.sub(
        rf"(?<=\d) ± [\d.]+ %|^(?:{PASSED}|{MISSED}) ",
        lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"),
        text,
    )


@cache
def _environment() -> Environment:
    # Autoescape applies to Markdown too: text that no filter below has escaped comes out as entities.
    environment = Environment(
        loader=PackageLoader("under20k.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["unbroken"] = _unbroken
    environment.tests["passed"] = lambda cell: cell.startswith(f"{PASSED} ")
    environment.tests["missed"] = lambda cell: cell.startswith(f"{MISSED} ")
    environment.filters["md"] = lambda text: Markup(escape_block(text))
    environment.filters["md_label"] = lambda text: Markup(escape_label(text))
    environment.filters["md_table"] = lambda table: Markup(table.markdown())
    # Indented code has no closing fence that its content could forge.
    environment.filters["md_code"] = lambda text: Markup(
        "\n".join(f"    {line}" for line in text.splitlines())
    )
    return environment
