"""The accuracy of a student's weights, under the normalisation that they were trained with."""

from __future__ import annotations

from torch import Tensor, nn

from under20k.checking.graph.trace import of_output
from under20k.checking.judgement import Accuracy
from under20k.checking.rules.input_form import form_taken
from under20k.checking.weights.find_normalisation import find_normalisation
from under20k.checking.weights.normalisation import Normalisation
from under20k.checking.weights.scores import count_correct
from under20k.checking.weights.weights_file import match
from under20k.data import Split, load, load_test
from under20k.engine.module_mode import set_training


def splits(name: str) -> tuple[Split, Split]:
    """Return the split to find the normalisation on, and the one called ``name``: validation or test."""
    data = load()
    return data.train, load_test() if name == "test" else data.validation


def measure(
    model: nn.Module,
    state: object,
    train: Split,
    measured: Split,
    normalisation: tuple[float, float] | None = None,
) -> Accuracy:
    """Measure the accuracy of weights; the result has a warning instead if no normalisation fits.

    Args:
        model: gets the weights.
        state: from ``load_weights``.
        train: split to find the normalisation on.
        measured: split to evaluate on.
        normalisation: mean and standard deviation that x/255 is normalised with; None finds them.

    Raises:
        WeightsError: the weights are not the model's.
    """
    model.load_state_dict(match(state, model), strict=False)
    model = _MapsToClasses(model).eval()
    if normalisation is None:
        found = find_normalisation(model, train)
        given = found.normalisation
    else:
        found, given = None, Normalisation(*normalisation)
    warning = found.warning if found else None
    correct = None if warning else count_correct(model, measured, given)
    return Accuracy(
        split=measured.name,
        images=len(measured),
        normalisation=given.text,
        mean=given.mean,
        std=given.std,
        normalisation_is="found" if found else "given",
        train_images=found.images if found else None,
        train_correct=found.correct if found else None,
        batch_norm_distance=found.distance if found else None,
        warning=warning,
        correct=correct,
        accuracy=None if correct is None else correct / len(measured),
        inputs=given.inputs.name or None,
    )


class _MapsToClasses(nn.Module):
    """A model that takes maps (N, 1, H, W) and gives (N, 10), whatever the wrapped one takes and returns."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.form = model, form_taken(model)

    def train(self, mode: bool = True) -> _MapsToClasses:
        self.training = mode
        set_training(self.model, mode)
        return self

    def forward(self, x: Tensor) -> Tensor:
        output, _ = of_output(self.model(self.form.laid_out(x)), len(x))
        return output.flatten(1)
