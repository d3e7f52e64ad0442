"""A model of the user's own with trained weights, in place of a model of under20k's: options and loading."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from under20k.cli.options import note
from under20k.cli.targets import add_code_options
from under20k.errors import UserError
from under20k.recipe.own_model import is_target

if TYPE_CHECKING:
    from under20k.deploy.model import Model
    from under20k.engine.base import Compute

OWN = "or a PyTorch model of your own, as file.py:Name with --weights"
"""The end of the help of an argument that takes a model."""


def add_weights_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--weights``, ``--trust`` and ``--arg``, which ``own_model_argument`` reads."""
    group = parser.add_argument_group("your own model", "with weights that you trained (docs/own-models.md)")
    group.add_argument(
        "--weights", type=Path, metavar="FILE", help="its weights: of safetensors, torch.save or NumPy (.npz)"
    )
    add_normalisation_options(group)
    add_code_options(group)


def add_normalisation_options(
    group: argparse._ArgumentGroup, condition: str = "", default: str = "found"
) -> None:
    """Add ``--mean`` and ``--std``; their help begins with ``condition`` and names the ``default``."""
    for option, what in (("mean", "mean"), ("std", "standard deviation")):
        group.add_argument(
            f"--{option}",
            type=float,
            metavar="X",
            help=f"{condition}{what} that x/255 was normalised with in training (default: {default})",
        )


def own_model_argument(arguments: argparse.Namespace, text: str, compute: Compute | None = None) -> Model:
    """Return a model of the user's with its weights.

    Args:
        arguments: with the options of ``add_weights_options``.
        text: the target as it was typed.
        compute: engine and threads of the model; by default the fastest.

    Raises:
        UserError: there is no such model, it may not be run, or its weights do not fit.
    """
    given = weights_arguments(arguments, text)

    from under20k.deploy.own_weights import load_trained
    from under20k.engine.base import Compute

    trained = load_trained(text, *given, compute=compute or Compute())
    for line in trained.notes:
        note(arguments, line)
    return trained.model


def weights_arguments(
    arguments: argparse.Namespace, text: str
) -> tuple[Path, dict[str, object], tuple[float, float] | None]:
    """Return the weights of a user's model, the arguments of its constructor, and mean and sd of its inputs.

    Args:
        arguments: with the options of ``add_weights_options``.
        text: the target as it was typed.

    Raises:
        UserError: weights or trust are missing, or an option is wrong.
    """
    if arguments.weights is None:
        raise UserError(
            f"{text} is a model without weights; name those that you trained with --weights, or train it: "
            f"under20k train {text} --trust"
        )
    if not arguments.trust:
        raise UserError(f"{text} is code, which runs to be loaded; add --trust if you trust it")
    from under20k.checking.source.target import argument
    from under20k.deploy.weighted import normalisation

    given = dict(argument(each) for each in arguments.arg)
    return arguments.weights, given, normalisation(arguments.mean, arguments.std)


def check_weights_options(arguments: argparse.Namespace, *texts: str | None) -> None:
    """Raise UserError for an option of a model of the user's where there is none, or for several models."""
    targets = [text for text in texts if text is not None and is_target(text)]
    if len(targets) > 1:
        raise UserError(f"--weights holds those of one model; {targets[1]} is a second one of your own")
    for option in ("weights", "arg", "mean", "std"):
        if not targets and getattr(arguments, option) not in (None, []):
            raise UserError(f"--{option} is for a model of your own, such as model.py:Net")
