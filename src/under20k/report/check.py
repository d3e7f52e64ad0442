"""What a check found, as text: of one model, and of a folder of submissions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from under20k.checking import formats
from under20k.checking.findings import Finding
from under20k.report.tables import Table, wrapped
from under20k.report.words import NOTHING, enumeration

LAYERS = ("Layer", "Type", "Output", "Params", "MACs", "Field", "Jump", "BN", "Activation", "Source")
LEFT_OUT_FIRST = ("Source", "Type", "Jump", "MACs")
"""Columns of layers that a narrow terminal goes without."""


def verdicts_table(findings: Sequence[Finding], caption: str = "") -> Table:
    """A row a requirement: what it asks, whether it is met, and what was found."""
    rows = tuple((f.rule, f.requirement, f.status, f.evidence) for f in findings)
    return Table(("Rule", "Requirement", "Result", "Evidence"), rows, caption=caption, align="llll")


def model_text(target: str, result: dict[str, Any], width: int | None = None, *, layers: bool = False) -> str:
    """The verdicts on one model, then what to change; wrapped to ``width`` characters if it is given.

    ``layers`` adds those.
    """
    title = formats.titled(target, result)
    lines = wrapped(f"{title}: {_short(_summary(result), target)}", width)
    if others := result.get("others"):
        lines += wrapped(f"others in this file: {', '.join(others)} (--all judges them too)", width)
    for note in result.get("notes", ()):
        lines += wrapped(f"note: {_short(note, target)}", width, "  ")
    rows = [(f["rule"], formats.shown_status(f), f["evidence"]) for f in result.get("findings", ())]
    for name, text in formats.claims(result):
        if text != formats.NOT_CLAIMED:
            rows.append((name, "claimed", text))
        elif rows:
            rows.append((name, NOTHING, text))
    if measured := result.get("accuracy"):
        if warning := measured.get("warning"):
            rows.append(("accuracy", "not found", warning))
        else:
            how = "as given" if measured["normalisation_is"] == "given" else "found from the weights"
            text = (
                f"{measured['accuracy']:.2%} ({measured['correct']:,} of {measured['images']:,}"
                f" {measured['split']} images), with inputs {measured['normalisation']}, {how}"
            )
            rows.append(("accuracy", "measured", text))
    if rows:
        cells = tuple((rule, status, _short(text, target)) for rule, status, text in rows)
        lines += ["", Table(("Rule", "Result", "Evidence"), cells, align="lll").text(width)]
    lines += _advice(target, result.get("findings", ()), width)
    if layers and result.get("layers"):
        lines += ["", _fitting(layers_table(result["layers"]), width).text(width)]
    return "\n".join(lines)


def _summary(result: dict[str, Any]) -> str:
    if reason := result.get("error") or result.get("no_model"):
        return f"{formats.word(result)}: {reason}"
    rules = formats.missed_rules(result)
    return f"failed, misses {enumeration(rules)}" if rules else "passed, meets every requirement"


def _advice(target: str, findings: Sequence[dict[str, str]], width: int | None) -> list[str]:
    """What to change for each rule that is missed, what is advised, and remarks."""
    texts: dict[str, list[str]] = {"To change:": [], "Advised:": [], "Remarks:": []}
    for finding in findings:
        rule = finding["rule"]
        if finding["status"] != "passed":
            title = "To change:" if finding["status"] == "failed" else "Advised:"
            asked, fix = f"asked: {finding['requirement']}", finding.get("fix")
            texts[title].append(f"{rule}: {f'{fix} ({asked})' if fix else asked}")
        if remark := finding.get("remark"):
            texts["Remarks:"].append(f"{rule}: {remark}")
    lines = []
    for title, items in texts.items():
        lines += ["", title] if items else []
        for text in items:
            lines += wrapped(f"- {_short(text, target)}", width, "  ")
    return lines


def _short(text: str, target: str) -> str:
    """The text with ``line 49`` for ``model.py:49``, since its target's name stands above it."""
    file = re.escape(PurePath(re.sub(r":\w+$", "", target)).name)
    text = re.sub(rf"(?<![\w/]){file}:(\d+)", r"line \1", text)
    return re.sub(rf"(?<![\w/]){file} (?=In \[|cell )", "", text)


def layers_table(layers: Sequence[dict[str, Any]]) -> Table:
    """A row a layer: its output, its costs, its receptive field, what follows it, and its line."""
    rows = tuple(
        (
            row["name"],
            row["type"],
            "×".join(map(str, row["shape"])),
            f"{row['parameters']:,}",
            f"{row['macs']:,}",
            str(row["receptive_field"]),
            f"{row['jump']:g}",
            {True: "yes", False: "no", None: ""}[row["batch_norm_after"]],
            row["activation"] or "",
            row["source"],
        )
        for row in layers
    )
    return Table(LAYERS, rows, align="lllrrrrlll")


def _fitting(table: Table, width: int | None) -> Table:
    """The layers without the columns that hold nothing, and without more where ``width`` is too small."""
    empty = [title for at, title in enumerate(table.header) if not any(row[at] for row in table.rows)]
    left_out: list[str] = []
    kept = _without(table, empty)
    for title in LEFT_OUT_FIRST:
        if width is None or max(map(len, kept.text().splitlines())) <= width:
            break
        if title in kept.header:
            left_out.append(title)
            kept = _without(table, [*empty, *left_out])
    note = f"no room for {', '.join(left_out)}; --json has all"
    return replace(kept, notes=(note,)) if left_out else kept


def _without(table: Table, titles: Sequence[str]) -> Table:
    kept = [at for at, title in enumerate(table.header) if title not in titles]
    return Table(
        tuple(table.header[at] for at in kept),
        tuple(tuple(row[at] for at in kept) for row in table.rows),
        align="".join(table.align[at] for at in kept),
    )


def folder_text(results: formats.Results, width: int | None = None) -> str:
    """A row a model, those of a submission together, the deciding one first; then why models are broken."""
    rows: list[tuple[str, ...]] = []
    broken: dict[str, list[str]] = {}
    for target, result in results:
        first = result.get("decides", True)
        name, model = result.get("submission", target), formats.model_in(result) or NOTHING
        count = f"{result['parameters']:,}" if "parameters" in result else ""
        missed = ", ".join(formats.missed_rules(result))
        shown = model if first else f"└ {model}"
        rows.append((name if first else "", formats.word(result), shown, count, missed))
        if error := result.get("error"):
            reason, line = _parted(error, target)
            place = "/".join(filter(None, (name, result.get("file"))))
            broken.setdefault(reason, []).append(f"{place}{line}")
    header = ("Submission", "Result", "Model", "Parameters", "Missed")
    lines = [Table(header, tuple(rows), align="lllrl").text(width)]
    if broken:
        lines += ["", "Broken:"]
        for reason, places in broken.items():
            lines += wrapped(f"- {', '.join(places)}: {reason}", width, "  ")
    return "\n".join(lines)


def _parted(error: str, target: str) -> tuple[str, str]:
    """A reason, and the line of the target's own file that it ends with, as ``:12``."""
    name = PurePath(re.sub(r":\w+$", "", target)).name
    error = error.removeprefix(f"{target} ").removeprefix(f"{target}: ").removeprefix(f"{name}: ")
    file = re.escape(name)
    if found := re.search(rf" \({file}(:\d+| [^()]*:\d+)\)$", error):
        return error[: found.start()], found[1]
    return error, ""
