"""Results of checks for programs and pages: JUnit XML, Markdown, CSV, an SVG badge."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any
from xml.etree import ElementTree

from under20k.checking.profiles import RULES

Result = dict[str, Any]
"""What ``judge_model`` found, or ``error`` or ``no_model``. Of a folder also ``submission``, ``file`` (in the
submission; empty where the file is the submission), ``submission_result``, and ``decides``: whether the
submission has its result from this model."""
Results = Sequence[tuple[str, Result]]
"""Targets and results."""
NOT_CLAIMED = "nothing found in the source"
_OLD = re.compile(r"(?i)(?<![a-z])(old|backup|copy|draft|archive)")
RANKS = ("passed", "failed", "broken", "no model")


def word(result: Result) -> str:
    """The result in one word, of ``RANKS``."""
    if "no_model" in result:
        return "no model"
    return "broken" if "error" in result else "passed" if result["passed"] else "failed"


def missed_rules(result: Result) -> list[str]:
    """The required rules that a model misses."""
    return [finding["rule"] for finding in result.get("findings", ()) if finding["status"] == "failed"]


def titled(target: str, result: Result) -> str:
    """The target with the class that was judged, where the target does not name it."""
    model = result.get("model")
    return f"{target}:{model}" if model and target.endswith((".py", ".ipynb")) else target


def model_in(result: Result) -> str:
    """A submission's model: file and class, as far as they are known."""
    return ":".join(filter(None, (result.get("file"), result.get("model"))))


def submitted(name: str, results: Results, *, every: bool) -> list[tuple[str, Result]]:
    """The results of one submission, marked with its own, the model that decides it first.

    A submission passes if one of its models does, or with ``every`` if all do. At least one result.
    """

    def rank(at: int) -> tuple[int, int, bool, int]:
        target, result = results[at]
        # Of equals the last: names of later versions come later.
        return RANKS.index(word(result)), len(missed_rules(result)), bool(_OLD.search(target)), -at

    models = [at for at, (_, result) in enumerate(results) if "no_model" not in result] or [0]
    best = (max if every else min)(models, key=rank)
    common = {"submission": name, "submission_result": word(results[best][1])}
    order = [best, *(at for at in range(len(results)) if at != best)]
    return [(results[at][0], {**results[at][1], **common, "decides": at == best}) for at in order]


def deciding(results: Results) -> list[tuple[str, Result]]:
    """A result a submission."""
    return [(target, result) for target, result in results if result.get("decides", True)]


def tally(results: Results) -> str:
    """``9 of 77 passed; missed: batch_norm 39, dropout 22; broken: 3``, a submission counted once."""
    ends = [result for _, result in deciding(results)]
    words = Counter(map(word, ends))
    missed = Counter(rule for result in ends for rule in missed_rules(result))
    parts = [f"{words['passed']} of {len(ends)} passed"]
    if missed:
        parts.append("missed: " + ", ".join(f"{rule} {count}" for rule, count in missed.most_common()))
    parts += [f"{name}: {words[name]}" for name in ("broken", "no model") if words[name]]
    return "; ".join(parts)


def claims(result: Result) -> list[tuple[str, str]]:
    """What the source itself says of ``epochs`` and ``accuracy``, with the places; nobody has verified it."""
    claimed = result.get("claimed")
    if claimed is None:  # a recipe, or a model that could not be looked at
        return []
    found: dict[str, list[str]] = {"epochs": [], "accuracy": []}
    if epochs := claimed.get("epochs"):
        limit = result.get("limits", {}).get("epochs")
        asked = f"; fewer than {limit} are asked" if limit is not None and epochs["value"] >= limit else ""
        found["epochs"].append(f"{epochs['value']:g} ({epochs['place']}){asked}")
    kinds = (("test_accuracy", "test"), ("train_accuracy", "train"), ("stated_accuracy", "stated"))
    for key, kind in kinds:
        if figure := claimed.get(key):
            best = claimed.get(f"best_{key}", figure)
            text = f"{kind} {_percent(figure)} ({figure['place']})"
            more = best["value"] > figure["value"]
            found["accuracy"].append(f"{text}, best {_percent(best)} ({best['place']})" if more else text)
    return [(name, "; ".join(texts) or NOT_CLAIMED) for name, texts in found.items()]


def _percent(claim: dict[str, Any]) -> str:
    return f"{100 * claim['value']:.6g}%"


def _plain(text: str) -> str:
    """Without what XML cannot hold."""
    return re.sub(
        r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\N{REPLACEMENT CHARACTER}", text
    )


def junit(results: Results) -> str:
    """A test suite a model, a test case a rule; notes and claims are the suite's properties."""
    suites = ElementTree.Element("testsuites")

    def add(parent: ElementTree.Element, tag: str, text: str = "", **attributes: str) -> ElementTree.Element:
        plain = {name: _plain(value) for name, value in attributes.items()}
        element = ElementTree.SubElement(parent, tag, plain)
        element.text = _plain(text) or None
        return element

    for target, result in results:
        findings = result.get("findings", ())
        broken = word(result) == "broken"
        skipped = word(result) == "no model"
        suite = add(
            suites,
            "testsuite",
            name=titled(target, result),
            tests=str(len(findings) + broken + skipped),
            failures=str(len(missed_rules(result))),
            errors=str(int(broken)),
            skipped=str(int(skipped)),
        )
        facts: list[tuple[str, str]] = []
        for name in ("submission", "submission_result"):
            facts += [(name, str(result[name]))] if name in result else []
        facts += [(f"claimed {name}", text) for name, text in claims(result)]
        facts += [("note", note) for note in result.get("notes", ())]
        if facts:
            properties = add(suite, "properties")
            for name, value in facts:
                add(properties, "property", name=name, value=value)
        if broken:
            add(add(suite, "testcase", name="runs", classname=target), "error", message=result["error"])
        if skipped:
            add(add(suite, "testcase", name="runs", classname=target), "skipped", message=result["no_model"])
        for finding in findings:
            case = add(suite, "testcase", name=finding["rule"], classname=target)
            said = [f"asked: {finding['requirement']}", *advice(finding)]
            if finding["status"] == "failed":
                add(case, "failure", "\n".join(said), message=finding["evidence"])
            else:
                level = ["advised, and missed"] if finding["status"] == "warning" else []
                add(case, "system-out", "\n".join([*level, finding["evidence"], *said]))
    ElementTree.indent(suites)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"
    )


