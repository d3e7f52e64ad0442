"""A recipe's result in words: the last epoch first, and no claim that the runs do not bear out."""

from __future__ import annotations

from dataclasses import replace

from under20k.formatting import percent
from under20k.recipe.architecture import Architecture
from under20k.recipe.named import RECIPES
from under20k.recipe.recipe import Recipe
from under20k.report.reproduction.assignment import SPECIFIED
from under20k.report.reproduction.comparison import of_seeds
from under20k.report.reproduction.results import Results
from under20k.report.words import TARGET, enumeration, plural
from under20k.runs.bench.statistics import reaches_target


def claim(result: Results) -> str:
    """One recipe's result, the last epoch first, and how it stands to the target."""
    recipe, summary = result.recipe, result.summary
    text = (
        f"{result.name}: {recipe.architecture.parameters:,} parameters, {plural(result.epochs, 'epoch')}, "
        f"{result.seeds}. Validation accuracy at the last epoch is {summary.last}"
    )
    text += single_claim(result) if result.single else seeds_claim(result)
    if specified := SPECIFIED.get(result.name):
        stated = f"{percent(specified.last_validation)} in epoch {len(specified.epochs)}"
        text += f" The specification reports {stated}."
    elif kin := specified_kin(recipe):
        text += f" The architecture of {kin}, which the specification trains otherwise."
    if (named := RECIPES.get(result.name)) and (changes := recipe.differences(named)):
        changed = enumeration([f"{name}={value}" for name, value in changes.items()])
        text += f" This is not the recipe {result.name}: it was trained with {changed}."
    return text


def specified_kin(recipe: Recipe) -> str | None:
    """The name of the specification's recipe for the same architecture, dropout aside; None for no such."""
    plain = without_dropout(recipe.architecture)
    names = (name for name in SPECIFIED if without_dropout(RECIPES[name].architecture) == plain)
    return next(names, None)


def without_dropout(architecture: Architecture) -> Architecture:
    """The same layers but for dropout, which has no parameters."""
    return replace(architecture, blocks=tuple(replace(block, dropout=0.0) for block in architecture.blocks))


def single_claim(result: Results) -> str:
    """The end of a sentence on one seed's last epoch, and the best epoch if that was another."""
    last, best = result.summary.last.mean, result.summary.best.mean
    (hit,) = result.first_hits
    if reaches_target(last):
        return f", at or above the target of {TARGET}, first reached in epoch {hit}."
    text = f", below the target of {TARGET}, which "
    text += "no epoch reached." if hit is None else f"epoch {hit} had reached."
    if best > last:
        text += f" The best epoch, which is not the result, was {result.best_epoch} with {percent(best)}."
    return text


def seeds_claim(result: Results) -> str:
    """The end of a sentence on several seeds, and the seeds at the target."""
    summary = result.summary
    return (
        f" (mean ± sd; {summary.last.range}). At or above {TARGET}: "
        f"{of_seeds(summary.reached_at_last, result)} at the last epoch, {summary.reached_at_any} at any "
        "epoch. The best epochs, selected by the accuracy they report and so not the result: "
        f"{summary.best}."
    )
