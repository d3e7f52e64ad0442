"""Products in bf16, emulated where the processor cannot, against PyTorch in float64; and refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d

from tests.support.agreement import distances, uneven_weights
from under20k.data import Mnist
from under20k.data.mnist import Split
from under20k.engine import isa as instruction_sets
from under20k.engine.base import Compute
from under20k.engine.isa import EMULATION_VARIABLE, ISA_VARIABLE, instruction_set
from under20k.engine.native_engine import NativeEngine
from under20k.engine.select import choose, create
from under20k.engine.torch_engine import TorchEngine
from under20k.errors import UserError
from under20k.recipe.architecture import Architecture
from under20k.recipe.named import MINIMAL, REGULARIZED
from under20k.recipe.plan import epoch_plan
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import Tensors, initial_weights
from under20k.runs.parallel.reuse import fitting
from under20k.runs.parallel.task import Task
from under20k.runs.places import Places
from under20k.runs.provenance import describe_environment, identity, local_identity
from under20k.runs.run import Run

DRAWS = 6
APART = 3e-3  # relative to the largest value of a tensor; products in fp32 are off by more
# How close products in bf16 come. Where float32 rounds to another bf16 than float64 does, the values after it
# part: seldom without BatchNorm, which takes differences of large numbers.
CASES = {
    "5vn,7k1np|1": 1e-5,
    "5vnp,7k1n,11np,3vn|3": 1e-5,  # odd channels, odd widths down to 1
    "3n,13k1n|lu": 1e-5,  # averages before the head
    "8,12p|3v": 2e-3,
    "8,12p,14|3v": 2e-3,
}


@pytest.fixture
def emulated(isa: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each instruction set, told to emulate."""
    monkeypatch.setenv(EMULATION_VARIABLE, "1")
    return isa


def to_bf16(values: torch.Tensor) -> torch.Tensor:
    return values.float().bfloat16().double()


class RoundedConvolution(torch.autograd.Function):
    """A convolution whose three products round their factors to bf16."""

    @staticmethod
    def forward(context, inputs, weights, padding):  # type: ignore[no-untyped-def]
        inputs, weights = to_bf16(inputs), to_bf16(weights)
        context.save_for_backward(inputs, weights)
        context.padding = padding
        return conv2d(inputs, weights, padding=padding)

    @staticmethod
    def backward(context, gradient):  # type: ignore[no-untyped-def]
        inputs, weights = context.saved_tensors
        gradient, padding = to_bf16(gradient), context.padding
        return (
            torch.nn.grad.conv2d_input(inputs.shape, weights, gradient, padding=padding),
            torch.nn.grad.conv2d_weight(inputs, weights.shape, gradient, padding=padding),
            None,
        )


def train_rounded(recipe: Recipe, weights: Tensors, data: Split) -> Tensors:
    """What one epoch in float64, its products in bf16, leaves."""
    engine = TorchEngine(recipe, weights, dtype=torch.float64)
    for module in engine.network.modules():
        if isinstance(module, torch.nn.Conv2d):

            def forward(inputs: torch.Tensor, conv: torch.nn.Conv2d = module) -> torch.Tensor:
                outputs: torch.Tensor = RoundedConvolution.apply(inputs, conv.weight, conv.padding[0])
                return outputs if conv.bias is None else outputs + conv.bias[:, None, None]

            module.forward = forward  # type: ignore[method-assign]
    engine.train_epoch(data.images, data.labels, epoch_plan(recipe, 0, 1, len(data)), lambda done: None)
    return engine.state()


def train(
    recipe: Recipe, weights: Tensors, data: Split, precision: str = "bf16", threads: int = 2
) -> Tensors:
    engine = NativeEngine(recipe, weights, threads, precision)
    engine.train_epoch(data.images, data.labels, epoch_plan(recipe, 0, 1, len(data)), lambda done: None)
    return engine.state()


def gradients(state: Tensors) -> Tensors:
    """The weights' gradients of a single step without decay, which the momentum then is."""
    return {name: values for name, values in state.items() if name.startswith("momentum.")}


def step(architecture: str, images: int) -> Recipe:
    parsed = Architecture.parse(architecture)
    return Recipe("step", parsed, batch_size=images, learning_rate=0.01, momentum=0.9, weight_decay=0.0)


def some(mnist: Mnist, images: int) -> Split:
    return Split("train", mnist.train.images[:images], mnist.train.labels[:images])


