"""The steps of inference: what is folded, what stays, and what has none."""

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.support.own_graphs import GRAPHS, own_model, weights_of
from tests.support.small_models import ARCHITECTURES, used_weights
from under20k.deploy.export.export import export
from under20k.deploy.export.folded import folded
from under20k.deploy.export.inference import inference_steps
from under20k.errors import UserError
from under20k.recipe.architecture import Architecture


@pytest.mark.parametrize("text", ARCHITECTURES)
def test_no_batch_norm_or_dropout_is_left_of_an_architecture(text):
    architecture = Architecture.parse(text)
    steps = inference_steps(architecture.graph, used_weights(architecture))
    assert {step.node.op for step in steps} <= {"conv", "activation", "pool", "adaptive_pool", "reshape"}
    assert sum(step.node.op == "conv" for step in steps) == len(architecture.blocks) + 1


def test_batch_norm_stays_where_nothing_can_take_it():
    graph = GRAPHS["everything"]
    steps = {step.name: step for step in inference_steps(graph, weights_of(graph))}
    assert "n1" not in steps
    assert "d" not in steps
    assert steps["a1"].inputs == ("c1",)
    assert steps["s"].inputs == ("a1", "a2")
    assert steps["n2"].arrays["factor"].shape == (12,)


def test_chains_of_users_are_chains_of_convolutions():
    network = folded(GRAPHS["chain"], weights_of(GRAPHS["chain"]))
    assert network is not None
    assert network.pool_first
    assert [conv.pool for conv in network.convolutions] == [True, False, False]
    others = {name for name, graph in GRAPHS.items() if folded(graph, weights_of(graph)) is not None}
    assert others == {"chain"}


@pytest.mark.parametrize("to", ["c", "c-int8"])
def test_a_chain_of_a_user_passes_its_proof(to, tmp_path):
    done = export(own_model(GRAPHS["chain"]), to, tmp_path / "out")
    assert done.proof.not_run or done.proof.passed


def test_int8_in_c_takes_chains_only(tmp_path):
    with pytest.raises(UserError, match=r"own cannot be exported to c-int8.*export it to c or onnx-int8"):
        export(own_model(GRAPHS["everything"]), "c-int8", tmp_path / "out", proof=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("to", ["onnx", "onnx-int8", "c", "torch", "hub-folder"])
def test_a_model_without_a_graph_is_refused(to, tmp_path):
    model = own_model(GRAPHS["chain"])
    network = replace(model.recipe.architecture, graph=None, why="Net.forward uses torch.fft.fft")
    model = replace(model, recipe=replace(model.recipe, architecture=network))
    said = re.escape("only PyTorch computes it (Net.forward uses torch.fft.fft)")
    with pytest.raises(UserError, match=said):
        export(model, to, tmp_path / "out", proof=False)
    assert not (tmp_path / "out").exists()


def test_a_scale_is_folded_in_double_precision():
    graph = GRAPHS["chain"]
    weights = weights_of(graph)
    steps = {step.name: step for step in inference_steps(graph, weights)}
    doubles = {name: value.astype(np.float64) for name, value in weights.items()}
    factor = doubles["n1.weight"] / np.sqrt(doubles["n1.running_var"] + 1e-5)
    assert np.array_equal(steps["c1"].arrays["weight"][3], doubles["c1.weight"][3] * factor[3])
