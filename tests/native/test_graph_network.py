"""Own models by the native engine, against the torch engine; the same bits; what it refuses."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from torch import nn

from tests.support.agreement import Trained, distances
from tests.support.graphs import SMOOTH, graph_weights, graphs, module_weights, own_model, own_recipe
from tests.support.own_models import ZOO
from under20k.checking.convert.convert import convert
from under20k.data import Mnist
from under20k.data.mnist import Split
from under20k.engine import _native, machine
from under20k.engine.base import Teacher
from under20k.engine.isa import EMULATION_VARIABLE
from under20k.engine.native_engine import NativeEngine
from under20k.engine.native_graph import reached_tensors
from under20k.engine.torch_engine import TorchEngine
from under20k.errors import UserError
from under20k.recipe.architecture import Architecture
from under20k.recipe.graph import operations as op
from under20k.recipe.graph.graph import IMAGE, Graph
from under20k.recipe.graph.node import Node
from under20k.recipe.named import MINIMAL
from under20k.recipe.plan import epoch_plan
from under20k.recipe.recipe import Distillation, Recipe
from under20k.recipe.weights import Tensors, initial_weights

TOLERANCE = 1e-4  # relative to the largest value of the tensor
QUICK = (
    *("blocks", "plain net", "squeeze and excitation", "depthwise", "tied", "cumulative BatchNorm"),
    *("shortcuts", "large kernels"),
)
SETTINGS: dict[str, Any] = {"batch_size": 21, "learning_rate": 0.02, "momentum": 0.9, "weight_decay": 1e-3}

a_few = settings(
    derandomize=True,
    max_examples=int(os.environ.get("UNDER20K_EXAMPLES", "25")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def few(mnist: Mnist) -> Split:
    """Two batches of 21: of AVX-512's groups of 16 images one in each is short."""
    return Split("train", mnist.train.images[:42], mnist.train.labels[:42])


def made(make: Callable[[], nn.Module], **changes: Any) -> tuple[Recipe, Tensors]:
    """A recipe for a module, and the module's own weights."""
    torch.manual_seed(0)
    module = make()
    model = own_model(convert(module), module)
    return own_recipe(model, **(SETTINGS | changes)), module_weights(module)


def trained(engine: NativeEngine | TorchEngine, data: Split, images: int = 21) -> Trained:
    """The first epoch, of so many images."""
    plan = epoch_plan(engine.recipe, 0, 1, images)
    result = engine.train_epoch(data.images, data.labels, plan, lambda done: None)
    return Trained(result, engine.state(), engine.logits(data.images[:33]))


def bits(run: Trained) -> bytes:
    return b"".join(value.tobytes() for value in (*run.state.values(), run.logits))


def assert_agree(native: Trained, reference: Trained, allowed: dict[str, float] | None = None) -> None:
    """``allowed`` are distances beyond the tolerance, by tensor."""
    far = {name: d for name, d in distances(native.state, reference.state).items() if not d < TOLERANCE}
    far = {name: d for name, d in far.items() if not d < (allowed or {}).get(name, 0)}
    assert not far
    assert native.result.loss == pytest.approx(reference.result.loss, rel=TOLERANCE)
    scale = max(1, np.abs(reference.logits).max())
    np.testing.assert_allclose(native.logits, reference.logits, atol=TOLERANCE * scale)


def assert_step_agrees(recipe: Recipe, weights: Tensors, data: Split) -> None:
    """With the torch engine in float64.

    Where BatchNorm cancels a gradient, of a bias or of the size of a lone weight, only roundings are left:
    there, ten times those of the torch engine in float32 are allowed, which vary by chance.
    """
    native = trained(NativeEngine(recipe, weights, 2), data)
    reference = trained(TorchEngine(recipe, weights, dtype=torch.float64), data)
    single = trained(TorchEngine(recipe, weights), data)
    rounding = distances(single.state, reference.state)
    assert_agree(native, reference, {name: 10 * distance for name, distance in rounding.items()})


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ZOO]
)
def test_a_step_agrees_with_pytorch_in_float64(name: str, few: Split) -> None:
    recipe, weights = made(ZOO[name], label_smoothing=0.1, average_decay=0.5)
    assert_step_agrees(recipe, weights, few)


