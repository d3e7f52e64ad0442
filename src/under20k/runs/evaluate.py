"""Evaluate a finished run on a split."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from under20k.data import Split, load, load_test
from under20k.data.events import OnFetch, ignore
from under20k.engine.base import Compute
from under20k.engine.evaluation import Evaluation, logits_of
from under20k.engine.evaluation import evaluate as evaluate_logits
from under20k.engine.select import create
from under20k.recipe.fields import choice, instance
from under20k.recipe.own_model import OwnModel
from under20k.runs.places import Places, check_compute_and_places
from under20k.runs.provenance import command
from under20k.runs.run import Run

if TYPE_CHECKING:
    from under20k.engine.module_network import ModuleSource

SplitName = Literal["validation", "test"]


def evaluate(
    run: Run | Path | str,
    split: SplitName = "validation",
    *,
    compute: Compute = Compute(),
    places: Places = Places(),
    source: ModuleSource | None = None,
    on_event: OnFetch = ignore,
) -> Evaluation:
    """Evaluate a finished run on a split; a reading of the test set is first written into the run.

    Args:
        run: the run, or its folder.
        split: ``validation`` or ``test``.
        compute: engine, device and threads.
        places: ``data`` holds MNIST.
        source: makes the module of a user's own model that only PyTorch can compute.
        on_event: called with the events of a download.

    Returns:
        The figures, with the logits, whose softmax are the model's probabilities, and the images.

    Raises:
        UserError: if the run has no model that fits, or the reading cannot be recorded.
    """
    choice("split", split, get_args(SplitName))
    check_compute_and_places(compute, places)
    instance("run", run, Run | Path | str, "a Run or the folder of one")
    run = run if isinstance(run, Run) else Run.open(Path(run))
    engine = create(run.recipe, run.seed, compute, weights=run.weights(), source=source)
    images = load_split(split, places.data, on_event)
    outputs = engine.logits(images.images)
    evaluation = evaluation_of(split, outputs, images, run.recipe.own)
    if split == "test":
        run.add_test_reading(
            {
                "read": datetime.now(UTC).isoformat(timespec="seconds"),
                "command": command(),
                "engine": engine.name,
                **evaluation.to_dict(),
            }
        )
    return evaluation


def evaluation_of(
    split: SplitName, outputs: NDArray[np.float32], images: Split, own: OwnModel | None
) -> Evaluation:
    """Compute the figures of a network's outputs.

    Args:
        split: its name.
        outputs: (N, 10) what the network returns: logits, or probabilities if it ends in a softmax.
        images: the N images.
        own: the user's own model, if it is one.

    Returns:
        The figures, with logits and images. The loss is the one that a training minimises: the cross-entropy
        of what the network returns, which takes probabilities for logits, too.
    """
    logits = logits_of(outputs) if own is not None and own.output == "softmax" else outputs
    return replace(evaluate_logits(split, outputs, images.labels), logits=logits, data=images)


def load_split(split: SplitName, data_dir: Path | None, on_event: OnFetch = ignore) -> Split:
    """Return the images of ``evaluate``'s splits."""
    if split == "test":
        return load_test(data_dir, on_event=on_event)
    return load(data_dir, on_event=on_event).validation
