"""The requirement checks on our own recipes and runs, as a function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from under20k.checking.findings import Finding
from under20k.checking.profiles import Profile, load_profile
from under20k.errors import UserError, nearest
from under20k.recipe.named import RECIPES
from under20k.recipe.recipe import Recipe
from under20k.runs.run import Run


def check(target: Recipe | Run | Path | str, profile: str = "brief") -> list[Finding]:
    """Return the findings of the requirement checks on a recipe, the name of one, a run or its folder.

    ``profile`` is a profile's name or TOML file. A finished run is checked with its weights. Raises UserError
    where there is no such recipe, run or profile.
    """
    return [Finding(**finding) for finding in judged(target, load_profile(profile))["findings"]]


def judged(target: Recipe | Run | Path | str, profile: Profile) -> dict[str, Any]:
    """Return what ``judge_model`` answers for a recipe or a run. Raises UserError as ``check`` does."""
    import torch

    from under20k.checking.rules.judge import judge_model
    from under20k.engine.module import build

    if isinstance(target, str | Path):
        target = recipe_or_run(target)
    recipe = target if isinstance(target, Recipe) else target.recipe
    network = build(recipe.architecture)
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
