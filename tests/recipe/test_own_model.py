"""The description of a user's own model: JSON and back, equality, and what is no description."""

import json
from dataclasses import replace

import pytest
from hypothesis import given

from tests.support.own_files import own
from tests.support.strategies import architectures
from under20k.errors import InvalidValue
from under20k.recipe.architecture import Architecture
from under20k.recipe.named import MINIMAL
from under20k.recipe.own_model import OwnModel, is_target
from under20k.recipe.recipe import Recipe


@given(architectures())
def test_a_recipe_of_it_survives_json(architecture):
    recipe = replace(MINIMAL, name="Net", architecture=own(architecture))
    again = Recipe.from_json(recipe.to_json())
    assert again == recipe
    assert hash(again) == hash(recipe)
    assert again.to_json() == recipe.to_json()
    assert again.derived() == replace(MINIMAL, architecture=architecture).derived()


def test_it_counts_as_the_architecture_that_it_is():
    ours, theirs = own(), MINIMAL.architecture
    assert (ours.parameters, ours.macs, ours.tensors()) == (theirs.parameters, theirs.macs, theirs.tensors())
    assert list(ours.layers()) == list(theirs.layers())
    assert ours.output == "log_softmax"
    assert str(ours) == "Net(dropout=0.1, widths=[8, 12])"


def test_a_model_is_the_same_wherever_it_lies_and_another_when_it_changes():
    model = own()
    assert own(target="elsewhere/model.py:Net") == model
    assert own(target="elsewhere/model.py:Net").digest == model.digest
    changed = own(sha256="f" * 64)
    assert changed != model
    assert changed.digest != model.digest
    assert model.difference(changed) == "Net has changed since"
    assert model.difference(own(arguments=())) == "Net(dropout=0.1, widths=[8, 12]), now Net()"
    recipe = replace(MINIMAL, architecture=model)
    assert list(replace(recipe, architecture=changed).differences(recipe)) == ["architecture"]


def test_counters_count_each_use_of_a_layer():
    shared = own(Architecture.parse("4,4|l"))
    assert shared.counters(50) == {f"blocks.{i}.batch_norm.num_batches_tracked": 50 for i in (0, 1)}
    first, second = (node for node in shared.graph.nodes if node.op == "batch_norm")
    names = ("weight", "bias", "running_mean", "running_var")
    twice = replace(second, **{name: getattr(first, name) for name in names})
    nodes = tuple(twice if node is second else node for node in shared.graph.nodes)
    model = replace(shared, graph=replace(shared.graph, nodes=nodes))
    assert list(model.counters(50).values()) == [100, 0]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"tensors": {}}, "not among the tensors|not a tensor of the shape"),
        ({"trained": ["nothing"]}, "'nothing' is not among the tensors"),
        ({"trained": 3}, "expected texts"),
        ({"graph": [{"op": "fft"}]}, "op one of"),
        ({"graph": 3}, "expected a list of nodes"),
        ({"sha256": "abc"}, "expected 64 hexadecimal digits"),
        ({"macs": -1}, "macs: -1"),
        ({"macs": True}, "macs: True"),
        ({"name": 3}, "name: 3; expected a text"),
        ({"arguments": []}, "arguments: .*expected an object"),
        ({"tensors": {"w": ["a"]}}, "expected a list of sizes"),
        ({"tensors": {"w": [2**20, 2**20]}}, "expected a list of sizes"),
        ({"aliases": {"a": "nothing"}}, "'a' stands for no tensor"),
        ({"aliases": {"a": 3}}, "expected texts"),
        ({"more": 3}, "unknown field 'more'"),
    ],
)
def test_anything_else_is_refused(change, problem):
    values = {**own().to_dict(), **change}
    with pytest.raises(InvalidValue, match=problem):
        OwnModel.from_dict(json.loads(json.dumps(values)))


def test_a_missing_field_is_named():
    values = own().to_dict()
    del values["graph"]
    with pytest.raises(InvalidValue, match="'graph' is missing"):
        OwnModel.from_dict(values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("model.py", True), ("model.py:Net", True), ("a.b:Net", True), ("work.ipynb", True)),
        *(("minimal", False), ("runs/a/recipe.json", False), (r"C:\runs\recipe.JSON", False)),
    ],
)
def test_what_names_a_source(text, expected):
    assert is_target(text) is expected
