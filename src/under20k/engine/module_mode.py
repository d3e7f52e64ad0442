"""Switch a model of the user's to training or to evaluation, whatever methods of its own it has."""

from __future__ import annotations

import inspect

from torch import nn

MODES = ("mode", "training", "is_training")
"""Names of the mode in methods that do what torch's ``train`` does."""


def set_training(module: nn.Module, training: bool) -> None:
    """Do what ``module.train(training)`` does.

    A model may have a method of its own named ``train``, which trains it: it is left alone. One that only
    adds to torch's, ``train(self, mode=True)``, is called.
    """
    method = type(module).train
    if method is not nn.Module.train and _sets_the_mode(method):
        module.train(training)
        return
    module.training = training
    for child in module.children():
        set_training(child, training)


def _sets_the_mode(method: object) -> bool:
    """Return whether a method takes what torch's ``train`` takes: a mode, by name, that may be left out."""
    if not callable(method):
        return False
    parameters = [*inspect.signature(method).parameters.values()][1:]
    needed = [
        p
        for p in parameters
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    return bool(parameters) and len(needed) <= 1 and parameters[0].name in MODES
