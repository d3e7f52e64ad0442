"""Results of checks as files: JUnit XML, Markdown, CSV, an SVG badge."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

from under20k.checking.profiles import RULES
from under20k.checking.results import Result, deciding
from under20k.report.badge import GREEN, RED, badge_svg
from under20k.report.markdown import escape, escape_block
from under20k.report.tables import Table

# The complement of XML's character range (Extensible Markup Language 1.0, section 2.2).
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(results: Sequence[Result]) -> str:
    """Return a test suite for each model and a test case for each rule; notes and claims are properties."""
    suites = ElementTree.Element("testsuites")
    for result in results:
        _suite(suites, result)
    ElementTree.indent(suites)
    body = ElementTree.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _suite(suites: ElementTree.Element, result: Result) -> None:
    judgement = result.judgement
    broken, skipped = judgement.word == "broken", judgement.word == "no model"
    suite = _element(
        suites,
        "testsuite",
        name=result.title,
        tests=str(len(judgement.findings) + broken + skipped),
        failures=str(len(judgement.missed_rules)),
        errors=str(int(broken)),
        skipped=str(int(skipped)),
    )
    facts: list[tuple[str, str]] = []
    if result.submission is not None:
        facts += [("submission", result.submission), ("submission_result", result.submission_result)]
    facts += [(f"claimed {name}", text) for name, text in result.claims()]
    facts += [("note", note) for note in judgement.notes]
    properties = _element(suite, "properties") if facts else suite
    for name, value in facts:
        _element(properties, "property", name=name, value=value)
    if broken or skipped:
        case = _element(suite, "testcase", name="runs", classname=result.target)
        _element(case, "error" if broken else "skipped", message=judgement.reason)
    for finding in judgement.findings:
        case = _element(suite, "testcase", name=finding.rule, classname=result.target)
        details = [f"requirement: {finding.requirement}", *finding.advice]
        if finding.status == "failed":
            _element(case, "failure", "\n".join(details), message=finding.evidence)
        else:
            level = ["advised, and missed"] if finding.status == "warning" else []
            _element(case, "system-out", "\n".join([*level, finding.evidence, *details]))


def _element(parent: ElementTree.Element, tag: str, text: str = "", **attributes: str) -> ElementTree.Element:
    """Add an element; characters that XML cannot hold are replaced."""
    clean = {name: _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", value) for name, value in attributes.items()}
    element = ElementTree.SubElement(parent, tag, clean)
    element.text = _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text) or None
    return element


def markdown(results: Sequence[Result], heading: str = "", summary: str = "") -> str:
    """Return a heading and a table for each model.

    Args:
        results: of all models.
        heading: of a folder; an overview of its submissions then comes first.
        summary: the tally of a folder.
    """
    parts = []
    if heading:
        parts += [escape_block(heading), f"**{escape(summary)}**", _overview(results)]
    for result in results:
        judgement = result.judgement
        parts.append(f"### {escape(result.title)}: {judgement.word}")
        if judgement.reason:
            parts.append(escape_block(judgement.reason))
        if judgement.notes:
            parts.append("\n".join(f"- {escape_block(note)}" for note in judgement.notes))
        rows = [(f.rule, f.requirement, f.word, f.evidence, "; ".join(f.advice)) for f in judgement.findings]
        rows += [(name, "", "claimed", text, "") for name, text in result.claims()]
        if rows:
            header = ("Rule", "Requirement", "Result", "Evidence", "Advice")
            parts.append(Table(header, tuple(rows), align="lllll").markdown())
    return "\n\n".join(parts) + "\n"


def _overview(results: Sequence[Result]) -> str:
    header = ("Submission", "Result", "Model", "Parameters", "Missed, or why broken")
    rows = tuple(
        (
            (result.submission or result.target) if result.decides else "",
            result.judgement.word,
            result.place,
            "" if result.judgement.parameters is None else f"{result.judgement.parameters:,}",
            result.judgement.reason or ", ".join(result.judgement.missed_rules),
        )
        for result in results
    )
    return Table(header, rows, align="lllrl").markdown()


def comma_separated(results: Sequence[Result]) -> str:
    """Return a row for each model, with the verdict, evidence, fix and remark of each rule."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    rules = [name for rule in RULES for name in (rule, f"{rule}_evidence", f"{rule}_fix", f"{rule}_remark")]
    writer.writerow(
        (
            *("target", "result", "total_parameters", "macs", "model", "submission", "submission_result"),
            *("decides", *rules, "claimed_epochs", "claimed_accuracy", "notes", "reason"),
        )
    )
    writer.writerows([_cell(value) for value in _values(result)] for result in results)
    return out.getvalue()


def _values(result: Result) -> Iterator[str]:
    judgement = result.judgement
    yield from (result.target, judgement.word)
    yield from ("" if n is None else str(n) for n in (judgement.parameters, judgement.macs))
    yield judgement.model
    yield result.target if result.submission is None else result.submission
    yield result.submission_result or judgement.word
    yield "yes" if result.decides else "no"
    found = {finding.rule: finding for finding in judgement.findings}
    for rule in RULES:
        finding = found.get(rule)
        yield from (finding.status, finding.evidence, finding.fix, finding.remark) if finding else ("",) * 4
    claimed = dict(result.claims())
    yield from (claimed.get(name, "") for name in ("epochs", "accuracy"))
    yield "; ".join(judgement.notes)
    yield judgement.reason


def _cell(text: str) -> str:
    """Return the text, quoted where a spreadsheet would take it for a formula."""
    return "'" + text if text.startswith(tuple("=+-@\t\r")) else text


def badge(results: Sequence[Result]) -> str:
    """Return an SVG badge: the result and the parameters, or how many of several submissions passed."""
    ends = [result.judgement for result in deciding(results)]
    passed = sum(judgement.passed for judgement in ends)
    if len(ends) == 1:
        (judgement,) = ends
        count = judgement.parameters
        right = judgement.word if count is None else f"{judgement.word}, {count:,} parameters"
    else:
        right = f"{passed} of {len(ends)} passed"
    return badge_svg(right, GREEN if passed == len(ends) else RED, f"under20k: {right}")
