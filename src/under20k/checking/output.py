"""Results of checks for programs and pages: JUnit XML, Markdown, CSV, an SVG badge."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from html import escape
from typing import Any

from under20k.checking.profiles import RULES

Results = Sequence[tuple[str, dict[str, Any]]]
"""Target and what was found; a broken one holds ``error``."""


def _plain(text: str) -> str:
    """Without what XML cannot hold."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "�", text)


def junit(results: Results) -> str:
    """A test suite a target, a test case a rule."""
    suites = []
    for target, result in results:
        cases, failures, errors = [], 0, 0
        if "error" in result:
            errors = 1
            cases.append(
                f'<testcase name="runs"><error message="{escape(_plain(result["error"]))}"/></testcase>'
            )
        for finding in result.get("findings", ()):
            failed = finding["status"] == "failed"
            failures += failed
            text = escape(_plain(finding["evidence"]))
            inner = f'<failure message="{text}"/>' if failed else f"<system-out>{text}</system-out>"
            cases.append(f'<testcase name="{escape(_plain(finding["rule"]))}">{inner}</testcase>')
        suites.append(
            f'<testsuite name="{escape(_plain(target))}" tests="{len(cases)}" failures="{failures}"'
            f' errors="{errors}">{"".join(cases)}</testsuite>'
        )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>{"".join(suites)}</testsuites>\n'


def markdown(results: Results) -> str:
    """A heading and a table a target."""

    def cell(text: str) -> str:
        return escape(" ".join(text.split()), quote=False).replace("|", "\\|")

    parts = []
    for target, result in results:
        parts.append(f"### {cell(target)}: {word(result)}\n")
        if "error" in result:
            parts.append(f"{cell(result['error'])}\n")
            continue
        parts.append("| Rule | Requirement | Result | Evidence |\n| --- | --- | --- | --- |")
        for f in result["findings"]:
            row = (f["rule"], f["requirement"], f["status"], f["evidence"])
            parts.append("| " + " | ".join(map(cell, row)) + " |")
        parts.append("")
    return "\n".join(parts) + "\n"


def comma_separated(results: Results) -> str:
    """A row a target: result, parameters, MACs, the status of each rule, and why it is broken."""

    def cell(text: str) -> str:
        # One that begins like a formula is one to a spreadsheet.
        return "'" + text if text.startswith(tuple("=+-@\t\r")) else text

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("target", "result", "total_parameters", "macs", *RULES, "reason"))
    for target, result in results:
        status = {f["rule"]: f["status"] for f in result.get("findings", ())}
        reason = result.get("error", "")
        figures = (result.get("parameters", ""), result.get("macs", ""))
        rules = (status.get(rule, "") for rule in RULES)
        writer.writerow((cell(target), word(result), *figures, *rules, cell(reason)))
    return out.getvalue()


def word(result: dict[str, Any]) -> str:
    """The result in one word."""
    return "broken" if "error" in result else "passed" if result["passed"] else "failed"


def badge(results: Results) -> str:
    """An SVG badge: how many parameters, and whether everything passed."""
    words = [word(result) for _, result in results]
    good = all(w == "passed" for w in words)
    if len(results) == 1:
        parameters = results[0][1].get("parameters")
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
