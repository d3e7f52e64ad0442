"""Reports that a model's own code could have written."""

import copy
import json

import pytest
from torch import nn

from under20k.checking.profiles import load_profile
from under20k.checking.rules.judge import judge_model
from under20k.checking.sandbox.answers import report


@pytest.fixture(scope="module")
def true() -> dict:
    """A report as it comes from the process."""
    model = nn.Sequential(nn.Conv2d(1, 10, 28), nn.BatchNorm2d(10), nn.ReLU(), nn.Flatten())
    return json.loads(json.dumps(judge_model(model, load_profile("brief"))))


def test_a_true_report_is_taken_whole(true):
    assert report(true) == true
    assert report({"error": "why", "notes": ["how"]}) == {"error": "why", "notes": ["how"]}


def test_of_a_forged_report_only_what_is_known_is_taken(true):
    assert report(true | {"target": "another.py", "result": "passed"}) == true
    assert report({"error": "why", "target": "another.py"}) == {"error": "why", "notes": []}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("parameters",), "x"),
        (("parameters",), True),
        (("macs",), None),
        (("passed",), 1),
        (("notes",), 3),
        (("notes",), [3]),
        (("accuracy",), {"split": "validation"}),
        (("findings",), {}),
        (("findings", 0), "x"),
        (("findings", 0, "rule"), 3),
        (("findings", 0, "status"), "excellent"),
        (("findings", 0, "more"), "x"),
        (("layers", 0), None),
        (("layers", 0, "shape"), None),
        (("layers", 0, "shape"), ["x"]),
        (("layers", 0, "parameters"), "x"),
        (("layers", 0, "jump"), 10**400),
        (("layers", 0, "batch_norm_after"), "x"),
        (("layers", 0, "followed_by"), [3]),
        (("layers", 0, "source"), None),
        (("error",), None),
    ],
)
def test_a_report_of_another_shape_is_none(true, place, value):
    forged = copy.deepcopy(true)
    inside = forged
    for step in place[:-1]:
        inside = inside[step]
    inside[place[-1]] = value
    assert report(forged) is None


@pytest.mark.parametrize("value", [None, 3, "passed", [], {}])
def test_what_is_no_report_at_all(value):
    assert report(value) is None
