"""Options that several verbs share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from under20k.errors import UserError
from under20k.files import read_text
from under20k.recipe.named import named
from under20k.recipe.recipe import Recipe, settings

if TYPE_CHECKING:
    from under20k.engine.base import Compute
    from under20k.runs.places import Places

MAX_JOBS = 1024


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Add ``--data-dir``: a Path, or None for the environment variable or the platform's cache folder."""
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="FOLDER",
        help="folder that holds MNIST (IDX files, plain, .gz or zipped, Keras' mnist.npz; of any name, in any"
        " folder of it) or is to hold it; files there are never changed, missing ones are added (default:"
        " $UNDER20K_DATA_DIR,"
        " else the platform's cache folder)",
    )


def add_runs_dir(parser: argparse.ArgumentParser) -> None:
    """Add ``--runs-dir``."""
    parser.add_argument(
        "--runs-dir",
        type=Path,
        metavar="FOLDER",
        default=Path("runs"),
        help="where the run folders lie (default: %(default)s)",
    )


def add_engine(parser: argparse.ArgumentParser, threads: str, *, trains: bool = True) -> None:
    """Add ``--engine``, ``--device`` and ``--threads``, whose default ``threads`` says in words.

    What ``trains`` also gets ``--precision``.
    """
    from under20k.engine.base import ENGINES, PRECISIONS  # with NumPy, which not every verb needs

    parser.add_argument("--engine", choices=ENGINES, default="auto", help="training backend (default: auto)")
    parser.add_argument(
        "--device",
        default="auto",
        help="cpu, cuda, cuda:1, mps (default: auto, a GPU where PyTorch sees one)",
    )
    if trains:
        parser.add_argument(
            "--precision",
            choices=PRECISIONS,
            default="auto",
            help="of the products in training: bf16 is for the native engine on a CPU with AVX512_BF16; "
            "sums, BatchNorm, the optimiser and evaluation are always fp32 (default: auto, which is fp32 "
            "until bf16 is timed on such a CPU)",
        )
    parser.add_argument("--threads", type=int, metavar="N", help=f"CPU threads (default: {threads})")


def compute_argument(arguments: argparse.Namespace) -> Compute:
    """Return what the options of ``add_engine`` say. Raises UserError."""
    from under20k.engine.base import Compute

    precision = getattr(arguments, "precision", "auto")
    return Compute(arguments.engine, arguments.device, precision, arguments.threads)


def places_argument(arguments: argparse.Namespace, benches: Path = Path("benches")) -> Places:
    """Return the folders that the options of ``add_runs_dir`` and ``add_data_dir`` name."""
    from under20k.runs.places import Places

    return Places(getattr(arguments, "runs_dir", "runs"), benches, arguments.data_dir)


def add_jobs(parser: argparse._ActionsContainer) -> None:
    """Add ``--jobs``, which ``jobs_argument`` checks."""
    parser.add_argument("--jobs", type=int, metavar="N", help="trainings at a time (default: as many as fit)")


def jobs_argument(arguments: argparse.Namespace) -> int | None:
    """Return ``--jobs``. Raises UserError for a number that makes no sense."""
    jobs: int | None = arguments.jobs
    if jobs is not None and not 1 <= jobs <= MAX_JOBS:
        raise UserError(f"--jobs is {jobs}; give 1 to {MAX_JOBS}")
    return jobs


def add_recipe_settings(parser: argparse.ArgumentParser) -> None:
    """Add an option for every setting of a recipe; what was given is read by ``recipe_changes``."""
    group = parser.add_argument_group("recipe", "settings that replace the recipe's own")
    group.add_argument(
        "--architecture",
        default=argparse.SUPPRESS,
        metavar="TEXT",
        help="such as '8,12p,14,16p,20v,24v|3v': see docs/architectures.md",
    )
    group.add_argument(
        "--teacher",
        default=argparse.SUPPRESS,
        metavar="RECIPE",
        help="the recipe, by name or recipe.json, of networks that are trained first and then learnt from, "
        "beside the labels",
    )
    for name, setting in settings().items():
        option = f"--{name.replace('_', '-')}"
        # What argparse would read as formatting.
        help = setting.help.replace("%", "%%")
        if setting.kind is bool:
            group.add_argument(
                option, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=help
            )
        elif setting.choices:
            group.add_argument(option, choices=setting.choices, default=argparse.SUPPRESS, help=help)
        else:
            metavar = {int: "N", float: "X"}[setting.kind]
            group.add_argument(
                option, type=setting.kind, metavar=metavar, default=argparse.SUPPRESS, help=help
            )


def recipe_changes(arguments: argparse.Namespace) -> dict[str, Any]:
    """The recipe settings among the options given. Raises UserError where there is no such teacher."""
    changes = {
        name: getattr(arguments, name)
        for name in ("architecture", "teacher", *settings())
        if hasattr(arguments, name)
    }
    if "teacher" in changes:
        changes["teacher"] = recipe_argument(changes["teacher"])
    return changes


def recipe_argument(text: str) -> Recipe:
    """The recipe of that name, or in the JSON file of that name. Raises UserError for neither."""
    if not text.lower().endswith(".json"):
        return named(text)
    try:
        return Recipe.from_json(read_text(Path(text)))
    except ValueError as error:
        raise UserError(f"{text} does not hold a recipe: {error}") from error
