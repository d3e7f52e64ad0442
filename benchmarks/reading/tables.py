"""The figures of ``python -m benchmarks.reading`` as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from benchmarks.reading.fonts import FONTS
from under20k.report.tables import Table

Models = Mapping[str, Mapping[str, Any]]
Score = Mapping[str, int]
"""pictures, found, read."""


def tables(reading: Mapping[str, Any]) -> str:
    """Return every table, of what was measured."""
    parts = [f"Written by `{reading['command']}` on {reading['date']}."]
    if reading["quick"]:
        parts.append("**A quick run: it only shows that everything works. Its figures mean nothing.**")
    for name, table in TABLES.items():
        if what := reading["missing"].get(name):
            parts.append(f"Not measured: {name}; missing are {', '.join(what)}.")
        elif own := {model: each[name] for model, each in reading["models"].items() if name in each}:
            parts.append(table(own).markdown())
    return "\n\n".join(parts) + "\n"


def digits_table(models: Models) -> Table:
    """scikit-learn's digits."""
    return _scores(
        {"scikit-learn's digits, 8×8": {model: [score] for model, score in models.items()}}, models
    )


def fonts_table(models: Models) -> Table:
    """The fonts, each and by kind."""
    written = {font.name for font in FONTS if font.written}
    kinds: dict[str, Callable[[str], bool]] = {
        "Handwriting": lambda font: font in written,
        "Print": lambda font: font not in written,
        "All fonts": lambda font: True,
    }
    names = list(next(iter(models.values())))
    rows = {
        f"{kind} ({sum(map(member, names))})": {
            model: [score for name, score in each.items() if member(name)] for model, each in models.items()
        }
        for kind, member in kinds.items()
        if any(map(member, names))
    }
    return _scores(rows | _each(models), models)


def small_table(models: Models) -> Table:
    """Validation digits in few pixels."""
    return _scores(_each(models) | {"All": _all(models)}, models)


def corruptions_table(models: Models) -> Table:
    """Validation images, corrupted: a column for the network's own accuracy, and one for the whole way."""
    names = list(next(iter(models.values())))
    rows = [(name, *(cell for each in models.values() for cell in _both([each[name]]))) for name in names]
    corrupt = [name for name in names if name != "none"]
    rows.append(
        (
            f"mean of {len(corrupt)}",
            *(cell for each in models.values() for cell in _both([each[name] for name in corrupt])),
        )
    )
    header = [f"{model}, {way}" for model in models for way in ("28×28", "picture")]
    return Table(("Corruption", *header), tuple(rows))


def calibration_table(models: Models) -> Table:
    """Temperature and expected calibration error."""
    rows = tuple(
        (
            model,
            f"{each['temperature']:.3f}",
            f"{100 * each['error_before']:.2f} %",
            f"{100 * each['error_after']:.2f} %",
        )
        for model, each in models.items()
    )
    return Table(("Model", "temperature", "calibration error before", "after"), rows)


def refusal_table(models: Models) -> Table:
    """How many digits are refused, and how many other pictures are accepted."""
    first = next(iter(models.values()))
    rows = [("Threshold", *(f"{each['threshold']:.2f}" for each in models.values()))]
    for verb, what in (("refused", "refused: {}, read rightly"), ("accepted", "accepted as a digit: {}")):
        rows += [
            (what.format(name), *(f"{100 * each[verb][name]:.1f} %" for each in models.values()))
            for name in first[verb]
        ]
    return Table(("", *models), tuple(rows))


def pages_table(models: Models) -> Table:
    """Pages: a column for what the network read, and one for what was invented."""
    kinds = list(next(iter(models.values())))
    drawn = {model: {**each, "all": _sum(each.values())} for model, each in models.items()}
    first = next(iter(drawn.values()))
    rows = tuple(
        (
            kind,
            f"{first[kind]['pages']}",
            f"{first[kind]['written']:,}",
            _of_written(first[kind], "found"),
            *(
                cell
                for each in drawn.values()
                for cell in (_of_written(each[kind], "read"), f"{each[kind]['invented']}")
            ),
        )
        for kind in (*kinds, "all")
    )
    header = [f"{model}, {what}" for model in models for what in ("read", "invented")]
    return Table(("Pages", "number", "digits", "found", *header), rows)


def _sum(counts: Iterable[Score]) -> Score:
    counts = list(counts)
    return {name: sum(each[name] for each in counts) for name in counts[0]}


def _of_written(counts: Score, what: str) -> str:
    return f"{100 * counts[what] / counts['written']:.1f} %" if counts["written"] else "–"


TABLES: Mapping[str, Callable[[Models], Table]] = {
    "digits": digits_table,
    "fonts": fonts_table,
    "small": small_table,
    "pages": pages_table,
    "corruptions": corruptions_table,
    "calibration": calibration_table,
    "refusal": refusal_table,
}


def rate(scores: Iterable[Score], what: str = "read") -> str:
    """Return the percentage of the pictures that were read, over several collections."""
    scores = list(scores)
    return f"{100 * sum(score[what] for score in scores) / sum(score['pictures'] for score in scores):.1f} %"


def _scores(rows: Mapping[str, Mapping[str, list[Score]]], models: Models) -> Table:
    first = next(iter(models))
    return Table(
        ("Pictures", "number", "found", *models),
        tuple(
            (
                name,
                f"{sum(score['pictures'] for score in by_model[first]):,}",
                rate(by_model[first], "found"),
                *(rate(by_model[model]) for model in models),
            )
            for name, by_model in rows.items()
        ),
    )


def _each(models: Models) -> dict[str, dict[str, list[Score]]]:
    names = list(next(iter(models.values())))
    return {name: {model: [each[name]] for model, each in models.items()} for name in names}


def _all(models: Models) -> dict[str, list[Score]]:
    return {model: list(each.values()) for model, each in models.items()}


def _both(scores: list[Mapping[str, Any]]) -> tuple[str, str]:
    return f"{100 * sum(score['accuracy'] for score in scores) / len(scores):.1f} %", rate(scores)
