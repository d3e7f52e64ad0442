"""Tensors keep a name of their own in the exported module."""

import pytest

from tests.support.small_models import ARCHITECTURES, GRAPHS
from under20k.deploy.plain_names import plain_names
from under20k.recipe.architecture import Architecture


def test_the_names_number_the_layers():
    names = plain_names(Architecture.parse("8,8,8s|3v"))
    assert names["blocks.0.conv.weight"] == "conv1.weight"
    assert names["blocks.0.batch_norm.running_var"] == "norm1.running_var"
    assert names["blocks.2.conv.bias"] == "bias3"
    assert names["head.conv.weight"] == "head.weight"
    assert "blocks.2.conv.weight" not in names


@pytest.mark.parametrize("text", [*ARCHITECTURES, *GRAPHS])
def test_no_two_tensors_share_a_name(text):
    architecture = Architecture.parse(text)
    names = plain_names(architecture)
    assert names.keys() == architecture.tensors().keys()
    assert len(set(names.values())) == len(names)
