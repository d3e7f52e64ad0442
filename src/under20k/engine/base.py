"""The interface of an engine: it trains epochs of one recipe and computes logits.

Shapes: N images.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from under20k.errors import InvalidValue, UserError
from under20k.recipe.architecture import IMAGE_SIDE, Architecture
from under20k.recipe.fields import choice, whole_number
from under20k.recipe.limits import DRAWN_IMAGES, TRAIN_IMAGES
from under20k.recipe.own_model import OwnModel
from under20k.recipe.plan import EpochPlan
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import Tensors

NUMERICS = 1
"""The version of the arithmetic. Two trainings of the same recipe and seed give the same bits if this is the
same, and so are engine and precision, and for native its instruction set and compiler, for torch its release,
processor and threads.

Raise it by one in the commit that changes the bits of any training: initial weights, plan, learning rates,
teachers' seeds, one of the engines. Finished runs and records of other numerics are then no longer taken for
what this version would train. tests/engine/test_golden_bits.py fails where bits have changed. No change of
comments, names or files is a reason to raise it.
"""

MEAN, STANDARD_DEVIATION = 0.1307, 0.3081  # of MNIST's training pixels, in [0, 1]
INPUT = f"(x/255 − {MEAN}) / {STANDARD_DEVIATION}"
"""A network's input for pixels x, from 0 (background) to 255."""

ENGINES = ("auto", "native", "torch")
PRECISIONS = ("auto", "fp32", "bf16")
MAX_THREADS = 1024
MOMENTUM_PREFIX, AVERAGE_PREFIX = "momentum.", "average."

Images = NDArray[np.uint8]
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Compute:
    """The engine, device, precision and threads to compute with.

    Raises UserError for values that no machine has; what this machine lacks is found by ``select.choose``.
    """

    engine: str = "auto"
    """One of ``ENGINES``; auto is native on a CPU where it is built, torch elsewhere."""
    device: str = "auto"
    """cpu, cuda, cuda:1 or mps; auto is the CPU for the native engine, for torch a GPU where it sees one."""
    precision: str = "auto"
    """One of ``PRECISIONS``: of the products in training. auto is fp32."""
    threads: int | None = None
    """CPU threads; None leaves the number to whoever trains: all cores for one training."""

    def __post_init__(self) -> None:
        choice("engine", self.engine, ENGINES)
        if re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,4})?", str(self.device)) is None:
            raise InvalidValue(f"device: {self.device!r}; expected one of auto, cpu, cuda, cuda:N, mps")
        choice("precision", self.precision, PRECISIONS)
        if self.threads is not None:
            whole_number("threads", self.threads, 1, MAX_THREADS)


@dataclass(frozen=True)
class EpochResult:
    """Figures of one epoch of training, accumulated during the epoch in training mode."""

    loss: float
    """Mean over the images of the minimised loss, including label smoothing and distillation."""
    correct: int
    """Number of images whose largest logit was their label's."""


@dataclass(frozen=True)
class Teacher:
    """A trained network that gives soft targets (see ``recipe.Distillation``)."""

    architecture: Architecture | OwnModel
    weights: Tensors


class Divergence(UserError):
    """The loss was not finite."""


def divergence(plan: EpochPlan, step: int) -> Divergence:
    """Return the error for a loss that is not finite at ``step`` of the epoch, counted from 0."""
    return Divergence(
        f"the loss is not finite at step {step + 1} of {plan.steps} in epoch {plan.epoch}, where the "
        f"learning rate is {plan.learning_rates[step]:g}; lower --learning-rate"
    )


def average_decay(recipe: Recipe, step: int) -> float:
    """Return the decay of the weights' moving average after ``step``, counted from 0 over the training.

    It rises to the recipe's value, so that the initial weights do not dominate short trainings.
    """
    return min(recipe.average_decay, (1 + step) / (10 + step))


def drawn_bytes(recipe: Recipe) -> int:
    """Return the memory of the training images and the drawn digits, if ``recipe`` trains on any."""
    return (TRAIN_IMAGES + 2 * DRAWN_IMAGES) * IMAGE_SIDE**2 if recipe.drawn_share else 0


def check_taught(recipe: Recipe, teachers: int) -> None:
    """Raise ValueError unless the number of an engine's ``teachers`` is its recipe's."""
    expected = recipe.distillation.teachers if recipe.distillation else 0
    if teachers != expected:
        raise ValueError(f"{recipe.name} has {expected} teachers, but learn_from was given {teachers}")


def state_tensors(recipe: Recipe) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the tensors in ``Engine.state`` for a recipe."""
    weights = recipe.architecture.tensors()
    tensors = dict(weights)
    if recipe.momentum:
        trained = recipe.architecture.trained_names
        tensors |= {MOMENTUM_PREFIX + name: shape for name, shape in weights.items() if name in trained}
    if recipe.average_decay:
        tensors |= {AVERAGE_PREFIX + name: shape for name, shape in weights.items()}
    return tensors


class Engine(Protocol):
    """Trains and evaluates one model. Images are uint8 (N, 28, 28), labels uint8 (N,) in 0–9.

    Normalisation and augmentation happen inside. An engine is built from a recipe and initial weights.
    """

    name: str
    precision: str
    device: str
    threads: int

    def learn_from(self, teachers: Sequence[Teacher]) -> None:
        """Set all the teachers of the recipe's ``distillation``; called before any epoch.

        They are part of neither ``state`` nor ``weights``. Raises UserError if any weights do not fit.
        """

    def train_epoch(
        self, images: Images, labels: Labels, plan: EpochPlan, on_step: Callable[[int], None]
    ) -> EpochResult:
        """Train for one epoch.

        Args:
            images: uint8 (N, 28, 28).
            labels: uint8 (N,), 0 to 9.
            plan: the epoch's random choices and learning rates.
            on_step: called with the number of images done so far. An exception that it raises ends the epoch
                and leaves the engine in mid-epoch.

        Raises:
            Divergence: if the loss is not finite.
        """

    def logits(self, images: Images) -> NDArray[np.float32]:
        """Compute logits (N, 10) in evaluation mode, with the averaged weights if the recipe averages them.

        The last bits of an image's logits may depend on N, since few images may be computed differently.
        """

    def weights(self) -> Tensors:
        """Return the weights that ``logits`` uses and that are shipped, under PyTorch's names."""

    def state(self) -> Tensors:
        """Return everything that training resumes from.

        The weights; ``momentum.<name>`` for each trainable one if the recipe has momentum; ``average.<name>``
        for each if it averages.
        """

    def load_state(self, state: Tensors) -> None:
        """Resume from a result of ``state``. Raises UserError if it does not fit the recipe."""