@a_few
@given(graph=graphs(functions=SMOOTH))
def test_random_graphs_agree_with_pytorch_in_float64(graph: Graph, few: Split) -> None:
    recipe = own_recipe(own_model(graph), **SETTINGS)
    weights = graph_weights(graph, 0)
    assert_step_agrees(recipe, weights, few)


@pytest.mark.parametrize(
    "name", ["blocks", "squeeze and excitation", "inverted", "recurrent", "shortcuts", "large kernels"]
)
def test_every_instruction_set_agrees_with_pytorch(name: str, few: Split, isa: str) -> None:
    recipe, weights = made(ZOO[name])
    assert_step_agrees(recipe, weights, few)


@pytest.mark.parametrize("name", ["blocks", "dense", "channel dropout", "shortcuts"])
def test_the_number_of_threads_does_not_change_a_bit(name: str, few: Split) -> None:
    recipe, weights = made(ZOO[name], batch_size=42)
    runs = [trained(NativeEngine(recipe, weights, threads), few, 42) for threads in (1, 2, 3)]
    assert len({bits(run) for run in runs}) == 1


@pytest.mark.slow
def test_an_epoch_agrees_with_the_torch_engine_but_for_rounding(mnist: Mnist) -> None:
    recipe, weights = made(ZOO["blocks"], batch_size=128, learning_rate=0.01)
    native = trained(NativeEngine(recipe, weights, 2), mnist.train, 12_800)
    reference = trained(TorchEngine(recipe, weights), mnist.train, 12_800)
    assert native.result.loss == pytest.approx(reference.result.loss, rel=0.02)
    assert native.result.correct == pytest.approx(reference.result.correct, rel=0.01)


def test_a_second_epoch_resumes_from_the_state_to_the_same_bits(few: Split) -> None:
    recipe, weights = made(ZOO["cumulative BatchNorm"])
    engine, other = NativeEngine(recipe, weights, 2), NativeEngine(recipe, weights, 1)
    trained(engine, few)
    other.load_state(engine.state())
    for each in (engine, other):
        each.train_epoch(few.images, few.labels, epoch_plan(recipe, 0, 2, 42), lambda done: None)
    assert all(
        one.tobytes() == two.tobytes()
        for one, two in zip(engine.state().values(), other.state().values(), strict=True)
    )


@pytest.mark.parametrize(
    "text", ["8,12pd0.1,9vd0.05|3", "6p,8nup|l", "5k1u,7vd0.2|1", "9u,9u,9su,9vsu|l", "6,6p,6sp,6vsn|3v"]
)
def test_a_model_of_an_architecture_s_form_has_its_bits(text: str, few: Split) -> None:
    architecture = Architecture.parse(text)
    chain = MINIMAL.with_changes(architecture=architecture, **SETTINGS)
    own = own_recipe(own_model(architecture.graph), **SETTINGS)
    weights = initial_weights(architecture, 0)
    engine = NativeEngine(own, weights, 2)
    assert type(engine._network) is _native.Network
    assert bits(trained(engine, few)) == bits(trained(NativeEngine(chain, weights, 2), few))


@pytest.mark.parametrize("text", ["8g", "8r", "8/2", "8k5", "8k7", "8g2"])
def test_an_architecture_of_more_than_plain_blocks_is_a_graph(text: str, few: Split) -> None:
    recipe = MINIMAL.with_changes(architecture=f"8,{text},9v|3", **SETTINGS)
    weights = initial_weights(recipe.architecture, 0)
    engine = NativeEngine(recipe, weights, 2)
    assert type(engine._network) is _native.GraphNetwork
    own = NativeEngine(own_recipe(own_model(recipe.architecture.graph), **SETTINGS), weights, 1)
    assert bits(trained(engine, few)) == bits(trained(own, few))


