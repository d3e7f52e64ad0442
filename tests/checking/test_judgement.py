"""Judgements and their JSON; reports that a model's own code could have written."""

import copy
import json

import pytest
from torch import nn

from under20k.checking.judgement import Accuracy, Judgement, Malformed
from under20k.checking.profiles import load_profile
from under20k.checking.rules.judge import judge_model

ACCURACY = Accuracy("test", 10_000, "x/255", 0.0, 1.0, "given", correct=9_941, accuracy=0.9941).to_json()


@pytest.fixture(scope="module")
def true() -> dict:
    """A report as it comes from the process."""
    model = nn.Sequential(nn.Conv2d(1, 10, 28), nn.BatchNorm2d(10), nn.ReLU(), nn.Flatten())
    return json.loads(json.dumps(judge_model(model, load_profile("brief")).to_json()))


def read(report: object) -> dict:
    """What is taken of a report, as JSON again."""
    return json.loads(json.dumps(Judgement.from_report(report).to_json()))


def test_a_true_report_is_taken_whole(true):
    assert read(true) == true
    assert read({"error": "why", "notes": ["how"]}) == {"error": "why", "notes": ["how"]}
    assert read({"weights_error": "why"}) == {"weights_error": "why"}


def test_a_judgement_survives_json():
    model = nn.Sequential(nn.Conv2d(1, 10, 28), nn.BatchNorm2d(10), nn.ReLU(), nn.Flatten())
    judgement = judge_model(model, load_profile("brief"))
    assert Judgement.from_report(json.loads(json.dumps(judgement.to_json()))) == judgement


@pytest.mark.parametrize(
    "accuracy",
    [
        Accuracy("test", 10_000, "x/255", 0.0, 1.0, "given", correct=9_941, accuracy=0.9941),
        Accuracy("validation", 10, "x/255", 0.0, 1.0, "found", 2_000, 1_999, None, correct=1, accuracy=0.1),
        Accuracy("validation", 10, "x/255", 0.0, 1.0, "found", 2_000, 10, 3.5, "no accuracy: …"),
    ],
)
def test_an_accuracy_survives_json(true, accuracy):
    report = json.loads(json.dumps(true | {"accuracy": accuracy.to_json()}))
    assert Judgement.from_report(report).accuracy == accuracy
    assert read(report) == report


def test_unknown_fields_of_a_forged_report_are_dropped(true):
    assert read(true | {"target": "another.py", "result": "passed"}) == true
    assert "target" not in read({"error": "why", "target": "another.py"})


def test_control_characters_of_a_report_are_replaced(true):
    forged = copy.deepcopy(true)
    forged["findings"][0]["evidence"] = "\x1b[31mred\x07\n"
    assert Judgement.from_report(forged).findings[0].evidence == "\ufffd[31mred\ufffd\n"
    assert Judgement.from_report({"error": "\x9b1m"}).error == "\ufffd1m"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("parameters",), "x"),
        (("parameters",), True),
        (("macs",), None),
        (("passed",), 1),
        (("passed",), True),  # one finding has failed
        (("notes",), 3),
        (("notes",), [3]),
        (("accuracy",), {"split": "validation"}),
        (("accuracy",), {**ACCURACY, "correct": "all"}),
        (("accuracy",), {name: ACCURACY[name] for name in ACCURACY if name != "accuracy"}),
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
def test_a_report_with_wrong_types_is_refused(true, place, value):
    forged = copy.deepcopy(true)
    inside = forged
    for step in place[:-1]:
        inside = inside[step]
    inside[place[-1]] = value
    with pytest.raises(Malformed):
        Judgement.from_report(forged)


@pytest.mark.parametrize("value", [None, 3, "passed", [], {}])
def test_values_that_are_not_reports_are_refused(value):
    with pytest.raises(Malformed):
        Judgement.from_report(value)
