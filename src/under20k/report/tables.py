"""Tables: the same rows as aligned text, as Markdown and, by the templates, as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, zip_longest
from textwrap import wrap

from under20k.recipe.architecture import IMAGE_SIDE
from under20k.recipe.recipe import Recipe
from under20k.report.markdown import escape, escape_block, escape_cell, one_line
from under20k.report.words import augmentation_text, recipe_settings, schedule_text

GAP = "  "
NARROWEST = 8
"""Characters that a wrapped column keeps at least."""


@dataclass(frozen=True)
class Table:
    """Rows of text under a header, with a caption above and notes below."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    align: str = ""
    """A letter per column, ``l`` or ``r``; by default the first column left and the others right."""
    notes: tuple[str, ...] = ()
    """Lines below the table: totals, remarks."""
    marked: frozenset[int] = frozenset()
    """Indices of rows that stand out where the output allows; their text must say why."""

    kind = "table"

    def __post_init__(self) -> None:
        cleaned = {
            "header": tuple(map(one_line, self.header)),
            "rows": tuple(tuple(map(one_line, row)) for row in self.rows),
            "align": self.align or "l" + "r" * (len(self.header) - 1),
        }
        for name, value in cleaned.items():
            object.__setattr__(self, name, value)
        for row in (self.align, *self.rows):
            if len(row) != len(self.header):
                raise ValueError(f"{len(row)} cells under {len(self.header)} headings: {row!r}")

    @property
    def html_header(self) -> list[tuple[str, str]]:
        """Headings with their columns' alignment, for the template."""
        return list(zip(self.header, self.align, strict=True))

    @property
    def html_rows(self) -> list[tuple[bool, list[tuple[str, str]]]]:
        """For each row, whether it is marked, and its cells with their columns' alignment."""
        return [
            (i in self.marked, list(zip(row, self.align, strict=True))) for i, row in enumerate(self.rows)
        ]

    def text(self, width: int | None = None) -> str:
        """Return columns two spaces apart, a rule under the header; no line break at the end.

        Lines have at most ``width`` characters: the text of left-aligned columns is wrapped, the widest
        first. Columns of figures are never wrapped, so a table with many may be wider.
        """
        widths = _widths(self.header, self.rows)
        if width is not None:
            least = [
                max(NARROWEST, len(title)) if side == "l" else full
                for title, side, full in zip(self.header, self.align, widths, strict=True)
            ]
            widths = _narrowed(widths, least, width - len(GAP) * (len(widths) - 1))
        rule = GAP.join("─" * width for width in widths)
        lines = [*self._lines(self.header, widths), rule]
        for row in self.rows:
            lines += self._lines(row, widths)
        if self.notes:
            lines += [rule, *(line for note in self.notes for line in wrapped(one_line(note), width))]
        return "\n".join([one_line(self.caption)] * bool(self.caption) + [line.rstrip() for line in lines])

    def markdown(self) -> str:
        """Return a Markdown table that also reads well as text, caption and notes around it."""
        rows = [tuple(map(escape_cell, row)) for row in self.rows]
        header = tuple(map(escape_cell, self.header))
        widths = [max(width, 3) for width in _widths(header, rows)]
        rule = (
            "-" * (width - 1) + (":" if side == "r" else "-")
            for width, side in zip(widths, self.align, strict=True)
        )
        lines = [self._line(header, widths, " | "), " | ".join(rule)]
        lines += [self._line(row, widths, " | ") for row in rows]
        body = "\n".join(f"| {line} |" for line in lines)
        parts = [f"**{escape(self.caption)}**"] * bool(self.caption) + [body]
        # Two spaces at the end of a line are a line break.
        parts += ["  \n".join(map(escape_block, self.notes))] * bool(self.notes)
        return "\n\n".join(parts)

    def _lines(self, cells: Sequence[str], widths: Sequence[int]) -> list[str]:
        """Return a row's lines: as many as its tallest cell takes."""
        columns = [wrapped(cell, width) for cell, width in zip(cells, widths, strict=True)]
        return [self._line(line, widths) for line in zip_longest(*columns, fillvalue="")]

    def _line(self, cells: Sequence[str], widths: Sequence[int], gap: str = GAP) -> str:
        sides = {"l": str.ljust, "r": str.rjust}
        return gap.join(
            sides[side](cell, width) for cell, width, side in zip(cells, widths, self.align, strict=True)
        )


