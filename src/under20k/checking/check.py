"""The requirement checks on recipes and runs, as a function."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from under20k.checking.findings import Findings
from under20k.checking.profiles import Profile, load_profile
from under20k.errors import UserError, nearest
from under20k.recipe.fields import instance
from under20k.recipe.named import RECIPES
from under20k.recipe.recipe import Recipe
from under20k.runs.run import Run

if TYPE_CHECKING:
    from under20k.checking.judgement import Judgement


def check(target: Recipe | Run | Path | str, profile: str = "brief") -> Findings:
    """Check a recipe or a run against the requirements and return the findings.

    ``target`` may be a recipe's name or a run's folder; a finished run is checked with its weights.
    ``profile`` is a name or a TOML file. Raises UserError if there is no such recipe, run or profile.
    """
    instance("target", target, Recipe | Run | Path | str, "a recipe, a run, or the name or folder of one")
    instance("profile", profile, str, "the name of a profile or of a TOML file")
    return Findings(judged(target, load_profile(profile)).findings)


def judged(target: Recipe | Run | Path | str, profile: Profile) -> Judgement:
    """Judge a recipe or a run. Raises UserError as ``check`` does."""
    import torch

    from under20k.checking.rules.judge import judge_model
    from under20k.engine.module import build

    if isinstance(target, str | Path):
        target = recipe_or_run(target)
    recipe = target if isinstance(target, Recipe) else target.recipe
    network = build(recipe.in_notation)
    if isinstance(target, Run) and target.finished:
        weights = {name: torch.from_numpy(value) for name, value in target.weights().items()}
        network.load_state_dict(weights, strict=False)  # BatchNorm counts its batches; the run does not
    return judge_model(network, profile, epochs=recipe.epochs)


def recipe_or_run(target: str | Path) -> Recipe | Run:
    """Return the recipe called ``target``, or the run in that folder. Raises UserError for neither."""
    if str(target) in RECIPES:
        return RECIPES[str(target)]
    if Path(target).is_dir():
        return Run.open(Path(target))
    raise UserError(f"{str(target)!r} is neither a recipe nor a run folder; {nearest(str(target), RECIPES)}")
