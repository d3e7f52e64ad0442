"""Check a recipe, a run or any PyTorch model against the requirements of the assignment.

A model is file.py:Name, package.module:Name or file.ipynb:Name: a class, a factory or an instance. A folder
is one submission, or contains one per subfolder and file; the first line says which. A submission passes if
one of its models does. Without --trust the code of a model is only parsed, and the statements that would run
are listed; with it, the code runs in a process of its own, with limits on time and memory.

Exit code 0 if every requirement is met, 1 if one is missed or a model is broken, 2 for bad usage or input.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path

from under20k.checking.profiles import NAMES, Profile, load_profile
from under20k.checking.results import Result
from under20k.checking.sandbox.sandbox import TIME_LIMIT_S, Sandbox, judge_all, judge_apart
from under20k.checking.source.submissions import Model, find, holds_code
from under20k.checking.source.target import argument, parse, parse_all
from under20k.cli import check_folder
from under20k.cli.check_printing import heading, show_code, show_folder, show_models
from under20k.cli.options import add_quiet, recipe_argument
from under20k.cli.own_weights import add_normalisation_options
from under20k.engine.machine import cores
from under20k.errors import UserError
from under20k.interactive.terminal import say
from under20k.recipe.recipe import Recipe
from under20k.report.words import plural

MAX_TIME_LIMIT_S = 1_000_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``under20k check``."""
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="a recipe's name, a recipe.json, a run folder, file.py:Name, package.module:Name,"
        " file.ipynb:Name, or a folder of submissions",
    )
    parser.add_argument("--json", action="store_true", help="print as JSON")
    add_quiet(parser)
    parser.add_argument("--layers", action="store_true", help="also print the layers, after the verdicts")
    parser.add_argument(
        "--profile",
        default="brief",
        metavar="NAME|FILE.toml",
        help=f"limits and levels of the rules: {', '.join(NAMES)}, or a file (default: %(default)s)",
    )
    parser.add_argument(
        "--max-parameters",
        type=int,
        metavar="N",
        help="allow at most N parameters (default: the profile's limit; by the assignment 19,999)",
    )
    parser.add_argument(
        "--min-receptive-field",
        type=int,
        metavar="N",
        help="require a receptive field of at least N×N pixels (default: 28×28 is advised)",
    )
    parser.add_argument(
        "--max-epochs",
        type=int,
        metavar="N",
        help="allow recipes and runs at most N epochs (default: the profile's limit; by the assignment 19)",
    )
    for option, text in (
        ("junit", "JUnit XML"),
        ("markdown", "Markdown"),
        ("csv", "CSV"),
        ("badge", "an SVG badge"),
    ):
        parser.add_argument(f"--{option}", type=Path, metavar="FILE", help=f"also write {text} to FILE")
    _configure_models(parser)
    folder = parser.add_argument_group("folders").add_mutually_exclusive_group()
    folder.add_argument(
        "--class",
        dest="is_project",
        action="store_false",
        default=None,
        help="each subfolder and each file directly in the folder is a submission (default: inferred)",
    )
    folder.add_argument(
        "--project", dest="is_project", action="store_true", default=None, help="the folder is one submission"
    )


def _configure_models(parser: argparse.ArgumentParser) -> None:
    model = parser.add_argument_group("models", "for anything except recipes and runs")
    model.add_argument("--trust", action="store_true", help="run the model's code")
    model.add_argument(
        "--arg",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="pass this argument to the constructor; repeatable",
    )
    model.add_argument(
        "--all", action="store_true", help="judge every model class of a file; all have to pass"
    )
    model.add_argument(
        "--time-limit",
        type=float,
        default=TIME_LIMIT_S,
        metavar="S",
        help="time limit per model, in seconds (default: %(default)g)",
    )
    model.add_argument(
        "--jobs", type=int, metavar="N", help="models to judge in parallel (default: one per CPU)"
    )
    model.add_argument(
        "--accuracy",
        type=Path,
        metavar="WEIGHTS",
        help="evaluate these weights (safetensors, .npz or PyTorch's format, never unpickled) on the"
        " validation images",
    )
    model.add_argument("--test", action="store_true", help="with --accuracy: use the test images instead")
    add_normalisation_options(model, "with --accuracy: ", "inferred")


def run(arguments: argparse.Namespace) -> int:
    """Run ``under20k check``; return the exit code. Raises UserError."""
    _check_limits(arguments)
    profile = load_profile(arguments.profile).with_limits(
        parameters=_more(arguments.max_parameters),
        receptive_field=arguments.min_receptive_field,
        epochs=_more(arguments.max_epochs),
    )
    if arguments.min_receptive_field is not None:  # asked for explicitly, so no longer only advised
        profile = replace(profile, levels={**profile.levels, "receptive_field": "required"})
    if not _is_model(arguments.target):
        return _check_recipe(arguments, profile)
    if Path(arguments.target).is_dir():
        return _check_folder(arguments, profile)
    return _check_file(arguments, profile)


