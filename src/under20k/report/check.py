"""Results of checks as text: one model, or a folder of submissions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

from under20k.checking.findings import Finding
from under20k.checking.judgement import Accuracy, Judgement, Layer
from under20k.checking.results import NOT_CLAIMED, Result
from under20k.report.tables import NetworkRow, Table, network_table
from under20k.report.text_lines import wrapped
from under20k.report.words import NOTHING, enumeration, plural, signed

MODULES = {
    "log_softmax": "LogSoftmax",
    "relu": "ReLU",
    "relu6": "ReLU6",
    "leaky_relu": "LeakyReLU",
    "rrelu": "RReLU",
    "prelu": "PReLU",
    "elu": "ELU",
    "celu": "CELU",
    "selu": "SELU",
    "gelu": "GELU",
    "silu": "SiLU",
    "glu": "GLU",
    **{
        name: name.capitalize()
        for name in ("dropout", "flatten", "linear", "mish", "sigmoid", "softmax", "tanh")
    },
}
"""Modules of torch.nn by their function, as tables of layers write them."""
_SPATIAL = re.compile(r"[a-z_]+[123]d")


def model_text(result: Result, width: int | None = None, *, layers: bool = False) -> str:
    """Return the verdicts on one model, then what to change.

    Args:
        result: of the model.
        width: characters to wrap at; None does not wrap.
        layers: whether to add the table of layers.
    """
    judgement, target = result.judgement, result.target
    limits = f" (limits: {result.other_limits})" if result.other_limits else ""
    lines = wrapped(f"{result.title}: {_short(_summary(judgement), target)}{limits}", width, "  ")
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
        lines += [
            "",
            network_table(layer_rows(judgement.layers), parameters=judgement.parameters).text(width),
        ]
    return "\n".join(lines)


def _verdicts(result: Result) -> list[tuple[str, str, str]]:
    """Return rule, result and evidence of the findings, then of the claims and the measured accuracy."""
    rows = [(finding.rule, _signed(finding.word), finding.evidence) for finding in result.judgement.findings]
    for name, text in result.claims():
        if text != NOT_CLAIMED:
            rows.append((name, "claimed", text))
        elif rows:
            rows.append((name, NOTHING, text))
    if measured := result.judgement.accuracy:
        rows.append(("accuracy", *_measured(measured)))
    return rows


def _signed(word: str) -> str:
    """Return a result after its sign; advice that is not met has none."""
    return signed(word == "passed", word) if word in ("passed", "failed", "broken") else word


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
        return signed(False, f"{judgement.word}: {judgement.reason}")
    if rules := judgement.missed_rules:
        count = f"{len(rules)} of {plural(len(judgement.findings), 'requirement')}"
        return signed(False, f"failed, misses {count}: {enumeration(rules)}")
    return signed(True, "passed, meets every requirement")


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


def layer_rows(layers: Sequence[Layer]) -> list[NetworkRow]:
    """Return the judged model's layers in the form of a recipe's."""
    return [
        NetworkRow(
            layer.name,
            module_name(layer),
            layer.shape,
            layer.parameters,
            layer.macs,
            layer.receptive_field,
            layer.jump,
            layer.source,
        )
        for layer in layers
    ]


def module_name(layer: Layer) -> str:
    """Return ``Conv2d`` for the operation ``conv2d``; one that has no module keeps its name."""
    if layer.type == "batch_norm":
        return f"BatchNorm{max(len(layer.shape) - 1, 1)}d"
    if _SPATIAL.fullmatch(layer.type):
        return "".join(part.capitalize() for part in layer.type.split("_"))
    return MODULES.get(layer.type, layer.type)


def folder_text(results: Sequence[Result], width: int | None = None) -> str:
    """Return a row for each model, the deciding one of a submission first; then why models are broken."""
    rows: list[tuple[str, ...]] = []
    broken: dict[str, list[str]] = {}
    for result in results:
        judgement = result.judgement
        name = result.target if result.submission is None else result.submission
        model = result.place or NOTHING
        count = "" if judgement.parameters is None else f"{judgement.parameters:,}"
        word = _signed(judgement.word)
        first = (name, word, model) if result.decides else ("", word, f"└ {model}")
        rows.append((*first, count, ", ".join(judgement.missed_rules)))
        if judgement.error:
            reason, line = _parted(judgement.error, result.target)
            place = "/".join(filter(None, (name, result.file)))
            broken.setdefault(reason, []).append(f"{place}{line}")
    header = ("Submission", "Result", "Model", "Parameters", "Missed")
    lines = [Table(header, tuple(rows), align="lllrl", optional=("Parameters",)).text(width)]
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