@pytest.mark.parametrize(
    ("text", "old", "new", "chained"),
    [
        ("9u,9u,9u,9u|l", "blocks.2.conv.weight", "blocks.1.conv.weight", True),
        ("9u,9u,9u,9u|l", "blocks.3.conv.weight", "blocks.1.conv.weight", False),  # with another between
        ("9,9,9,9|l", "blocks.2.conv.bias", "blocks.1.conv.bias", False),
        ("9,9,9,9|l", "blocks.2.batch_norm.weight", "blocks.1.batch_norm.weight", False),
        ("9u,9u,9u,9u|l", "blocks.2.batch_norm.bias", "blocks.1.batch_norm.bias", False),
        ("9,10,10|3", "head.conv.weight", "blocks.2.conv.weight", True),
    ],
)
def test_layers_that_share_tensors(text: str, old: str, new: str, chained: bool, few: Split) -> None:
    """Weights of layers in a row are shared in a chain, all else in a graph."""
    values = Architecture.parse(text).graph.to_list()
    graph = Graph.from_list([{k: new if v == old else v for k, v in value.items()} for value in values])
    recipe, weights = own_recipe(own_model(graph), **SETTINGS), graph_weights(graph, 0)
    engine = NativeEngine(recipe, weights, 2)
    assert (type(engine._network) is _native.Network) == chained
    assert_step_agrees(recipe, weights, few)


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        (op.Activation, {"function": "gelu"}),
        (op.Pool, {"kind": "average"}),
        (op.Dropout, {"channels": True}),
        (op.BatchNorm, {"momentum": None}),
        (op.Convolution, {"stride": (2, 2)}),
    ],
)
def test_a_model_of_almost_that_form_is_no_chain(
    change: type[Node], fields: dict[str, object], few: Split
) -> None:
    graph = Architecture.parse("6pd0.1,10v|l").graph
    values = graph.to_list()
    found = next(value for value in values if value["op"] == change.op)
    found |= {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}
    changed = Graph.from_list(values)
    recipe, weights = own_recipe(own_model(changed), **SETTINGS), graph_weights(changed, 0)
    engine = NativeEngine(recipe, weights, 2)
    assert type(engine._network) is _native.GraphNetwork
    assert_agree(trained(engine, few), trained(TorchEngine(recipe, weights, dtype=torch.float64), few))


def test_what_the_output_does_not_depend_on_is_not_trained(few: Split) -> None:
    values = Architecture.parse("6p,10v|l").graph.to_list()
    spare = {"op": "conv", "name": "spare", "inputs": [IMAGE], "channels": 3, "weight": "spare.weight"}
    graph = Graph.from_list([spare, *values])
    assert reached_tensors(graph) == graph.trained() - {"spare.weight"}
    recipe, weights = own_recipe(own_model(graph), **SETTINGS), graph_weights(graph, 0)
    native = trained(NativeEngine(recipe, weights, 2), few)
    assert_agree(native, trained(TorchEngine(recipe, weights, dtype=torch.float64), few))
    np.testing.assert_array_equal(native.state["spare.weight"], weights["spare.weight"])


def test_models_of_the_user_s_learn_from_each_other(few: Split) -> None:
    student, weights = made(ZOO["blocks"])
    teacher, its_weights = made(ZOO["plain net"])
    recipe = replace(student, distillation=Distillation(teacher, 2, temperature=3, teacher_share=0.7))
    native, reference = NativeEngine(recipe, weights, 2), TorchEngine(recipe, weights, dtype=torch.float64)
    for engine in (native, reference):
        engine.learn_from([Teacher(teacher.architecture, its_weights)] * 2)
    assert_agree(trained(native, few), trained(reference, few))


@pytest.mark.slow
@pytest.mark.unsanitized
def test_ctrl_c_answers_in_the_middle_of_a_step(mnist: Mnist) -> None:
    recipe, weights = made(ZOO["residual"], batch_size=20_000)
    engine = NativeEngine(recipe, weights, 1)
    plan = epoch_plan(recipe, 0, 1, 20_000)  # a single step, which takes seconds
    heard: list[int] = []
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        engine.train_epoch(mnist.train.images, mnist.train.labels, plan, heard.append)
    timer.join()
    assert heard == []
    engine.load_state({name: np.zeros_like(value) for name, value in engine.state().items()})
    assert not engine.logits(mnist.train.images[:20]).any()  # the engine works as before


