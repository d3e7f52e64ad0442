"""What is counted without torch, against torch."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from torch.utils.flop_counter import FlopCounterMode

from tests.support.strategies import architectures
from under20k.engine.module import Add, Network
from under20k.recipe.architecture import Architecture, Layer
from under20k.recipe.named import MINIMAL, REGULARIZED


@pytest.mark.parametrize(("recipe", "parameters"), [(REGULARIZED, 19_204), (MINIMAL, 14_116)])
def test_parameters_of_the_assignments_models(recipe, parameters):
    assert recipe.architecture.parameters == parameters


def test_shared_weights_count_once():
    architecture = Architecture.parse("4,4,4s,4vsu|l")
    counts = [row.parameters for row in architecture.layers() if row.kind.endswith("Conv2d")]
    # By hand: nine taps from 1 and from 4 channels to 4, biases where there are any; 4 · 10 + 10 at the end.
    assert counts == [36 + 4, 144 + 4, 4, 0, 50]
    assert architecture.parameters == sum(counts) + 4 * 8
    assert architecture.macs == 36 * 28**2 + 2 * 144 * 28**2 + 144 * 26**2 + 40
    assert [architecture.kernel_name(index) for index in range(4)] == [
        "blocks.0.conv.weight",
        *["blocks.1.conv.weight"] * 3,
    ]


@pytest.mark.parametrize("recipe", [REGULARIZED, MINIMAL])
def test_receptive_field_of_the_assignments_models(recipe):
    rows = [row for row in recipe.architecture.layers() if row.kind in ("Conv2d", "MaxPool2d")]
    assert [row.receptive_field for row in rows] == [3, 5, 6, 10, 14, 16, 24, 32, 40]
    assert [row.jump for row in rows] == [1, 1, 2, 2, 2, 4, 4, 4, 4]
    assert recipe.architecture.receptive_field == 40


def test_groups_and_strides_count_by_hand():
    architecture = Architecture.parse("8k5/2,8gu,12k1/2,12k5g4r|7v")
    counts = [row.parameters for row in architecture.layers() if row.kind.endswith("Conv2d")]
    # Taps · channels of a group · outputs, and biases.
    assert counts == [25 * 8 + 8, 9 * 8, 8 * 12 + 12, 25 * 3 * 12 + 12, 49 * 12 * 10 + 10]
    assert architecture.macs == 200 * 14**2 + 72 * 14**2 + 96 * 7**2 + 900 * 7**2 + 5880
    rows = [(row.name, row.kind, row.parameters, row.macs) for row in architecture.layers()]
    assert ("blocks.3.add", "Add", 0, 0) in rows


def test_shapes_of_the_assignments_model():
    rows = [row for row in MINIMAL.architecture.layers() if row.kind in ("Conv2d", "MaxPool2d")]
    assert [row.shape[1] for row in rows] == [28, 28, 14, 14, 14, 7, 5, 3, 1]


def test_the_receptive_field_is_that_before_global_pooling():
    # By hand: 3, 5, pooled 6 with jump 2; then 10 of a 3×3 convolution. Averaging 14 × 14 of them adds 26.
    assert Architecture.parse("4,4p|3").receptive_field == 10
    assert Architecture.parse("4,4p|l").receptive_field == 6
    assert [row.receptive_field for row in Architecture.parse("4,4p|3").layers()][-1] == 10 + 13 * 2


def layers_of(network: Network) -> list[tuple[Any, ...]]:
    """Name, kind, output shape and parameters of every layer, seen by running it on one image."""
    seen: list[tuple[Any, ...]] = []
    for name, module in network.named_modules():
        if next(module.children(), None) is None and not isinstance(module, torch.nn.Flatten):
            count = sum(p.numel() for p in module.parameters() if p.requires_grad)
            module.register_forward_hook(
                lambda module, inputs, out, name=name, count=count: seen.append(
                    (name, type(module).__name__, tuple(out.shape[1:]), count)
                )
            )
    network.eval()(torch.zeros(1, 1, 28, 28))
    return seen


@settings(deadline=None, max_examples=40)
@given(architectures())
def test_layers_against_torch(architecture):
    network = Network(architecture)
    rows = list(architecture.layers())
    assert [(row.name, row.kind, row.shape, row.parameters) for row in rows] == layers_of(network)
    assert architecture.parameters == sum(p.numel() for p in network.parameters())
    assert all(row.activation_bytes == 4 * math.prod(row.shape) for row in rows)


@settings(deadline=None, max_examples=25)
@given(architectures())
def test_macs_against_torch(architecture):
    with FlopCounterMode(display=False) as counter:
        Network(architecture).eval()(torch.zeros(1, 1, 28, 28))
    assert counter.get_total_flops() == 2 * architecture.macs


@settings(deadline=None, max_examples=40)
@given(architectures())
def test_tensors_against_torch(architecture):
    state = Network(architecture).state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items() if value.is_floating_point()}
    assert architecture.tensors() == shapes
    assert list(architecture.tensors()) == list(shapes)


def smooth(network: Network) -> None:
    """Make every output depend on every input that its layer sees: nothing vanishes, nothing cancels."""
    for parent in network.modules():
        for name, child in parent.named_children():
            if isinstance(child, torch.nn.ReLU):
                setattr(parent, name, torch.nn.Softplus())
            elif isinstance(child, torch.nn.MaxPool2d):
                setattr(parent, name, torch.nn.AvgPool2d(2))
            elif isinstance(child, torch.nn.Conv2d):
                child.weight.data.fill_(1 / child.weight[0].numel())


def square(image: torch.Tensor, output: torch.Tensor) -> tuple[int, int]:
    """Side and left edge of the square of input pixels that ``output`` depends on."""
    (gradient,) = torch.autograd.grad(output, image, retain_graph=True)
    rows, columns = gradient[0, 0].nonzero(as_tuple=True)
    top, left = int(rows.min()), int(columns.min())
    side = int(columns.max()) - left + 1
    assert int(rows.max()) - top + 1 == side
    assert top == left
    return side, left


NOTATIONS = [
    "8,12p,14,16p,20v,24v|3v",
    "4p,4p|3",
    "3k1,4vp,5n,2p,6|1",
    "2,3pd0.5,4v,5p|3",
    "4np,6vu,5p|l",
    "2|1u",
    "2,2,2sp,2vs|l",
    "3k5/2,3g,3k1r2,6/2g3,5|7v",
    "2k7,2k5r,3k5/2v|5",
]


@pytest.mark.parametrize("notation", NOTATIONS)
def test_receptive_field_and_jump_against_gradients(notation):
    architecture = Architecture.parse(notation)
    network = Network(architecture).double().eval()
    smooth(network)
    image = torch.randn(1, 1, 100, 100, dtype=torch.float64, requires_grad=True)
    out, inputs = image, dict[str, torch.Tensor]()
    rows: dict[str, Layer] = {row.name: row for row in architecture.layers()}
    for name, module in network.named_modules():
        if name.startswith("head.") or next(module.children(), None) is not None:
            continue
        inputs[name.partition(".conv")[0]] = out  # of the block, when its convolution comes
        if isinstance(module, Add):
            index = int(name.split(".")[1])
            out = module(out, inputs[f"blocks.{index + 1 - architecture.blocks[index].residual}"])
        else:
            out = module(out)
        assert_field(rows[name], image, out)
    if not architecture.head.pool_first:
        out = network.head.conv(out)
        assert_field(rows["head.conv"], image, out)
    # Global pooling averages all of the map that an image of 28 × 28 gives.
    *_, before = (row for row in architecture.layers() if not row.name.startswith("head."))
    side = before.shape[1] if architecture.head.pool_first else rows["head.conv"].shape[1]
    first = out.shape[-1] // 2 - side // 2
    averaged = out[0, 0, first : first + side, first : first + side].mean()
    assert square(image, averaged)[0] == rows["head.pool"].receptive_field


def assert_field(row: Layer, image: torch.Tensor, out: torch.Tensor) -> None:
    """The squares behind two neighbouring outputs near the centre are as the row says."""
    middle = out.shape[-1] // 2
    side, left = square(image, out[0, 0, middle, middle])
    next_side, next_left = square(image, out[0, 0, middle + 1, middle + 1])
    assert (row.receptive_field, row.receptive_field) == (side, next_side)
    assert row.jump == next_left - left
