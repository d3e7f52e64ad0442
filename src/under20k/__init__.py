"""under20k: train, prove and ship MNIST digit classifiers with fewer than 20,000 parameters.

>>> import under20k
>>> run = under20k.train("minimal", seed=0)
>>> run.metrics()[-1].validation_accuracy
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from under20k.deploy.model import Model, load
    from under20k.deploy.read import read
    from under20k.engine.base import Compute
    from under20k.errors import UserError
    from under20k.interactive.calls import (
        bench,
        check,
        evaluate,
        load_mnist,
        load_mnist_test,
        reproduce,
        train,
    )
    from under20k.recipe.architecture import Architecture
    from under20k.recipe.named import RECIPES
    from under20k.recipe.recipe import Recipe
    from under20k.runs.leaderboard import compare
    from under20k.runs.places import Places
    from under20k.runs.run import Run

__all__ = [
    "RECIPES",
    "Architecture",
    "Compute",
    "Model",
    "Places",
    "Recipe",
    "Run",
    "UserError",
    "__version__",
    "bench",
    "check",
    "compare",
    "evaluate",
    "load",
    "load_mnist",
    "load_mnist_test",
    "read",
    "reproduce",
    "train",
]

# Where each name lives. They load when they are asked for: `under20k --help` needs none of them.
_HOMES = {
    "RECIPES": "recipe.named",
    "Architecture": "recipe.architecture",
    "Compute": "engine.base",
    "Model": "deploy.model",
    "Places": "runs.places",
    "Recipe": "recipe.recipe",
    "Run": "runs.run",
    "UserError": "errors",
    "bench": "interactive.calls",
    "check": "interactive.calls",
    "compare": "runs.leaderboard",
    "evaluate": "interactive.calls",
    "load": "deploy.model",
    "load_mnist": "interactive.calls",
    "load_mnist_test": "interactive.calls",
    "read": "deploy.read",
    "reproduce": "interactive.calls",
    "train": "interactive.calls",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'under20k' has no attribute {name!r}")
    return getattr(importlib.import_module(f"under20k.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