def five_million() -> nn.Module:
    # Of 720,000 ReLUs, one may lie so close to 0 that rounding turns it on or off.
    return nn.Sequential(
        *(nn.Flatten(), nn.Linear(784, 4500), nn.Tanh(), nn.Linear(4500, 320), nn.Tanh(), nn.Linear(320, 10))
    )


def test_five_million_parameters_need_no_gradient_for_each_group(few: Split) -> None:
    recipe, weights = made(five_million, batch_size=512)
    assert sum(value.size for value in weights.values()) > 4_900_000
    engine = NativeEngine(recipe, weights, 2)
    assert engine._bytes < 600 * 2**20
    small, weights = made(five_million)
    assert_agree(
        trained(NativeEngine(small, weights, 2), few),
        trained(TorchEngine(small, weights, dtype=torch.float64), few),
    )


def test_groups_that_share_a_row_of_gradients_add_up(mnist: Mnist) -> None:
    recipe, weights = made(five_million, batch_size=160)
    some = Split("train", mnist.train.images[:160], mnist.train.labels[:160])
    runs = [trained(NativeEngine(recipe, weights, threads), some, 160) for threads in (1, 3)]
    assert bits(runs[0]) == bits(runs[1])
    assert_agree(runs[0], trained(TorchEngine(recipe, weights, dtype=torch.float64), some, 160))


def test_a_batch_beyond_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MACHINE_FRACTION", 0.001)
    recipe, weights = made(ZOO["residual"], batch_size=50_000)
    with pytest.raises(UserError, match=r"takes .* GiB, and this machine has .*--batch-size"):
        NativeEngine(recipe, weights, 2)


def test_products_in_bf16_where_all_convolutions_have_them(
    few: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(EMULATION_VARIABLE, "1")
    recipe, weights = made(ZOO["blocks"])
    engine = NativeEngine(recipe, weights, 2, "bf16")
    reference = trained(TorchEngine(recipe, weights, dtype=torch.float64), few)
    run = trained(engine, few)
    assert run.result.loss == pytest.approx(reference.result.loss, rel=0.01)
    assert bits(run) != bits(trained(NativeEngine(recipe, weights, 2), few))
    with pytest.raises(UserError, match=r"precision: 'bf16', but PlainNet\(\) has convolutions"):
        NativeEngine(*made(ZOO["plain net"]), 2, "bf16")
    residual, grouped = (MINIMAL.with_changes(architecture=f"8,8{flag}|l") for flag in ("r", "g"))
    weights = initial_weights(residual.architecture, 0)
    assert NativeEngine(residual, weights, 2, "bf16").precision == "bf16"
    with pytest.raises(UserError, match=r"precision: 'bf16', but 8,8g\|l has convolutions .* one group"):
        NativeEngine(grouped, initial_weights(grouped.architecture, 0), 2, "bf16")


def test_a_model_without_a_graph_is_refused() -> None:
    module = ZOO["blocks"]()
    recipe = own_recipe(own_model(None, module))
    with pytest.raises(UserError, match="use --engine torch"):
        NativeEngine(recipe, module_weights(module), 1)


def test_images_are_augmented_as_for_any_network(few: Split) -> None:
    values = Architecture.parse("6p,10v|l").graph.to_list()
    changed = [value | {"function": "silu"} if value["op"] == "activation" else value for value in values]
    graph = Graph.from_list(changed)
    recipe = own_recipe(own_model(graph), **SETTINGS, rotation_deg=10, elastic_px=1, scale=0.1, stroke_px=1)
    weights = graph_weights(graph, 0)
    native = trained(NativeEngine(recipe, weights, 2), few)
    assert_agree(native, trained(TorchEngine(recipe, weights, dtype=torch.float64), few))
