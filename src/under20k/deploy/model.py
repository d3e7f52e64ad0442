"""A trained model, ready to be used: digits and probabilities of 28×28 images.

``load`` finds it: a pretrained one by its name, or that of a run, a record or a hub folder by its folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from under20k.deploy import card as cards
from under20k.deploy.calibration import softmax
from under20k.deploy.card import Card
from under20k.deploy.evaluator import Evaluator
from under20k.deploy.hub_files import is_hub_folder, read_hub_files
from under20k.deploy.images import as_images
from under20k.deploy.origin import Origin, of_card, of_record, of_run
from under20k.engine.base import Compute
from under20k.errors import UserError
from under20k.formatting import title
from under20k.recipe.architecture import Architecture
from under20k.recipe.fields import instance
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import Tensors, check_weights
from under20k.runs.leaderboard import kind_of, suggested
from under20k.runs.records.kept_model import kept_model
from under20k.runs.records.record import Record
from under20k.runs.run import Run

if TYPE_CHECKING:
    from torch import nn

THRESHOLD = 0.5
"""Of models whose card names none."""
MNIST_LIKE = ("ubyte", "mnist.npz")
"""What the names of MNIST's files have in them."""


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A trained model. Its images are 28×28, light ink on a dark background, centred as MNIST's are.

    They are uint8 (N, 28, 28), or what ``images.as_images`` makes that of; ``under20k.read`` takes pictures
    of any other kind. Threads may share a model: they compute one after another.
    """

    name: str
    recipe: Recipe
    weights: Tensors
    temperature: float = 1.0
    """The logits are divided by it before the softmax, which calibrates the probabilities."""
    threshold: float = THRESHOLD
    """What is less sure than this is not believed to be a digit."""
    card: Card | None = None
    """Of a pretrained model."""
    compute: Compute = Compute()
    """By default the native engine on all cores, without importing torch; torch where it was not built."""
    origin: Origin | None = None
    """None for a model that was made from weights."""
    folder: Path | None = None
    """Of the run that it comes from; None if it comes from anything else."""

    def __post_init__(self) -> None:
        check_weights(self.recipe.architecture, self.weights)

    def __repr__(self) -> str:
        return f"Model({title(self.name)}: {self.recipe.architecture.parameters:,} parameters)"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_evaluator"}

    def logits(self, images: Any) -> NDArray[np.float32]:
        """Return logits, float32 (N, 10): what comes before a softmax, of the user's own model, too."""
        return self._evaluator.logits(as_images(images))

    def probabilities(self, images: Any) -> NDArray[np.float64]:
        """Return the calibrated probability of each digit, float64 (N, 10)."""
        return self.probabilities_of(self.logits(images))

    def probabilities_of(
        self, logits: NDArray[np.float32], temperature: float | None = None
    ) -> NDArray[np.float64]:
        """Return the probabilities, float64 (N, 10), of what ``logits`` gave; by default the calibrated."""
        return softmax(logits, self.temperature if temperature is None else temperature)

    def predict(self, images: Any) -> NDArray[np.uint8]:
        """Return the most probable digits, uint8 (N,)."""
        digits: NDArray[np.uint8] = self.logits(images).argmax(1).astype(np.uint8)
        return digits

    def torch(self) -> nn.Module:
        """Return a new ``nn.Module`` with the trained weights, in evaluation mode, on the CPU.

        It takes float32 (N, 1, 28, 28): (x/255 − 0.1307) / 0.3081 of pixels x from 0 (background) to 255
        (ink). It returns log-probabilities (N, 10), at temperature 1; a model of the user's own what that
        returned. Raises UserError for one that only its own source can compute.
        """
        import torch

        from under20k.engine.graph_module import GraphModule
        from under20k.engine.module import Network

        architecture = self.recipe.architecture
        network: nn.Module
        if isinstance(architecture, Architecture):
            network = Network(architecture)
        elif architecture.graph is not None:
            network = GraphModule(architecture.graph, architecture.tensors(), architecture.trained_names)
        else:
            raise UserError(
                f"{self.name} has no graph ({architecture.why}); load its weights into your own module"
            )
        # Without BatchNorm's counters, which evaluation does not use.
        weights = {name: torch.tensor(value) for name, value in self.weights.items()}
        network.load_state_dict(weights, strict=False)
        return network.eval()

    @property
    def short_name(self) -> str:
        """Return the name or, of a path, its last part."""
        return Path(self.name).name or Path(self.name).resolve().name

    @cached_property
    def _evaluator(self) -> Evaluator:
        return Evaluator(self.recipe, self.weights, self.compute)


def load(model: str | Path | None = None, *, compute: Compute = Compute()) -> Model:
    """Return a trained model.

    Args:
        model: the name of a pretrained one, such as ``"regularized-plus"``, or the folder of a finished run,
            of a record or of an export to ``hub-folder``. A folder called like a pretrained model is
            ``"./minimal"``.
        compute: engine and threads.

    Raises:
        UserError: there is no such model, or it is unfinished or damaged.
    """
    if model is None:
        raise UserError(
            f"name a model to load: {', '.join(cards.names())}, or a run's folder; "
            "MNIST's images are under20k.load_mnist()"
        )
    instance("model", model, str | Path, "the name of a pretrained model, or a run's folder")
    if str(model) in cards.names():
        return _pretrained(str(model), compute)
    path = Path(model)
    if not path.is_dir():
        raise UserError(f"there is no model {str(model)!r}; {_nearest(path)}")
    kind = kind_of(path)
    if kind == "run":
        run = Run.open(path)
        weights = run.weights()  # first: it says what an unfinished run lacks
        return Model(str(model), run.recipe, weights, compute=compute, origin=of_run(run), folder=path)
    if kind == "record":
        record = Record.open(path)
        weights, origin = kept_model(path, record), of_record(record)
        return Model(record.name, record.bench.recipe, weights, compute=compute, origin=origin)
    if kind == "bench":
        raise UserError(f"{path} is a bench, whose models lie in its runs; name the folder of one")
    if is_hub_folder(path):
        files = read_hub_files(path)
        return Model(
            files.name,
            files.recipe,
            files.weights,
            files.temperature,
            files.threshold,
            compute=compute,
            origin=files.origin,
        )
    if any(found for deep in ("", "*/") for name in MNIST_LIKE for found in path.glob(f"{deep}*{name}*")):
        raise UserError(f"{path} holds MNIST's images, not a model; load them with under20k.load_mnist()")
    raise UserError(f"{path} is not a run folder; {_all_models(path)}")


def as_model(model: Model | str | Path | None, *, compute: Compute = Compute()) -> Model:
    """Return ``model`` itself, or the loaded one, by default the one that reads pictures best."""
    if isinstance(model, Model):
        return model
    return load(cards.default_name() if model is None else model, compute=compute)


def _pretrained(name: str, compute: Compute) -> Model:
    card = cards.card(name)
    return Model(
        name,
        card.recipe,
        card.weights(),
        card.temperature,
        THRESHOLD if card.threshold is None else card.threshold,
        card=card,
        compute=compute,
        origin=of_card(card),
    )


def _nearest(path: Path) -> str:
    """Return the end of an error message: the model that a misspelt name may mean, or all of them."""
    if close := get_close_matches(path.name.lower(), cards.names(), n=1):
        return f"did you mean {close[0]!r}?"
    return _all_models(path)


def _all_models(path: Path) -> str:
    return f"pretrained: {', '.join(cards.names())}; of your own, {suggested(path)}"
