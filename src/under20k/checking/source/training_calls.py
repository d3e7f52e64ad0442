"""Tell from its calls whether code trains."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping

from under20k.checking.source.syntax import Function, outside_functions, root_of

TRAINING_METHODS = frozenset(["backward", "zero_grad", "fit", "fit_one_cycle"])
STEPPING = re.compile(r"(?i)optim|^opt\w?$|sched|scaler")
TRAINING_FUNCTIONS = re.compile(
    r"(?i)^_?(do_|run_|start_|model_)?(train(er|ing)?|fit|test|eval(uate)?|valid(ate)?|main|experiment|run|learn)"
    r"(_?(model|net|network|epochs?|one_epoch|loop|and_\w+|all|fn|step))?s?\d?$"
)
LOADERS = re.compile(r"(?i)load(er)?s?$|_dl$|^dl_|dataset|^data$")


def trains(node: ast.AST, training: Iterable[str] = (), known: Iterable[str] = ()) -> bool:
    """Return whether the code that runs with ``node`` trains or iterates over a data set, by its calls.

    Args:
        node: a statement.
        training: local functions that train.
        known: all local functions; their names alone then say nothing.
    """
    for part in outside_functions(node):
        if isinstance(part, ast.For) and goes_through_data(part):
            return True
        if not isinstance(part, ast.Call):
            continue
        function = part.func
        if isinstance(function, ast.Attribute):
            if function.attr in TRAINING_METHODS:
                return True
            if function.attr == "step" and STEPPING.search(root_of(function.value) or "optim"):
                return True
        elif isinstance(function, ast.Name):
            if function.id in training:
                return True
            if function.id not in known and TRAINING_FUNCTIONS.match(function.id):
                return True
    return False


def goes_through_data(loop: ast.For | ast.AsyncFor) -> bool:
    """Return whether the loop is over a data set or its loader, by their names."""
    return any(isinstance(part, ast.Name) and LOADERS.search(part.id) for part in ast.walk(loop.iter))


def training_functions(functions: Mapping[str, Function]) -> set[str]:
    """Return which of these functions train, themselves or through each other."""
    bodies = {name: ast.Module(list(node.body), []) for name, node in functions.items()}
    training: set[str] = set()
    while more := {
        n for n, body in bodies.items() if n not in training and trains(body, training, functions)
    }:
        training |= more
    return training
