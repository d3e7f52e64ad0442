"""The native engine as a contender."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.amount import Amount
from benchmarks.turns import Unavailable, seconds
from under20k.data.mnist import Split
from under20k.engine.base import Compute, Engine
from under20k.engine.isa import emulated, multiplies_bf16
from under20k.engine.select import create
from under20k.errors import UserError
from under20k.recipe.limits import TRAIN_IMAGES
from under20k.recipe.plan import epoch_plan
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import Tensors

WARM_UP = 1_280  # images


def engine(recipe: Recipe, threads: int, precision: str = "fp32", weights: Tensors | None = None) -> Engine:
    """A fresh one. Raises Unavailable for a precision that it does not train in here."""
    if precision == "bf16" and emulated():
        raise Unavailable("emulated here, which is slow")
    try:
        return create(recipe, 0, Compute("native", precision=precision, threads=threads), weights=weights)
    except UserError as error:
        if precision == "fp32":
            raise
        raise Unavailable(str(error) if multiplies_bf16() else "not on this CPU") from error


def epoch(engine: Engine, recipe: Recipe, data: Split, images: int) -> None:
    """Draw the plan of an epoch over the first ``images``, and train it."""
    plan = epoch_plan(recipe, 0, 1, images)
    engine.train_epoch(data.images[:images], data.labels[:images], plan, lambda done: None)


def epoch_timer(
    recipe: Recipe,
    data: Split,
    amount: Amount,
    threads: int,
    precision: str = "fp32",
    weights: Tensors | None = None,
) -> Callable[[], float]:
    """A contender: seconds of an epoch of 50,000 images, all included. Raises Unavailable."""
    trained = engine(recipe, threads, precision, weights)
    epoch(trained, recipe, data, min(WARM_UP, amount.images))
    scale = TRAIN_IMAGES / amount.images
    return lambda: scale * seconds(lambda: epoch(trained, recipe, data, amount.images))
