"""The requirement checks on recipes, runs and modules, as a function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from under20k.checking.findings import Findings
from under20k.checking.profiles import Profile, load_profile
from under20k.errors import InvalidValue, UserError, nearest
from under20k.recipe.fields import instance
from under20k.recipe.named import RECIPES
from under20k.recipe.recipe import Recipe
from under20k.runs.run import Run

if TYPE_CHECKING:
    from torch import nn

    from under20k.checking.judgement import Judgement


Target: TypeAlias = "Recipe | Run | Path | str | nn.Module | Callable[[], nn.Module]"


def check(target: Target, profile: str = "brief") -> Findings:
    """Check a recipe, a run or a PyTorch model against the requirements and return the findings.

    ``target`` may be a recipe's name or a run's folder; a finished run is checked with its weights. A model
    is a module, which is left as it was, or a class or function that makes one; its code runs in this
    process. ``profile`` is a name or a TOML file. Raises UserError if there is no such recipe, run or
    profile, and for a model that cannot be judged; what the model's own code raises is passed on.
    """
    instance("profile", profile, str, "the name of a profile or of a TOML file")
    limits = load_profile(profile)
    if isinstance(target, Recipe | Run | Path | str):
        return Findings(judged(target, limits).findings)
    return Findings(_judged_module(target, limits).findings)


def _judged_module(target: nn.Module | Callable[[], nn.Module], profile: Profile) -> Judgement:
    from torch import nn

    from under20k.checking.findings import ModelError
    from under20k.checking.rules.judge import judge_model

    expected = "a recipe, a run, the name or folder of one, or a PyTorch module or what makes one"
    if not callable(target):
        raise InvalidValue(f"target: {target!r:.80}; expected {expected}")
    model = target if isinstance(target, nn.Module) else target()
    instance("target", model, nn.Module, expected)
    try:
        return judge_model(model, profile)
    except ModelError as error:
        raise UserError(f"{type(model).__name__}: {error}") from error


def judged(target: Recipe | Run | Path | str, profile: Profile) -> Judgement:
    """Judge a recipe or a run. Raises UserError as ``check`` does."""
    import torch

    from under20k.checking.rules.judge import judge_model
    from under20k.engine.module import build

    if isinstance(target, str | Path):
        target = recipe_or_run(target)
    recipe = target if isinstance(target, Recipe) else target.recipe
    if recipe.own:
        where = target.path if isinstance(target, Run) else "runs/NAME"
        raise UserError(
            f"{recipe.name} is a model of your own, which is judged by its code: check the model itself, or "
            f"its run by under20k check {where} --trust"
        )
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
