"""A model of the user's own in place of a recipe: its options, and how it is loaded."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from under20k.cli.options import compute_argument, note, recipe_argument
from under20k.errors import UserError
from under20k.recipe.own_model import is_target
from under20k.recipe.recipe import Recipe

if TYPE_CHECKING:
    from under20k.runs.own_start import OwnTraining

TARGET = "RECIPE|TARGET"
TARGET_HELP = (
    "a recipe's name, a recipe.json, or a PyTorch model of your own: file.py:Name, package.module:Name or "
    "file.ipynb:Name"
)


def add_code_options(group: argparse._ArgumentGroup) -> None:
    """Add ``--trust`` and ``--arg``: whether a model's code may run, and what its constructor is given."""
    group.add_argument("--trust", action="store_true", help="run the model's code")
    group.add_argument(
        "--arg",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="pass this argument to the model's constructor; repeatable",
    )


def add_target_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust``, ``--arg`` and ``--like``, which ``training_argument`` reads."""
    group = parser.add_argument_group("your own model", "in place of a recipe (docs/own-models.md)")
    add_code_options(group)
    group.add_argument(
        "--like",
        metavar="RECIPE",
        help="train the model by the settings of this recipe (default: minimal, those of the assignment)",
    )


def training_argument(
    arguments: argparse.Namespace, text: str, seeds: Sequence[int], changes: dict[str, Any]
) -> Recipe | OwnTraining:
    """Return what a verb trains: a recipe, or a model of the user's with its weights for each seed.

    Args:
        arguments: with the options of ``add_target_options``.
        text: the recipe or target as it was typed.
        seeds: that will be trained.
        changes: settings that replace the recipe's own.

    Raises:
        UserError: there is no such recipe or model, or it may not be run.
    """
    if not is_target(text):
        recipe = recipe_argument(text)
        if recipe.own is None or not arguments.trust:
            return recipe.with_changes(**changes)
        from under20k.checking.training.kept import training_again

        return training_again(Path(text).parent, recipe, seeds).with_changes(**changes)
    if "architecture" in changes:
        raise UserError(f"--architecture replaces a recipe's network, but {text} is a model; leave it out")
    like = recipe_argument(arguments.like or "minimal")
    like.with_changes(**changes)  # raises where they do not fit
    if not arguments.trust:
        raise UserError(f"{text} is code, which runs to be trained; add --trust if you trust it")
    from under20k.checking.source.target import argument
    from under20k.checking.training.load import load_model
    from under20k.checking.training.words import lines
    from under20k.engine.select import fitting

    loaded = load_model(text, seeds, dict(argument(each) for each in arguments.arg))
    training = loaded.training(like).with_changes(**changes)
    fitting(training.recipe, compute_argument(arguments))  # raises where the engine cannot train it
    for line in (*loaded.notes, *lines(loaded.model)):
        note(arguments, line)
    return training


def check_target_options(arguments: argparse.Namespace, *texts: str | None) -> None:
    """Raise UserError for an option of a model of the user's where there is none."""
    if any(text is not None and is_target(text) for text in texts):
        return
    for option in ("like", "arg"):
        if getattr(arguments, option):
            named = f"; {arguments.recipe} is a recipe" if arguments.recipe else ""
            raise UserError(f"--{option} is for a model of your own, such as model.py:Net{named}")


def recipe_of(training: Recipe | OwnTraining) -> Recipe:
    """Return the recipe of what ``training_argument`` gives."""
    return training if isinstance(training, Recipe) else training.recipe


def other_argument(
    arguments: argparse.Namespace,
    first: Recipe | OwnTraining,
    seeds: Sequence[int],
    changes: dict[str, Any],
) -> Recipe | OwnTraining:
    """Return what ``--vs`` names; a model is made without ``--arg`` and trained by the settings of the first.

    Args:
        arguments: with ``vs``.
        first: what it is compared with.
        seeds: that will be trained.
        changes: settings that replace the recipe's own.

    Raises:
        UserError: as ``training_argument``.
    """
    text = arguments.vs
    plain = argparse.Namespace(**vars(arguments) | {"arg": []})
    other = training_argument(plain, text, seeds, changes if is_target(text) else {})
    if isinstance(other, Recipe) or other.recipe.name != recipe_of(first).name:
        return other
    stem = Path(text.rpartition(":")[0] or text).stem
    return replace(other, recipe=replace(other.recipe, name=f"{stem}.{other.recipe.name}"))
