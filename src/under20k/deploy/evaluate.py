"""``under20k.evaluate``: that of ``runs``, and of any PyTorch model with trained weights."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from under20k.checking.training.kept import source_of
from under20k.checking.training.load import own_recipe
from under20k.data.events import OnFetch, ignore
from under20k.deploy.weighted import (
    Normalisation,
    Weighted,
    check_finite,
    load_weighted,
    normalisation,
    weighted,
)
from under20k.engine.base import Compute
from under20k.engine.evaluation import Evaluation
from under20k.engine.select import create
from under20k.errors import InvalidValue, UserError
from under20k.recipe.fields import choice, instance
from under20k.recipe.named import MINIMAL
from under20k.recipe.own_model import is_target
from under20k.runs.evaluate import SplitName, evaluation_of, load_split
from under20k.runs.evaluate import evaluate as evaluate_run
from under20k.runs.events import Note, OnEvent
from under20k.runs.places import Places, check_compute_and_places
from under20k.runs.run import Run

if TYPE_CHECKING:
    from torch import nn

EXPECTED = "a Run or the folder of one, a PyTorch model, or 'model.py:Net'"
NOT_RECORDED = (
    "the test set was read; no run folder records that of a weights file, so note it yourself, and choose "
    "nothing by it"
)


def evaluate(
    run: Run | Path | str | nn.Module | Callable[[], nn.Module],
    split: SplitName = "validation",
    *,
    weights: Path | str | None = None,
    trust: bool = False,
    arguments: Mapping[str, object] | None = None,
    mean: float | None = None,
    std: float | None = None,
    compute: Compute = Compute(),
    places: Places = Places(),
    on_event: OnEvent = ignore,
) -> Evaluation:
    """Evaluate a finished run or a trained PyTorch model on a split.

    A reading of the test set is first written into the run; that of another model is recorded nowhere.

    Args:
        run: the run, or its folder; or a PyTorch model of your own: a module, which stays as it is, a class
            or function that makes one, or ``"model.py:Net"``.
        split: ``validation`` or ``test``.
        weights: of your own model: a file of safetensors, PyTorch or NumPy (``.npz``); a module has its own.
        trust: run the code of ``"model.py:Net"``, or the one that a run keeps.
        arguments: of the constructor of ``"model.py:Net"``.
        mean: what x/255 was normalised with in training; found if not given.
        std: beside ``mean``.
        compute: engine, device and threads.
        places: ``data`` holds MNIST.
        on_event: called with remarks, and the events of a download.

    Returns:
        The figures, with the logits that they come from, and the images.

    Raises:
        UserError: if the run or the model has no weights that fit, no normalisation fits, an argument would
            do nothing, or the reading cannot be recorded.
    """
    choice("split", split, get_args(SplitName))
    check_compute_and_places(compute, places)
    instance("weights", weights, Path | str | None, "the path of a weights file")
    instance("arguments", arguments, Mapping | None, "a dictionary of the constructor's arguments")
    is_code = isinstance(run, str) and is_target(run)
    if isinstance(run, Run | Path) or (isinstance(run, str) and not is_code):
        _check_absent("a run has its own", weights=weights, mean=mean, std=std, arguments=arguments)
        opened = run if isinstance(run, Run) else Run.open(Path(run))
        source = source_of(opened, trust=trust)
        return evaluate_run(opened, split, compute=compute, places=places, source=source, on_event=on_event)
    given = normalisation(mean, std)
    if not isinstance(run, str):
        _check_absent("they are for 'model.py:Net'", arguments=arguments)
        found = _of_object(run, weights, given, places.data, on_event)
    elif weights is None:
        raise UserError(f"{run} is a model without weights; name those that you trained with weights=")
    elif not trust:
        raise UserError(f"{run} is code, which runs to be loaded; pass trust=True if you trust it")
    else:
        found = load_weighted(run, Path(weights), arguments, given, data_dir=places.data, on_event=on_event)
    for note in found.notes:
        on_event(Note(note))
    return evaluate_weighted(found, split, compute=compute, places=places, on_event=on_event)


def _check_absent(reason: str, **values: object) -> None:
    """Raise UserError, with the reason, for an argument that is given and would do nothing."""
    for name, value in values.items():
        if value is not None:
            shown = str(value) if isinstance(value, Path) else value
            raise UserError(f"{name}: {shown!r:.80}, but {reason}; leave {name} out")


def evaluate_weighted(
    found: Weighted,
    split: SplitName,
    *,
    compute: Compute = Compute(),
    places: Places = Places(),
    on_event: OnEvent = ignore,
) -> Evaluation:
    """Evaluate a user's model with trained weights; arguments and result are those of ``evaluate``."""
    engine = create(own_recipe(found.model), 0, compute, weights=found.tensors, source=found.source)
    images = load_split(split, places.data, on_event)
    outputs = engine.logits(images.images)
    if split == "test":
        on_event(Note(NOT_RECORDED))
    return evaluation_of(split, outputs, images, found.model)


def _of_object(
    value: object,
    path: Path | str | None,
    given: Normalisation | None,
    data_dir: Path | None,
    on_event: OnFetch,
) -> Weighted:
    """Return the model that a module, a class or a function is, with its weights. Raises UserError."""
    torch = sys.modules.get("torch")  # who has a module has imported it
    is_module = torch is not None and isinstance(value, torch.nn.Module)
    if not is_module and not callable(value):
        raise InvalidValue(f"run: {value!r:.80}; expected {EXPECTED}")
    if not is_module and path is None:
        raise UserError("run: what makes a model gives it without trained weights; name them with weights=")
    from under20k.checking.training.objects import made, training_of_object
    from under20k.checking.weights.accuracy import measure
    from under20k.checking.weights.weights_file import WeightsError, load_weights, match
    from under20k.data import load

    module: Any = copy.deepcopy(value) if is_module else made(value, 0)  # type: ignore[arg-type]
    module = module.cpu()
    if path is not None:
        try:
            state = match(load_weights(Path(path)), module)
        except WeightsError as error:
            raise UserError(f"{path}: {error}") from error
        floats = {name: value.detach().float() for name, value in state.items() if value.is_floating_point()}
        check_finite(Path(path), {name: value.numpy() for name, value in floats.items()})
        module.load_state_dict(state, strict=False)
    training, notes = training_of_object(module, MINIMAL)
    model, start = training.recipe.own, training.start(0)
    assert model is not None
    assert start is not None
    data = load(data_dir, on_event=on_event)
    accuracy = measure(module, module.state_dict(), data.train, data.validation, given)
    return weighted(model.name, model, start.weights(model), accuracy, start.source, notes)
