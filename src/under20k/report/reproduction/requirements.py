"""The requirements that each recipe meets: one table, a row a requirement and a column a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from under20k.checking.findings import Finding, missed, unmet_advice
from under20k.report.document import Block, Bullets, Details
from under20k.report.tables import Table
from under20k.report.words import NOTHING, enumeration, plural, signed
from under20k.runs.bench.bench import Bench

Verdicts = Mapping[str, Sequence[Finding]]
"""Findings of the check, by recipe name."""


def requirements(benches: Sequence[Bench], verdicts: Verdicts) -> tuple[Block, ...]:
    """Return the rules that each model misses, each requirement's verdicts, and the evidence."""
    names = [bench.recipe.name for bench in benches]
    summaries = Bullets(tuple(_summary(name, verdicts.get(name, ())) for name in names))
    checked = {name: verdicts[name] for name in names if verdicts.get(name)}
    if not checked:
        return (summaries,)
    return summaries, verdicts_matrix(checked), Details("Evidence for each requirement", (evidence(checked),))


def _summary(name: str, checked: Sequence[Finding]) -> str:
    if not checked:
        return f"{name}: no requirement was checked."
    met = sum(finding.passed for finding in checked)
    text = f"{name} meets {met} of {plural(len(checked), 'requirement')}"
    if rules := missed(checked):
        text += f"; missed: {enumeration(rules)}"
    if advice := unmet_advice(checked):
        text += f"; advised and not met: {enumeration(advice)}"
    return f"{text}."


def verdicts_matrix(verdicts: Verdicts) -> Table:
    """Return a row a requirement and a column a recipe; rows in which the recipes differ are marked."""
    rows, differing = [], []
    for index, (key, found) in enumerate(_by_requirement(verdicts).items()):
        cells = [_verdict(found[name]) if name in found else NOTHING for name in verdicts]
        rows.append((*key, *cells))
        if len(set(cells)) > 1:
            differing.append(index)
    rules = [rows[index][0] for index in differing]
    note = f"The recipes differ in: {enumeration(rules)}." if rules else ""
    return Table(
        ("Rule", "Requirement", *verdicts),
        tuple(rows),
        align="l" * (2 + len(verdicts)),
        notes=(note,) * bool(note),
        marked=frozenset(differing),
    )


def evidence(verdicts: Verdicts) -> Table:
    """Return the evidence for each requirement, each text once, with the recipes that it holds for."""
    rows = []
    for (rule, _), found in _by_requirement(verdicts).items():
        holders: dict[str, list[str]] = {}
        for name, finding in found.items():
            holders.setdefault(finding.evidence, []).append(name)
        for text, names in holders.items():
            everybody = len(names) == len(verdicts) > 1
            rows.append((rule, "all recipes" if everybody else enumeration(names), text))
    return Table(("Rule", "Recipes", "Evidence"), tuple(rows), align="lll")


def _by_requirement(verdicts: Verdicts) -> dict[tuple[str, str], dict[str, Finding]]:
    """Return the findings by rule and requirement, then by recipe."""
    found: dict[tuple[str, str], dict[str, Finding]] = {}
    for name, findings in verdicts.items():
        for finding in findings:
            found.setdefault((finding.rule, finding.requirement), {})[name] = finding
    return found


def _verdict(finding: Finding) -> str:
    """Return ``✓ passed`` or ``✗ failed``; of a missed rule that is only advised, ``advised, not met``."""
    if finding.status == "warning":
        return "advised, not met"
    return signed(finding.passed, finding.status)