def architecture_table(recipe: Recipe, name: str = "") -> Table:
    """Return the layers of a recipe's network for one image, in torchsummary's columns and two more.

    ``name`` heads the table, by default the recipe's.

    The receptive field is the side in pixels of the input square that an output element depends on; the
    jump is the distance in pixels between the squares of neighbouring elements.
    """
    layers = list(recipe.architecture.layers())
    numbers = count(1)
    rows = tuple(
        (
            f"{layer.kind}-{next(numbers)}",
            layer.name,
            # -1 stands for any number of images, as torchsummary writes it.
            str([-1, *layer.shape]),
            f"{layer.parameters:,}",
            f"{layer.macs:,}",
            str(layer.receptive_field),
            str(layer.jump),
        )
        for layer in layers
    )
    parameters = recipe.architecture.parameters
    activations = sum(layer.activation_bytes for layer in layers)
    side = recipe.architecture.receptive_field
    return Table(
        ("Layer (type)", "Name", "Output Shape", "Param #", "MACs", "Receptive field", "Jump"),
        rows,
        caption=f"{name or recipe.name}: {recipe.architecture}",
        align="lllrrrr",
        notes=(
            f"Total params: {parameters:,}",
            f"Trainable params: {parameters:,}",
            f"Multiply-accumulates (MACs): {recipe.architecture.macs:,}",
            f"Activations (float32, one image): {activations / 1000:,.1f} kB",
            f"Params size (float32): {4 * parameters / 1000:,.1f} kB",
            f"Receptive field: {side}×{side} pixels; the image has {IMAGE_SIDE}×{IMAGE_SIDE}",
        ),
    )


def recipe_table(recipe: Recipe, facts: Mapping[str, str]) -> Table:
    """Return how a recipe trains, ``facts`` after its architecture."""
    settings = {"Architecture": str(recipe.architecture), **facts, **recipe_settings(recipe)}
    return Table(("Setting", "Value"), tuple(settings.items()), align="ll")


def recipes_overview(recipes: Iterable[Recipe]) -> Table:
    """Return a row a recipe: its costs and how it trains."""
    rows = tuple(
        (
            recipe.name,
            f"{recipe.architecture.parameters:,}",
            f"{recipe.architecture.macs:,}",
            str(recipe.epochs),
            str(recipe.batch_size),
            schedule_text(recipe),
            augmentation_text(recipe.augmentation),
            str(recipe.architecture),
        )
        for recipe in recipes
    )
    header = ("Recipe", "Param #", "MACs", "Epochs", "Batch", "Learning rate", "Augmentation", "Architecture")
    return Table(header, rows, align="lrrrrlll")


def _widths(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(header, *rows, strict=True)]


def _narrowed(widths: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Return widths that add up to ``room``, or as near as ``least`` allows; the widest shrink first."""
    narrowed = list(widths)
    while sum(narrowed) > room:
        given = [(width, i) for i, width in enumerate(narrowed) if width > least[i]]
        if not given:
            break
        narrowed[max(given)[1]] -= 1
    return narrowed


def wrapped(text: str, width: int | None, indent: str = "") -> list[str]:
    """Return the lines of a text of at most ``width`` characters, all but the first after ``indent``.

    At least one line; a word is broken only where it is longer than a line.
    """
    if width is None:
        return [text]
    return wrap(text, width, subsequent_indent=indent, break_on_hyphens=False) or [""]