def assert_rounds_as_told(
    recipe: Recipe, data: Split, close: float, adjust: Callable[[Tensors], None] = lambda weights: None
) -> None:
    """A step agrees in every gradient with the rounded oracle for one of a few draws of the weights: see
    test_native_steps. The unrounded step must not.
    """
    for draw in range(DRAWS):
        weights = uneven_weights(recipe.architecture, draw)
        adjust(weights)
        found, expected = (
            gradients(train(recipe, weights, data)),
            gradients(train_rounded(recipe, weights, data)),
        )
        far = max(distances(found, expected).values())
        if far < close:
            unrounded = gradients(train(recipe, weights, data, "fp32"))
            assert max(distances(unrounded, expected).values()) > APART
            return
    raise AssertionError(f"{recipe.architecture}: {far:.1e}")


@pytest.mark.parametrize("images", [7, 33])
@pytest.mark.parametrize("architecture", CASES)
def test_a_step(emulated: str, architecture: str, images: int, mnist: Mnist) -> None:
    assert_rounds_as_told(step(architecture, images), some(mnist, images), CASES[architecture])


def test_of_two_nearest_the_even_one(emulated: str, mnist: Mnist) -> None:
    """Weights in the middle between two bf16; taking always the larger, or the smaller, is far off."""

    def between(weights: Tensors) -> None:
        for name, values in weights.items():
            if name.endswith("conv.weight"):
                upper = values.view(np.uint32) >> 16
                values[:] = ((upper << 16) | 0x8000).view(np.float32)

    assert_rounds_as_told(step("5vn,7k1np|1", 16), some(mnist, 16), 1e-5, between)


def test_evaluation_is_in_fp32(emulated: str, mnist: Mnist) -> None:
    weights = uneven_weights(MINIMAL.architecture, 0)
    images = mnist.validation.images[:40]
    of_both = [NativeEngine(MINIMAL, weights, 2, precision) for precision in ("fp32", "bf16")]
    assert len({engine.logits(images).tobytes() for engine in of_both}) == 1
    assert len({engine.logits(images[:1]).tobytes() for engine in of_both}) == 1


def test_the_same_bits_for_any_number_of_threads(emulated: str, mnist: Mnist) -> None:
    recipe = REGULARIZED.with_changes(batch_size=40)
    data, weights = some(mnist, 100), initial_weights(recipe.architecture, 0)
    states = [train(recipe, weights, data, threads=threads) for threads in (1, 2, 3, 8)]
    for name in states[0]:
        assert len({state[name].tobytes() for state in states}) == 1


def test_the_same_bits_on_resume(monkeypatch: pytest.MonkeyPatch, mnist: Mnist) -> None:
    monkeypatch.setenv(EMULATION_VARIABLE, "1")
    recipe = REGULARIZED.with_changes(batch_size=40)
    data, weights = some(mnist, 100), initial_weights(recipe.architecture, 0)
    straight, resumed = (NativeEngine(recipe, weights, 2, "bf16") for _ in range(2))
    resumed.load_state(train(recipe, weights, data))
    for epoch in (1, 2):
        plan = epoch_plan(recipe, 0, epoch, len(data))
        straight.train_epoch(data.images, data.labels, plan, lambda done: None)
    resumed.train_epoch(data.images, data.labels, plan, lambda done: None)
    assert {name: value.tobytes() for name, value in straight.state().items()} == {
        name: value.tobytes() for name, value in resumed.state().items()
    }


def test_a_weight_that_is_not_finite_is_noticed(emulated: str, mnist: Mnist) -> None:
    for value in (np.nan, np.inf, np.uint32(0x7FFFFFFF).view(np.float32)):
        engine = NativeEngine(MINIMAL, initial_weights(MINIMAL.architecture, 0), 1, "bf16")
        engine._layout.write({"blocks.2.conv.weight": np.full(14 * 12 * 9, value)}, engine._network.weights)
        recipe, data = MINIMAL, some(mnist, 130)
        with pytest.raises(UserError, match="not finite at step 1 of 2"):
            engine.train_epoch(data.images, data.labels, epoch_plan(recipe, 0, 1, 130), lambda done: None)


def test_the_instruction_adds_as_documented() -> None:
    if not instruction_sets.multiplies_bf16():
        pytest.skip("this processor does not multiply bf16")
    assert instruction_sets._native.bf16_as_documented(instruction_sets.BF16_ISA)


