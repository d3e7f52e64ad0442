"""A recipe's result in sentences: the last epoch first, and no claim that the runs do not support."""

from __future__ import annotations

from dataclasses import replace

from under20k.formatting import percent
from under20k.recipe.architecture import Architecture
from under20k.recipe.named import RECIPES
from under20k.recipe.own_model import OwnModel
from under20k.recipe.recipe import Recipe
from under20k.report.bench import result_text
from under20k.report.reproduction.assignment import SPECIFIED
from under20k.report.run import best_epoch_text
from under20k.report.words import TARGET, enumeration, of_seeds
from under20k.runs.bench.bench import Bench
from under20k.runs.bench.statistics import reaches_target


def recipe_claim(bench: Bench) -> str:
    """Return one recipe's result, the last epoch first, and how it compares to target and assignment."""
    recipe = bench.recipe
    text = f"{recipe.name}: {result_text(bench)}"
    text += single_claim(bench) if bench.single else seeds_claim(bench)
    if recipe.own:
        return f"{text} {own_claim(recipe.own)}"
    if specified := SPECIFIED.get(recipe.name):
        stated = f"{percent(specified.last_validation)} in epoch {len(specified.epochs)}"
        text += f" The assignment reports {stated}."
    elif kin := assigned_kin(recipe):
        text += f" The architecture is that of {kin}; the assignment trains it otherwise."
    if (named := RECIPES.get(recipe.name)) and (changes := recipe.differences(named)):
        changed = enumeration([f"{name}={value}" for name, value in changes.items()])
        text += f" This is not the recipe {recipe.name}: it was trained with {changed}."
    return text


def own_claim(model: OwnModel) -> str:
    """Return which model of the user's it is, and who computes it."""
    origin = f"{model} of {model.target}" if model.target else f"{model}, an object"
    computed = "" if model.graph else f", computed by PyTorch, since {model.why}"
    return f"The model is {origin}{computed}."


def assigned_kin(recipe: Recipe) -> str | None:
    """Return the name of the assignment's recipe for the same architecture, dropout aside, if any."""
    plain = without_dropout(recipe.in_notation)
    names = (name for name in SPECIFIED if without_dropout(RECIPES[name].in_notation) == plain)
    return next(names, None)


def without_dropout(architecture: Architecture) -> Architecture:
    """Return the same layers without dropout, which has no parameters."""
    return replace(architecture, blocks=tuple(replace(block, dropout=0.0) for block in architecture.blocks))


def single_claim(bench: Bench) -> str:
    """Return the end of a sentence on one seed's last epoch, and the best epoch if that was another."""
    (seed,), (hit,) = bench.seeds, bench.first_hits
    if reaches_target(seed.validation_accuracy):
        return f", at or above the target of {TARGET}, first reached in epoch {hit}."
    text = f", below the target of {TARGET}, which "
    text += "no epoch reached." if hit is None else f"epoch {hit} had reached."
    return text + best_epoch_text(seed.epochs)


def seeds_claim(bench: Bench) -> str:
    """Return the end of a sentence on several seeds, and how many reach the target."""
    summary = bench.summary
    return (
        f" (mean ± sd; {summary.last.range}). At or above {TARGET}: "
        f"{of_seeds(summary.reached_at_last, summary.n)} at the last epoch, {summary.reached_at_any} at any "
        "epoch. The best epochs, selected by the accuracy they report and so not the result: "
        f"{summary.best}."
    )