def advice(finding: dict[str, str]) -> list[str]:
    """The remark on a finding, and what to change."""
    return [finding[name] for name in ("fix", "remark") if finding.get(name)]


def markdown(results: Results, heading: str = "", summary: str = "") -> str:
    """A heading and a table a model; of a folder, with ``heading`` and ``summary``, an overview first."""
    parts = []
    if heading:
        parts += [f"{_cell(heading)}\n", f"**{_cell(summary)}**"]
        rows = []
        for target, result in results:
            first = result.get("decides", True)
            count = f"{result['parameters']:,}" if "parameters" in result else ""
            reason = result.get("error") or result.get("no_model") or ", ".join(missed_rules(result))
            name = result.get("submission", target) if first else ""
            rows.append((name, word(result), model_in(result), count, reason))
        parts += [*_table(("Submission", "Result", "Model", "Parameters", "Missed, or why broken"), rows), ""]
    for target, result in results:
        parts.append(f"### {_cell(titled(target, result))}: {word(result)}\n")
        if reason := result.get("error") or result.get("no_model"):
            parts.append(f"{_cell(reason)}\n")
        parts += [f"- {_cell(note)}" for note in result.get("notes", ())]
        rows = [
            (f["rule"], f["requirement"], shown_status(f), f["evidence"], "; ".join(advice(f)))
            for f in result.get("findings", ())
        ]
        rows += [(name, "", "claimed", text, "") for name, text in claims(result)]
        if rows:
            parts += [*_table(("Rule", "Requirement", "Result", "Evidence", "Advice"), rows), ""]
    return "\n".join(parts) + "\n"


def shown_status(finding: dict[str, str]) -> str:
    """``passed``, ``failed``, or ``advised`` of a rule that is missed and only advised."""
    return "advised" if finding["status"] == "warning" else finding["status"]


def _cell(text: str) -> str:
    return escape(" ".join(text.split()), quote=False).replace("|", "\\|")


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *(list(map(_cell, row)) for row in rows)]
    return ["", *("| " + " | ".join(line) + " |" for line in lines)]


def comma_separated(results: Results) -> str:
    """A row a model: result, submission, figures, for each rule its status, evidence, fix and remark, what is
    claimed, and why it is broken.
    """

    def cell(text: str) -> str:
        # One that begins like a formula is one to a spreadsheet.
        return "'" + text if text.startswith(tuple("=+-@\t\r")) else text

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = [name for rule in RULES for name in (rule, f"{rule}_evidence", f"{rule}_fix", f"{rule}_remark")]
    writer.writerow(
        (
            *("target", "result", "total_parameters", "macs", "model", "submission", "submission_result"),
            *("decides", *columns, "claimed_epochs", "claimed_accuracy", "notes", "reason"),
        )
    )
    for target, result in results:
        found = {f["rule"]: f for f in result.get("findings", ())}
        verdicts = []
        for rule in RULES:
            finding = found.get(rule, {})
            verdicts += [cell(finding.get(key, "")) for key in ("status", "evidence", "fix", "remark")]
        claimed = dict(claims(result))
        writer.writerow(
            (
                *(cell(target), word(result), result.get("parameters", ""), result.get("macs", "")),
                *(cell(result.get("model", "")), cell(result.get("submission", target))),
                result.get("submission_result", word(result)),
                "yes" if result.get("decides", True) else "no",
                *verdicts,
                *(cell(claimed.get(name, "")) for name in ("epochs", "accuracy")),
                cell("; ".join(result.get("notes", ()))),
                cell(result.get("error") or result.get("no_model") or ""),
            )
        )
    return out.getvalue()


def badge(results: Results) -> str:
    """An SVG badge: how many parameters, and whether everything passed; of several, how many submissions."""
    ends = [result for _, result in deciding(results)]
    words = [word(result) for result in ends]
    good = all(w == "passed" for w in words)
    if len(ends) == 1:
        parameters = ends[0].get("parameters")
        right = words[0] if parameters is None else f"{words[0]}, {parameters:,} parameters"
    else:
        right = f"{words.count('passed')} of {len(words)} passed"
    left_px, right_px = 66, 12 + 7 * len(right)
    color = "#2e7d32" if good else "#c62828"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left_px + right_px}" height="20" role="img">'
        f"<title>under20k: {right}</title>"
        f'<rect width="{left_px}" height="20" fill="#444"/>'
        f'<rect x="{left_px}" width="{right_px}" height="20" fill="{color}"/>'
        '<g fill="#fff" font-family="Verdana,sans-serif" font-size="11">'
        f'<text x="6" y="14">under20k</text><text x="{left_px + 6}" y="14">{right}</text></g></svg>\n'
    )