def _check_recipe(arguments: argparse.Namespace, profile: Profile) -> int:
    _normalisation(arguments)
    if arguments.arg or arguments.accuracy or arguments.test or arguments.all:
        raise UserError("--arg, --all and --accuracy apply to a model's file, not to a recipe or a run")
    from under20k.checking.check import judged, recipe_or_run

    text = arguments.target
    target = recipe_argument(text) if text.endswith(".json") else recipe_or_run(text)
    if isinstance(target, Recipe) or target.recipe.own is None:
        judgement = judged(target, profile)
    elif not arguments.trust:
        raise UserError(f"{text} is judged by its model's code, which runs; add --trust if you trust it")
    else:
        from under20k.checking.training.kept import judge_kept

        judgement = judge_kept(target, profile)
    return show_models(arguments, [Result(text, judgement, profile.limits)])


def _check_file(arguments: argparse.Namespace, profile: Profile) -> int:
    if arguments.all and arguments.accuracy:
        raise UserError("--accuracy evaluates one model; leave out --all")
    sandbox = _sandbox(arguments, profile)
    if not arguments.all:
        target = parse(arguments.target)
        if not arguments.trust:
            return show_code([Model(target.text, target.path, target)])
        judgement = judge_apart(target, sandbox)
        if judgement.weights_error is not None:
            raise UserError(f"--accuracy {arguments.accuracy}: {judgement.weights_error}")
        return show_models(arguments, [Result(target.text, judgement, profile.limits)])
    models = [
        Model(f"{target.path}:{target.name}", target.path, target) for target in parse_all(arguments.target)
    ]
    if not arguments.trust:
        return show_code(models)
    sandbox = replace(sandbox, only_where_taken=True)
    judged = judge_all([model.target for model in models if model.target], sandbox, _jobs(arguments))
    results = [
        Result(model.text, judgement, profile.limits)
        for model, (_, judgement) in zip(models, judged, strict=True)
    ]
    return show_models(arguments, results)


def _normalisation(arguments: argparse.Namespace) -> tuple[float, float] | None:
    mean, std = arguments.mean, arguments.std
    if mean is None and std is None:
        return None
    if arguments.accuracy is None or mean is None or std is None:
        raise UserError("--mean and --std are only valid together, and with --accuracy")
    if not math.isfinite(mean) or not math.isfinite(std) or std == 0:
        raise UserError(f"--mean {mean:g} --std {std:g}; give finite numbers, and --std other than 0")
    return mean, std


def _check_folder(arguments: argparse.Namespace, profile: Profile) -> int:
    if arguments.accuracy or arguments.test:
        raise UserError("--accuracy evaluates one model; name it instead of a folder")
    sandbox, jobs = replace(_sandbox(arguments, profile), only_where_taken=True), _jobs(arguments)
    found = find(Path(arguments.target), arguments.is_project, every=arguments.all)
    models = [model for submission in found.submissions for model in submission.models]
    if not models:
        count = plural(len(found.without_model), "Python file or notebook")
        raise UserError(f"{found.folder} contains no model: {count} without a subclass of nn.Module")
    if not arguments.trust:
        say(heading(found))
        return show_code(models)
    results = check_folder.judge(found, sandbox, jobs, every=arguments.all, quiet=arguments.quiet)
    return show_folder(arguments, found, results)


def _more(most: int | None) -> int | None:
    """Return the first value that is not allowed, given the largest that is."""
    return None if most is None else most + 1


def _check_limits(arguments: argparse.Namespace) -> None:
    for option in ("max_parameters", "min_receptive_field", "max_epochs"):
        value = getattr(arguments, option)
        if value is not None and value < 1:
            raise UserError(f"--{option.replace('_', '-')} is {value}; give 1 or more")


def _is_model(target: str) -> bool:
    if ":" in target or target.endswith((".py", ".ipynb")):
        return True
    from under20k.runs.run import FILES

    folder = Path(target)
    if not folder.is_dir() or (folder / "recipe.json").exists():
        return False
    # A damaged run is still a run, and the error names the missing file; a class may keep a report.md too.
    return not any((folder / name).exists() for name in FILES) or holds_code(folder)


def _jobs(arguments: argparse.Namespace) -> int:
    jobs: int = cores().amount if arguments.jobs is None else arguments.jobs
    if jobs < 1:
        raise UserError(f"--jobs is {jobs}; give 1 or more")
    return jobs


def _sandbox(arguments: argparse.Namespace, profile: Profile) -> Sandbox:
    given = dict(argument(text) for text in arguments.arg)
    if weights := arguments.accuracy:
        if not weights.is_file():
            raise UserError(f"--accuracy: {weights} is not a file")
        from under20k.data import load, load_test

        load()  # the model's process has no network
        if arguments.test:
            load_test()
    elif arguments.test:
        raise UserError("--test selects the images for --accuracy; name the weights with --accuracy")
    limit_s: float = arguments.time_limit
    if not 0 < limit_s <= MAX_TIME_LIMIT_S:
        raise UserError(f"--time-limit is {limit_s:g}; give seconds above 0, at most {MAX_TIME_LIMIT_S:,}")
    return Sandbox(
        profile,
        limit_s,
        normalisation=_normalisation(arguments),
        arguments=given,
        weights=weights,
        split="test" if arguments.test else "validation",
    )
