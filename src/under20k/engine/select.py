"""Choose and create the engine that trains or evaluates a recipe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from under20k.engine import isa, native_engine
from under20k.engine.base import Compute, Engine, drawn_bytes
from under20k.engine.machine import check_memory, cores
from under20k.errors import UserError
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import Tensors, initial_weights

if TYPE_CHECKING:
    from under20k.engine.module_network import ModuleSource

BESIDE_TORCH_BYTES = 300 * 2**20
"""Memory of a training process apart from a batch's activations: Python, torch, MNIST; measured."""


@dataclass(frozen=True)
class Choice:
    """An engine and why it is the one, and the precision of its products in training."""

    engine: str
    reason: str
    precision: str = "fp32"


def choose(compute: Compute = Compute()) -> Choice:
    """Resolve ``auto`` for this machine, without importing torch.

    Raises UserError for an engine or a precision that this machine lacks.
    """
    choice = _choose_engine(compute.engine, compute.device)
    # bf16 has not been timed on a CPU that has it.
    precision = "fp32" if compute.precision == "auto" else compute.precision
    if choice.engine == "native":
        return Choice("native", f"{choice.reason}; {isa.arithmetic(precision)}", precision)
    if precision != "fp32":
        raise UserError(
            f"precision: {precision!r}, which only the native engine supports, but this is the torch engine "
            f"({choice.reason}); use --precision fp32"
        )
    return choice


def _choose_engine(engine: str, device: str) -> Choice:
    if engine == "torch":
        return Choice("torch", "as requested")
    missing = isa.unavailable()
    on_cpu = device in ("auto", "cpu")
    if engine == "native":
        if not on_cpu:
            raise UserError(
                f"device: {device!r}; the native engine runs on the CPU only, --engine torch on others"
            )
        if missing:
            raise UserError(f"engine: 'native', but {missing}; use --engine torch")
        return Choice("native", "as requested")
    if not on_cpu:
        return Choice("torch", f"for device {device}; the native engine runs on the CPU only")
    if missing:
        return Choice("torch", missing)
    return Choice("native", "the fastest on a CPU")


def fitting(recipe: Recipe, compute: Compute) -> Compute:
    """Return ``compute`` with the torch engine where only that can train ``recipe``.

    Raises UserError where another is asked for.
    """
    model = recipe.own
    if model is None or model.graph is not None:
        return compute
    if compute.engine == "native":
        raise UserError(f"engine: 'native', but {model.why}: only PyTorch can train it; use --engine torch")
    return replace(compute, engine="torch")


def create(
    recipe: Recipe,
    seed: int,
    compute: Compute = Compute(),
    *,
    weights: Tensors | None = None,
    source: ModuleSource | None = None,
) -> Engine:
    """Return an engine for ``recipe``.

    Args:
        recipe: the recipe to train or evaluate.
        seed: of the initial weights.
        compute: the engine, device, precision and threads; all cores where it names no number.
        weights: in place of the initial ones.
        source: makes the module of a model that has no graph.

    Raises:
        UserError: for an engine, device, precision or resource that this machine lacks.
    """
    compute = fitting(recipe, compute)
    choice, threads = choose(compute), compute.threads
    weights = weights or initial_weights(recipe.architecture, seed)
    if choice.engine == "native":
        available = cores()
        if threads is not None and threads > available.amount:
            raise UserError(
                f"threads: {threads}; this process may use {available.cores_text}, and more threads only "
                f"wait; use --threads {available.amount}"
            )
        return native_engine.NativeEngine(recipe, weights, threads or available.amount, choice.precision)

    # Here, since importing torch takes seconds and not everything that names an engine needs it.
    import torch

    from under20k.engine.torch_engine import TorchEngine

    device = torch_device(compute.device)
    torch.set_num_threads(threads or cores().amount)
    return TorchEngine(recipe, weights, device, source=source)


def check_training_memory(engine: Engine, recipe: Recipe) -> None:
    """Raise UserError if training ``recipe`` on a CPU takes more memory than this process may use.

    The native engine checks its own when it is created.
    """
    if engine.name != "torch" or engine.device != "cpu":
        return
    check_memory(
        least_bytes("torch", recipe),
        f"training {recipe.architecture} in batches of {recipe.batch_size} images",
    )


def least_bytes(engine: str, recipe: Recipe) -> int:
    """About the memory of a process that trains ``recipe`` on a CPU."""
    if engine == "native":
        return native_engine.BESIDE_BYTES + drawn_bytes(recipe) + native_engine.network_bytes(recipe)
    image_bytes = sum(layer.activation_bytes for layer in recipe.architecture.layers())
    return BESIDE_TORCH_BYTES + drawn_bytes(recipe) + recipe.batch_size * image_bytes


def torch_device(device: str) -> str:
    """Return the PyTorch device for ``Compute.device``. Raises UserError where it does not exist."""
    import torch

    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    kind, _, index = device.partition(":")
    if kind == "cuda" and not (cuda and int(index or 0) < torch.cuda.device_count()):
        built = "" if torch.version.cuda else " (and this PyTorch is a build without CUDA)"
        found = torch.cuda.device_count() if cuda else 0
        raise UserError(f"device: {device!r}, but PyTorch sees {found} CUDA devices{built}; use --device cpu")
    if kind == "mps" and not mps:
        raise UserError("device: 'mps', but PyTorch sees no Apple GPU; use --device cpu")
    return device
