"""The exported module is the network, spelled out, and needs nothing of under20k."""

import ast

import numpy as np
import pytest
import torch

from tests.support.small_models import ARCHITECTURES, GRAPHS, used_weights
from under20k.deploy.export.torch_source import torch_source
from under20k.deploy.plain_names import plain_names
from under20k.engine.module import build
from under20k.recipe.architecture import Architecture


def net_of(text: str) -> torch.nn.Module:
    names: dict[str, type[torch.nn.Module]] = {}
    exec(torch_source(Architecture.parse(text)), names)
    return names["Net"]()


@pytest.mark.parametrize("text", [*ARCHITECTURES, *GRAPHS, "4,4,4sp|l", "3n,3,3snu|3", "4,4g2,4/2g2s|5"])
def test_it_computes_what_the_reference_does(text):
    architecture = Architecture.parse(text)
    weights = {name: torch.tensor(value) for name, value in used_weights(architecture).items()}
    names = plain_names(architecture)
    net = net_of(text)
    net.load_state_dict({names[name]: value for name, value in weights.items()})
    reference = build(architecture)
    reference.load_state_dict(weights, strict=False)
    x = torch.tensor(np.random.default_rng(0).normal(size=(7, 1, 28, 28)), dtype=torch.float64)
    net, reference = net.double().eval(), reference.double()
    with torch.inference_mode():
        assert torch.allclose(net(x), reference(x), atol=1e-12)
        assert torch.allclose(net.logits(x), reference.logits(x), atol=1e-12)
    assert sum(p.numel() for p in net.parameters()) == architecture.parameters


def test_it_drops_out_in_training_only():
    net = net_of("8,14pd0.25,16|3v")
    assert [module.p for module in net.modules() if isinstance(module, torch.nn.Dropout)] == [0.25]
    x = torch.ones(2, 1, 28, 28)
    assert not torch.equal(net.train()(x), net(x))
    assert torch.equal(net.eval()(x), net(x))


@pytest.mark.parametrize("text", [*ARCHITECTURES, *GRAPHS])
def test_the_comments_are_the_shapes_that_it_computes(text):
    """Run each line of ``logits``, and compare."""
    net, source = net_of(text).eval(), torch_source(Architecture.parse(text))
    names = {"torch": torch, "F": torch.nn.functional, "self": net, "x": torch.zeros(1, 1, 28, 28)}
    commented = 0
    for line in source.split("def logits(self, x):\n")[1].splitlines():
        code, _, comment = line.strip().partition("#")
        exec(code.replace("return", "x =").strip(), names)
        if comment:
            assert tuple(names["x"].shape[1:]) == ast.literal_eval(comment.strip())
            commented += 1
    assert commented >= len(Architecture.parse(text).blocks) + 3


def test_it_imports_torch_alone():
    tree = ast.parse(torch_source(Architecture.parse(ARCHITECTURES[3])))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    found = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in imports}
    assert found == {"torch", "torch.nn.functional"}
