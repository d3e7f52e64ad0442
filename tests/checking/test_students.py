"""Networks like those of students against the verdicts of a careful teacher."""

import re

import pytest
from torch import nn

from tests.support.students import RIGHT, B
from under20k.checking.profiles import load_profile
from under20k.checking.rules.judge import judge_model

BRIEF = load_profile("brief")


@pytest.mark.parametrize("name", RIGHT)
def test_verdicts_match_a_careful_teachers(name):
    build, missed = RIGHT[name]
    findings = judge_model(build(), BRIEF).findings
    assert {f.rule for f in findings if f.status != "passed"} == missed, findings
    for finding in findings:
        assert bool(finding.fix) == (finding.status != "passed"), finding
        assert "\n" not in finding.fix + finding.evidence + finding.remark


@pytest.mark.parametrize("name", [name for name in RIGHT if B in RIGHT[name][1]])
def test_the_stated_cost_of_a_fix_is_its_cost(name):
    """The BatchNorm layers that the fix names, put into the model, make it as large as the fix says."""
    model = RIGHT[name][0]()
    result = judge_model(model, BRIEF)
    fix = next(f.fix for f in result.findings if f.rule == B)
    if not fix.startswith("add "):
        return
    added = nn.ModuleList(
        nn.BatchNorm2d(int(width)) for width in re.findall(r"nn\.BatchNorm2d\((\d+)\)", fix)
    )
    cost = sum(p.numel() for p in added.parameters())
    total = cost + sum(p.numel() for p in model.parameters())
    assert fix.endswith(f": {cost:,} parameters, {total:,} then")


def test_evidence_names_the_kind_of_layer():
    def evidence(name: str) -> str:
        findings = judge_model(RIGHT[name][0](), BRIEF).findings
        return next(f.evidence for f in findings if f.rule == B)

    assert "none after the depthwise features.3 (students.py:" in evidence("separable, depthwise without")
    assert evidence("separable, depthwise without").endswith(", before their pointwise halves")
    assert evidence("shared, one use without").endswith(", call 2 of 3")
    assert "has one, but also goes to last (students.py:" in evidence("shortcut before BatchNorm")
