"""Tables: the same rows as aligned text, as Markdown and, by the templates, as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from under20k.formatting import columns, percent
from under20k.recipe.architecture import IMAGE_SIDE
from under20k.recipe.recipe import Recipe
from under20k.report.markdown import escape, escape_block, escape_cell, one_line
from under20k.report.text_lines import padded
from under20k.report.text_table import table_text
from under20k.report.words import (
    NOTHING,
    augmentation_text,
    own_facts,
    recipe_settings,
    schedule_text,
    shape_text,
)


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
    optional: tuple[str, ...] = ()
    """Headings of the columns that a narrow terminal goes without, the least important first."""
    shortens: tuple[str, ...] = ()
    """Headings of the columns whose cells a narrow terminal shows without their middle: names, hashes."""
    groups: tuple[int, ...] = ()
    """Sizes of the groups of columns after the first, between which a narrow terminal splits the table.

    Without, each row becomes a block of lines where the columns do not fit."""

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
        if unknown := {*self.optional, *self.shortens} - {*self.header}:
            raise ValueError(f"no column is called {', '.join(sorted(unknown))}")
        if self.groups and sum(self.groups) != len(self.header) - 1:
            raise ValueError(f"groups of {self.groups} columns after the first of {len(self.header)}")

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

        Lines take at most ``width`` columns of a terminal, which is at least 40; None does not limit them.
        """
        return table_text(self, width)

    def markdown(self) -> str:
        """Return a Markdown table that also reads well as text, caption and notes around it."""
        rows = [tuple(map(escape_cell, row)) for row in self.rows]
        header = tuple(map(escape_cell, self.header))
        widths = [max(width, 3) for width in _widths(header, rows)]
        rule = (
            "-" * (width - 1) + (":" if side == "r" else "-")
            for width, side in zip(widths, self.align, strict=True)
        )
        lines = [self._line(header, widths), " | ".join(rule)]
        lines += [self._line(row, widths) for row in rows]
        body = "\n".join(f"| {line} |" for line in lines)
        parts = [f"**{escape(self.caption)}**"] * bool(self.caption) + [body]
        # Two spaces at the end of a line are a line break.
        parts += ["  \n".join(map(escape_block, self.notes))] * bool(self.notes)
        return "\n\n".join(parts)

    def _line(self, cells: Sequence[str], widths: Sequence[int]) -> str:
        return " | ".join(map(padded, cells, widths, self.align))


@dataclass(frozen=True)
class NetworkRow:
    """A layer of a network, for one image."""

    name: str
    kind: str
    """The module of ``torch.nn`` that does the same."""
    shape: tuple[int, ...]
    """Of the output, without N."""
    parameters: int
    macs: int
    receptive_field: int
    """Side in pixels of the input square that an output element depends on."""
    jump: float
    """Distance in pixels between the squares of neighbouring elements."""
    source: str = ""
    """``file:line``, or empty."""


def network_table(
    layers: Iterable[NetworkRow],
    caption: str = "",
    notes: Sequence[str] = (),
    *,
    parameters: int | None = None,
) -> Table:
    """Return a row a layer and the totals.

    Args:
        layers: In the order of computation.
        caption: Line above the table.
        notes: Lines after the totals.
        parameters: Of the network, by default of its layers; it may have some that no layer uses.
    """
    layers = list(layers)
    has_source = any(layer.source for layer in layers)
    rows = tuple(
        (
            layer.name,
            layer.kind,
            shape_text(layer.shape),
            f"{layer.parameters:,}",
            f"{layer.macs:,}",
            str(layer.receptive_field),
            f"{layer.jump:g}",
            *((layer.source,) if has_source else ()),
        )
        for layer in layers
    )
    if parameters is None:
        parameters = sum(layer.parameters for layer in layers)
    activations = sum(prod(layer.shape) for layer in layers)
    source = ("Source",) if has_source else ()
    return Table(
        ("Layer", "Type", "Output", "Parameters", "MACs", "Receptive field", "Jump", *source),
        rows,
        caption=caption,
        align="lllrrrr" + "l" * has_source,
        notes=(
            f"Parameters: {parameters:,} ({4 * parameters / 1000:,.1f} kB as float32)",
            f"Multiply-accumulates (MACs), one image: {sum(layer.macs for layer in layers):,}",
            f"Activations, one image: {activations:,} ({4 * activations / 1000:,.1f} kB as float32)",
            *notes,
        ),
        optional=(*source, "Jump", "Type", "MACs"),
    )


def architecture_table(recipe: Recipe, name: str = "") -> Table:
    """Return the layers of a recipe's network; ``name`` heads them, by default the recipe's."""
    parameters, side = recipe.architecture.parameters, recipe.architecture.receptive_field
    return network_table(
        (
            NetworkRow(
                layer.name,
                layer.kind,
                layer.shape,
                layer.parameters,
                layer.macs,
                layer.receptive_field,
                layer.jump,
            )
            for layer in recipe.architecture.layers()
        ),
        caption=f"{name or recipe.name}: {parameters:,} parameters; {recipe.architecture}",
        notes=(f"Receptive field: {side}×{side} pixels; the image has {IMAGE_SIDE}×{IMAGE_SIDE}",),
    )


def recipe_table(recipe: Recipe, facts: Mapping[str, str]) -> Table:
    """Return how a recipe trains, ``facts`` after its architecture."""
    network = {"Architecture": str(recipe.architecture)} if recipe.own is None else own_facts(recipe.own)
    settings = {**network, **facts, **recipe_settings(recipe)}
    return Table(("Setting", "Value"), tuple(settings.items()), align="ll")


def recipes_overview(recipes: Iterable[Recipe], pretrained: Mapping[str, float] | None = None) -> Table:
    """Return a row a recipe: its costs, and how it trains.

    ``pretrained`` are the validation accuracies of the weights in the package, by the recipe's name.
    """
    accuracies = {name: percent(accuracy) for name, accuracy in (pretrained or {}).items()}
    rows = tuple(
        (
            recipe.name,
            f"{recipe.architecture.parameters:,}",
            f"{recipe.architecture.macs:,}",
            str(recipe.epochs),
            str(recipe.batch_size),
            *((accuracies.get(recipe.name, NOTHING),) if accuracies else ()),
            schedule_text(recipe),
            augmentation_text(recipe.augmentation)
            + (f"; {recipe.drawn_share:g} of each batch drawn" if recipe.drawn_share else ""),
            str(recipe.architecture),
        )
        for recipe in recipes
    )
    header = (
        "Recipe",
        "Parameters",
        "MACs",
        "Epochs",
        "Batch",
        *(("Pretrained",) if accuracies else ()),
        "Learning rate",
        "Augmentation",
        "Architecture",
    )
    return Table(
        header,
        rows,
        align="l" + "r" * (len(header) - 4) + "lll",
        notes=("Pretrained: validation accuracy of the weights that come with the package",)
        if accuracies
        else (),
        optional=("Batch", "MACs", "Architecture", "Augmentation", "Learning rate"),
    )


def _widths(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[int]:
    return [max(map(columns, column)) for column in zip(header, *rows, strict=True)]
