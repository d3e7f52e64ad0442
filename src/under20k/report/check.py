"""Results of checks as text: one model, or a folder of submissions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath

from under20k.checking.findings import Finding
from under20k.checking.judgement import Accuracy, Judgement, Layer
from under20k.checking.results import NOT_CLAIMED, Result
from under20k.report.tables import Table
from under20k.report.text_lines import wrapped
from under20k.report.words import NOTHING, enumeration

LAYERS = ("Layer", "Type", "Output", "Params", "MACs", "Field", "Jump", "BN", "Activation", "Source")
LEFT_OUT_FIRST = ("Source", "Type", "Jump", "MACs")
"""Columns of layers that a narrow terminal goes without."""


def verdicts_table(findings: Sequence[Finding], caption: str = "") -> Table:
    """Return a row for each rule: its requirement, the verdict, and the evidence."""
    rows = tuple((f.rule, f.requirement, f.status, f.evidence) for f in findings)
    return Table(("Rule", "Requirement", "Result", "Evidence"), rows, caption=caption, align="llll")


def model_text(result: Result, width: int | None = None, *, layers: bool = False) -> str:
    """Return the verdicts on one model, then what to change.

    Args:
        result: of the model.
        width: characters to wrap at; None does not wrap.
        layers: whether to add the table of layers.
    """
    judgement, target = result.judgement, result.target
    lines = wrapped(f"{result.title}: {_short(_summary(judgement), target)}", width)
    if judgement.others:
        others = ", ".join(judgement.others)
        lines += wrapped(f"others in this file: {others} (--all judges them too)", width)
    for note in judgement.notes:
        lines += wrapped(f"note: {_short(note, target)}", width, "  ")
    if rows := _verdicts(result):
        cells = tuple((rule, status, _short(text, target)) for rule, status, text in rows)
        lines += ["", Table(("Rule", "Result", "Evidence"), cells, align="lll").text(width)]
    lines += _advice(target, judgement.findings, width)
    if layers and judgement.layers:
        lines += ["", _fitting(layers_table(judgement.layers), width).text(width)]
    return "\n".join(lines)


def _verdicts(result: Result) -> list[tuple[str, str, str]]:
    """Return rule, result and evidence of the findings, then of the claims and the measured accuracy."""
    rows = [(finding.rule, finding.word, finding.evidence) for finding in result.judgement.findings]
    for name, text in result.claims():
        if text != NOT_CLAIMED:
            rows.append((name, "claimed", text))
        elif rows:
            rows.append((name, NOTHING, text))
    if measured := result.judgement.accuracy:
        rows.append(("accuracy", *_measured(measured)))
    return rows


def _measured(measured: Accuracy) -> tuple[str, str]:
    if measured.accuracy is None:
        return "not found", measured.warning or ""
    how = "as given" if measured.normalisation_is == "given" else "found from the weights"
    return "measured", (
        f"{measured.accuracy:.2%} ({measured.correct:,} of {measured.images:,} {measured.split} images),"
        f" with inputs {measured.normalisation}, {how}"
    )


def _summary(judgement: Judgement) -> str:
    if judgement.word in ("broken", "no model"):
        return f"{judgement.word}: {judgement.reason}"
    rules = judgement.missed_rules
    return f"failed, misses {enumeration(rules)}" if rules else "passed, meets every requirement"


def _advice(target: str, findings: Sequence[Finding], width: int | None) -> list[str]:
    """Return the fixes for missed rules, then advice, then remarks."""
    texts: dict[str, list[str]] = {"To change:": [], "Advised:": [], "Remarks:": []}
    for finding in findings:
        if not finding.passed:
            title = "To change:" if finding.status == "failed" else "Advised:"
            required = f"requirement: {finding.requirement}"
            text = f"{finding.fix} ({required})" if finding.fix else required
            texts[title].append(f"{finding.rule}: {text}")
        if finding.remark:
            texts["Remarks:"].append(f"{finding.rule}: {finding.remark}")
    lines = []
    for title, items in texts.items():
        lines += ["", title] if items else []
        for text in items:
            lines += wrapped(f"- {_short(text, target)}", width, "  ")
    return lines


def _short(text: str, target: str) -> str:
    """Write ``model.py:49`` as ``line 49`` where the heading names that file already."""
    file = re.escape(PurePath(re.sub(r":\w+$", "", target)).name)
    text = re.sub(rf"(?<![\w/]){file}:(\d+)", r"line \1", text)
    return re.sub(rf"(?<![\w/]){file} (?=In \[|cell )", "", text)


def layers_table(layers: Sequence[Layer]) -> Table:
    """Return a row for each layer: output, cost, receptive field, layers that follow, and its line."""
    rows = tuple(
        (
            layer.name,
            layer.type,
            "×".join(map(str, layer.shape)),
            f"{layer.parameters:,}",
            f"{layer.macs:,}",
            str(layer.receptive_field),
            f"{layer.jump:g}",
            {True: "yes", False: "no", None: ""}[layer.batch_norm_after],
            layer.activation or "",
            layer.source,
        )
        for layer in layers
    )
    return Table(LAYERS, rows, align="lllrrrrlll")


def _fitting(table: Table, width: int | None) -> Table:
    """Drop the columns that are empty, and more where ``width`` is too small."""
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


def folder_text(results: Sequence[Result], width: int | None = None) -> str:
    """Return a row for each model, the deciding one of a submission first; then why models are broken."""
    rows: list[tuple[str, ...]] = []
    broken: dict[str, list[str]] = {}
    for result in results:
        judgement = result.judgement
        name = result.target if result.submission is None else result.submission
        model = result.place or NOTHING
        count = "" if judgement.parameters is None else f"{judgement.parameters:,}"
        first = (name, judgement.word, model) if result.decides else ("", judgement.word, f"└ {model}")
        rows.append((*first, count, ", ".join(judgement.missed_rules)))
        if judgement.error:
            reason, line = _parted(judgement.error, result.target)
            place = "/".join(filter(None, (name, result.file)))
            broken.setdefault(reason, []).append(f"{place}{line}")
    header = ("Submission", "Result", "Model", "Parameters", "Missed")
    lines = [Table(header, tuple(rows), align="lllrl").text(width)]
    if broken:
        lines += ["", "Broken:"]
        for reason, places in broken.items():
            lines += wrapped(f"- {', '.join(places)}: {reason}", width, "  ")
    return "\n".join(lines)


def _parted(error: str, target: str) -> tuple[str, str]:
    """Split off the line of the target's own file that a reason ends with, as ``:12``."""
    name = PurePath(re.sub(r":\w+$", "", target)).name
    error = error.removeprefix(f"{target} ").removeprefix(f"{target}: ").removeprefix(f"{name}: ")
    file = re.escape(name)
    if found := re.search(rf" \({file}(:\d+| [^()]*:\d+)\)$", error):
        return error[: found.start()], found[1]
    return error, ""