def test_the_instruction_set_that_multiplies_bf16_is_no_emulation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EMULATION_VARIABLE, "1")
    monkeypatch.setenv(ISA_VARIABLE, instruction_sets.BF16_ISA)
    assert not instruction_sets.emulated()
    if instruction_sets.multiplies_bf16():
        assert instruction_sets.arithmetic("bf16") == "bf16 with avx512bf16"
    else:
        with pytest.raises(UserError, match="this processor does not multiply it"):
            instruction_sets.arithmetic("bf16")


def test_the_instruction_gives_the_emulation_s_bits(monkeypatch: pytest.MonkeyPatch, mnist: Mnist) -> None:
    for variable in (EMULATION_VARIABLE, ISA_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    try:
        instruction_set("bf16")
    except UserError as error:
        pytest.skip(str(error))
    data, weights = some(mnist, 300), initial_weights(MINIMAL.architecture, 0)
    own = train(MINIMAL, weights, data)
    monkeypatch.setenv(EMULATION_VARIABLE, "1")
    monkeypatch.setenv(ISA_VARIABLE, "avx512")
    emulated = train(MINIMAL, weights, data)
    assert all(own[name].tobytes() == emulated[name].tobytes() for name in own)


@pytest.fixture
def without_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that does not multiply bf16."""
    real = instruction_sets._native.isa

    def isa(name: str) -> str:
        if name == instruction_sets.BF16_ISA:
            raise ValueError("this processor has no avx512bf16")
        return real(name)

    monkeypatch.delenv(EMULATION_VARIABLE, raising=False)
    monkeypatch.setattr(instruction_sets._native, "isa", isa)


def test_a_processor_without_bf16_gets_advice(without_bf16: None) -> None:
    message = "precision: 'bf16', but this CPU has no bf16 instructions .*use --precision fp32"
    for engine in ("auto", "native"):
        with pytest.raises(UserError, match=message):
            choose(Compute(engine, "cpu", "bf16"))
    with pytest.raises(UserError, match=message):
        create(MINIMAL, 0, Compute("auto", "cpu", "bf16"))


def test_products_that_come_out_otherwise_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(EMULATION_VARIABLE, raising=False)
    monkeypatch.setattr(instruction_sets._native, "isa", lambda name: name)
    monkeypatch.setattr(instruction_sets._native, "bf16_as_documented", lambda isa: False)
    with pytest.raises(UserError, match=r"does not match .*; use --precision fp32"):
        choose(Compute("native", "cpu", "bf16"))


def test_an_instruction_set_that_does_not_multiply_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(EMULATION_VARIABLE, raising=False)
    monkeypatch.setenv(ISA_VARIABLE, "baseline")
    with pytest.raises(UserError, match="UNDER20K_ISA is 'baseline', which has no bf16 instructions"):
        choose(Compute("native", "cpu", "bf16"))


def test_auto_is_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EMULATION_VARIABLE, "1")
    assert choose().precision == "fp32"
    assert create(MINIMAL, 0, Compute(device="cpu")).precision == "fp32"


def test_a_seed_of_another_precision_is_not_reused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(EMULATION_VARIABLE, "1")
    task = Task(MINIMAL, 0, Places(tmp_path), Compute("native", precision="bf16"))
    engine = create(MINIMAL, 0, task.compute)
    Run.create(task.path, MINIMAL, 0, describe_environment(engine))
    assert fitting(task, local_identity(task.compute), "refuse").existing == "resume"
    expected = local_identity(Compute("native", precision="fp32"))
    with pytest.raises(UserError, match=r"was trained differently \(precision bf16, now fp32\); --overwrite"):
        fitting(task, expected, "refuse")
    assert fitting(task, expected, "replace").existing == "replace"


def test_precision_is_recorded_and_part_of_a_seeds_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EMULATION_VARIABLE, "1")
    own = {}
    for precision in ("fp32", "bf16"):
        engine = create(MINIMAL, 0, Compute("native", precision=precision))
        environment = describe_environment(engine)
        assert environment["precision"] == precision
        own[precision] = identity(environment)
        expected = local_identity(Compute("native", "cpu", precision, 1))
        assert expected.items() <= own[precision].items()
    assert {name for name in own["fp32"] if own["fp32"][name] != own["bf16"][name]} == {"precision"}
