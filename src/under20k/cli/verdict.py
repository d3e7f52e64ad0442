"""Whether a training reached the target within the limits: the warning before it, the lines after it."""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from under20k.errors import shown
from under20k.formatting import columns, percent
from under20k.recipe.limits import EPOCH_LIMIT, PARAMETER_LIMIT, TARGET_ACCURACY
from under20k.recipe.recipe import Recipe, settings

if TYPE_CHECKING:
    from under20k.runs.run import Run

INDENT, CONTINUED = "  ", " \\"


@dataclass(frozen=True)
class Requirement:
    """A figure of a run against what the assignment asks."""

    value: str
    label: str
    met: bool
    words: str
    """The verdict; it says the same as the sign before it."""

    def line(self) -> str:
        """Return ``✗ 99.33%  validation accuracy, last epoch  missed 99.40%``."""
        from under20k.report.words import signed

        return signed(self.met, f"{self.value:>6}  {self.label:<31}  {self.words}")


def warn_of_limits(recipe: Recipe) -> None:
    """Say on stderr, in a line, which limits a recipe exceeds, if any; it is trained all the same."""
    if warning := limits_warning(recipe):
        from under20k.interactive.terminal import say

        say(shown(warning), sys.stderr)


def limits_warning(recipe: Recipe) -> str:
    """Return the limits that a recipe exceeds as a line; empty if none."""
    parameters, epochs = recipe.architecture.parameters, recipe.epochs
    over = []
    if parameters >= PARAMETER_LIMIT:
        over.append(f"{parameters:,} parameters, where the assignment allows fewer than {PARAMETER_LIMIT:,}")
    if epochs >= EPOCH_LIMIT:
        over.append(f"{epochs} epochs, where the assignment allows fewer than {EPOCH_LIMIT}")
    return f"warning: {recipe.name} has {'; and '.join(over)}" if over else ""


def target_values(run: Run) -> dict[str, Any]:
    """Return accuracy, parameters and epochs of a finished run against target and limits, for JSON."""
    from under20k.runs.bench.statistics import reaches_target

    accuracy = run.metrics()[-1].validation_accuracy
    parameters, epochs = run.recipe.architecture.parameters, run.recipe.epochs
    return {
        "validation_accuracy": {
            "value": accuracy,
            "at_least": TARGET_ACCURACY,
            "met": reaches_target(accuracy),
        },
        "parameters": {
            "value": parameters,
            "fewer_than": PARAMETER_LIMIT,
            "met": parameters < PARAMETER_LIMIT,
        },
        "epochs": {"value": epochs, "fewer_than": EPOCH_LIMIT, "met": epochs < EPOCH_LIMIT},
    }


def requirements(run: Run) -> list[Requirement]:
    """Return ``target_values`` in words."""
    values = target_values(run)
    accuracy = values["validation_accuracy"]
    found = [
        Requirement(
            percent(accuracy["value"]),
            "validation accuracy, last epoch",
            accuracy["met"],
            f"{'reached' if accuracy['met'] else 'missed'} {percent(TARGET_ACCURACY)}",
        )
    ]
    for name in ("parameters", "epochs"):
        of = values[name]
        words = f"{'' if of['met'] else 'not '}below {of['fewer_than']:,}"
        found.append(Requirement(f"{of['value']:,}", name, of["met"], words))
    return found


def closing_lines(run: Run, time_s: float) -> list[str]:
    """Return what ``under20k train`` says of a finished run of so many seconds; the next command follows."""
    return [
        *(each.line() for each in requirements(run)),
        f"run: {shown(str(run.path))}, {time_s:,.1f} s",
        "One seed proves nothing. For the mean over ten, run:",
    ]


def continued(command: str, width: int | None) -> list[str]:
    """Return a command in indented lines of at most ``width`` columns, which a shell takes as one command.

    A word that is longer than a line stays whole, so that it can be copied; print the lines as they are.
    """
    lines = [INDENT]
    for word in map(shlex.quote, shlex.split(command)):
        line = f"{lines[-1]} {word}" if lines[-1].strip() else INDENT + word
        if width is None or columns(line + CONTINUED) <= width or not lines[-1].strip():
            lines[-1] = line
        else:
            lines.append(2 * INDENT + word)
    return [shown(line) + CONTINUED * (number < len(lines)) for number, line in enumerate(lines, 1)]


def bench_command(arguments: argparse.Namespace, seeds: str = "0-9") -> str:
    """Return the command that benches what ``under20k train`` trains, with the settings typed for it."""
    words = ["under20k", "bench", arguments.recipe, "--seeds", seeds]
    if arguments.trust:
        words.append("--trust")
    for argument in arguments.arg:
        words += ["--arg", argument]
    if arguments.like:
        words += ["--like", arguments.like]
    for name in ("architecture", "teacher", *settings()):
        if hasattr(arguments, name):
            value, option = getattr(arguments, name), f"--{name.replace('_', '-')}"
            if isinstance(value, bool):
                words.append(option if value else f"--no-{option[2:]}")
            else:
                words += [option, str(value)]
    defaults = {"engine": "auto", "device": "auto", "precision": "auto", "runs_dir": Path("runs")}
    for name, default in {**defaults, "data_dir": None}.items():
        if (value := getattr(arguments, name)) != default:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)
