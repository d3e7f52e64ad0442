"""List the recipes, or show one: its layers with parameters, MACs and receptive field, and its settings.

stderr names the engine, instruction set and precision that would train them on this machine.
"""

from __future__ import annotations

import argparse
import json

from under20k.cli.options import add_quiet, note, recipe_argument
from under20k.recipe.named import RECIPES
from under20k.recipe.recipe import Recipe


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``under20k recipes``."""
    parser.add_argument("recipe", nargs="?", metavar="RECIPE", help="a recipe's name, or a recipe.json")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    add_quiet(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit code. Raises UserError."""
    from under20k.interactive.progress import choice_text
    from under20k.interactive.terminal import say, terminal_width
    from under20k.report.tables import architecture_table, recipes_overview

    if arguments.recipe is None:
        if arguments.json:
            print(json.dumps({name: as_dict(recipe) for name, recipe in RECIPES.items()}, indent=2))
        else:
            print(recipes_overview(RECIPES.values()).text(terminal_width()))
            note(arguments, f"trained here by the {choice_text()}")
        return 0
    recipe = recipe_argument(arguments.recipe)
    if arguments.json:
        print(json.dumps(as_dict(recipe), indent=2))
        return 0
    print(architecture_table(recipe).text(terminal_width()))
    say("\nSettings, each an option of 'under20k train'")
    for name, value in recipe.flat().items():
        option = name.replace("_", "-")
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


def as_dict(recipe: Recipe) -> dict[str, object]:
    """Return a recipe and its architecture's counts as plain values."""
    return {**recipe.to_dict(), **recipe.derived()}
