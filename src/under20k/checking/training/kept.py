"""The model of a run, from the source that the run folder keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from under20k.checking.judgement import Judgement
from under20k.checking.profiles import Profile, load_profile
from under20k.checking.sandbox.sandbox import Sandbox, judge_apart
from under20k.checking.source.target import Target, parse
from under20k.checking.training.kept_source import KeptSource
from under20k.checking.training.load import TIME_LIMIT_S, code_sha256, load_model
from under20k.errors import UserError
from under20k.recipe.own_model import OwnModel
from under20k.recipe.recipe import Recipe
from under20k.runs import own_start
from under20k.runs.own_start import OwnTraining
from under20k.runs.run import Run


def source_of(run: Run, *, trust: bool) -> KeptSource | None:
    """Return what makes the module of a run that only PyTorch can compute; None for all other runs.

    Raises UserError if the source is missing or was changed, or its code may not run.
    """
    model = run.recipe.own
    if model is None or model.graph is not None:
        return None
    text = _text(run.path, model)
    if not trust:
        raise UserError(f"{model.why}, so its own code computes it; add --trust if you trust {text}")
    target, files, path = _kept(run.path, model)
    arguments = dict(model.arguments)
    return KeptSource(
        path, files, target.pieces, target.name, arguments, target.package, model.layout, whole=False
    )


def training_again(run: Path, recipe: Recipe, seeds: Sequence[int]) -> OwnTraining:
    """Return the training of a run's model with other seeds, by the code that its folder keeps.

    Args:
        run: the folder.
        recipe: of a user's own model.
        seeds: that will be trained.

    Raises:
        UserError: there is no source, or it makes another model.
    """
    model = recipe.own
    assert model is not None
    loaded = load_model(_text(run, model), seeds, dict(model.arguments))
    made = replace(loaded.model, target=model.target)
    if made != model:
        raise UserError(f"{run / own_start.FOLDER} makes another model now: {model.difference(made)}")
    return OwnTraining(recipe, loaded.start)


def judge_kept(run: Run, profile: Profile | None = None) -> Judgement:
    """Judge a user's own model by the source that a run keeps, which runs, and by the run's epochs.

    The assignment's profile is the default. Raises UserError if the source is missing or was changed, or the
    model cannot be judged.
    """
    from under20k.checking.rules.judge import epochs_finding

    model, profile = run.recipe.own, profile or load_profile("brief")
    assert model is not None
    sandbox = Sandbox(profile, TIME_LIMIT_S, arguments=dict(model.arguments))
    judgement = judge_apart(_kept(run.path, model)[0], sandbox)
    if judgement.reason:
        raise UserError(f"{model}: {judgement.reason}")
    epochs = epochs_finding(run.recipe.epochs, profile)
    findings = (*judgement.findings, *([epochs] if epochs else []))
    return replace(judgement, findings=findings, claims=None)  # the run is what they would be about


def _kept(run: Path, model: OwnModel) -> tuple[Target, Mapping[str, bytes], str]:
    """Return the source that a run folder keeps, its files, and its path among them.

    Raises UserError unless it is the code that was trained.
    """
    target, folder = parse(_text(run, model)), run / own_start.FOLDER
    start = own_start.read(run)
    if start is None:
        raise UserError(f"{folder} lacks {own_start.INITIAL}; train again with --overwrite")
    path = target.path.absolute().relative_to(folder.absolute()).as_posix()
    if code_sha256(target, start.files, path) != model.sha256:
        raise UserError(f"{folder} no longer holds the code that was trained; put it back, or train again")
    return target, start.files, path


def _text(run: Path, model: OwnModel) -> str:
    """Return the target of the source that a run folder keeps. Raises UserError if it keeps none."""
    folder, (place, _, name) = run / own_start.FOLDER, model.target.rpartition(":")
    place, name = (model.target, model.name) if not place or not name.isidentifier() else (place, name)
    file = Path(place).name if place.endswith((".py", ".ipynb")) else f"{place.rpartition('.')[2]}.py"
    found = sorted(folder.rglob(file), key=lambda path: len(path.parts))
    if not model.target or not found:
        raise UserError(f"{run} keeps no source of {model.name} that could make it again")
    return f"{found[0]}:{name}"
