"""List the recipes, or show one: its layers with parameters, MACs and receptive field, and its settings.

The column Pretrained is the accuracy of the weights with which 'under20k predict --model NAME' reads; the
list ends with those of records. stderr names the engine, instruction set and precision that would train
them on this machine.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from under20k.cli.options import add_quiet, note, recipe_argument
from under20k.recipe.named import RECIPES
from under20k.recipe.recipe import Recipe

if TYPE_CHECKING:
    from under20k.deploy.card import Card


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``under20k recipes``."""
    parser.add_argument("recipe", nargs="?", metavar="RECIPE", help="a recipe's name, or a recipe.json")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    add_quiet(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit code. Raises UserError."""
    from under20k.deploy.card import cards
    from under20k.interactive.progress import choice_text
    from under20k.interactive.terminal import say, terminal_width
    from under20k.report.tables import architecture_table, recipes_overview

    pretrained = cards()
    listed = {**RECIPES, **{name: card.recipe for name, card in pretrained.items() if name not in RECIPES}}
    if arguments.recipe is None:
        if arguments.json:
            plain = {name: as_dict(recipe) for name, recipe in listed.items()}
            for name, values in plain.items():
                values["pretrained"] = figures(pretrained[name]) if name in pretrained else None
            print(json.dumps(plain, indent=2))
        else:
            recipes = [replace(recipe, name=name) for name, recipe in listed.items()]
            accuracies = {name: card.validation_accuracy for name, card in pretrained.items()}
            print(recipes_overview(recipes, accuracies).text(terminal_width()))
            note(arguments, f"trained here by the {choice_text()}")
        return 0
    name = arguments.recipe if arguments.recipe in listed else ""
    recipe = listed[name] if name else recipe_argument(arguments.recipe)
    if arguments.json:
        print(json.dumps(as_dict(recipe), indent=2))
        return 0
    print(architecture_table(recipe, name).text(terminal_width()))
    if card := pretrained.get(name):
        say(card_text(card))
    say("\nSettings, each an option of 'under20k train'")
    for name, value in recipe.flat().items():
        option = name.replace("_", "-")
        if name == "architecture" and recipe.own:
            continue
        if name == "teacher" and not _is_named(recipe):
            value = f'{value}.json, a file with the value of "teacher" in --json'
        if isinstance(value, bool):
            say(f"  --{option}" if value else f"  --no-{option}")
        else:
            say(f"  --{option:<18} {value}", indent=" " * 23)
    return 0


def _is_named(recipe: Recipe) -> bool:
    """Whether the option for the recipe's teacher can be its name."""
    return recipe.distillation is not None and recipe.distillation.teacher in RECIPES.values()


def card_text(card: Card) -> str:
    """Return a line about pretrained weights."""
    from under20k.formatting import percent

    return (
        f"Pretrained, seed {card.seed}: validation {percent(card.validation_accuracy)} (the recipe "
        f"{card.validation} over {card.validation.n} seeds), test {percent(card.test_accuracy)}; "
        f"{card.record or card.bench}"
    )


def figures(card: Card) -> dict[str, object]:
    """Return what a card says of a pretrained model, beside its recipe, as plain values."""
    values = card.to_dict()
    return {name: value for name, value in values.items() if name not in ("format", "name", "recipe")}


def as_dict(recipe: Recipe) -> dict[str, object]:
    """Return a recipe and its architecture's counts as plain values."""
    return {**recipe.to_dict(), **recipe.derived()}
