"""Options that several verbs share, and their values."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from under20k.errors import UserError, shown
from under20k.files import read_text
from under20k.recipe.architecture import Architecture
from under20k.recipe.named import named
from under20k.recipe.recipe import Recipe, settings

if TYPE_CHECKING:
    from under20k.engine.base import Compute
    from under20k.interactive.progress import Display
    from under20k.interactive.quiet import Quiet
    from under20k.runs.places import Places

MAX_JOBS = 1024
ENGINE = "native (C++, on the CPU) or torch (PyTorch) (default: auto: native where it was built, else torch)"
THREADS = (
    "CPU threads per training (default: the faster of one training on all cores and several in parallel, as "
    "measured; 1 for the torch engine)"
)
"""Help of ``--threads`` where several trainings run."""


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Add ``--data-dir``: a Path, or None for the environment variable or the platform's cache folder."""
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="FOLDER",
        help="folder with MNIST (IDX files, plain, .gz or zipped, or Keras' mnist.npz, of any name, at any "
        "depth); missing files are downloaded into it, existing ones never changed (default: "
        "$UNDER20K_DATA_DIR, else the platform's cache folder)",
    )


def add_runs_dir(parser: argparse.ArgumentParser) -> None:
    """Add ``--runs-dir``."""
    parser.add_argument(
        "--runs-dir",
        type=Path,
        metavar="FOLDER",
        default=Path("runs"),
        help="parent of the run folders (default: %(default)s)",
    )


def add_engine(parser: argparse.ArgumentParser, threads: str, *, trains: bool = True) -> None:
    """Add ``--engine``, ``--device`` and ``--threads``.

    Args:
        parser: gets the options.
        threads: the help text of ``--threads``.
        trains: add ``--precision`` too, which only training uses.
    """
    from under20k.engine.base import ENGINES, PRECISIONS  # with NumPy, which not every verb needs

    group = parser.add_argument_group("engine")
    group.add_argument("--engine", choices=ENGINES, default="auto", help=ENGINE)
    group.add_argument(
        "--device",
        default="auto",
        help="cpu, cuda, cuda:1 or mps (default: auto: the CPU for the native engine, else a GPU if there is "
        "one)",
    )
    if trains:
        group.add_argument(
            "--precision",
            choices=PRECISIONS,
            default="auto",
            help="precision of the multiplications in training; bf16 needs the native engine and a CPU with "
            "AVX512_BF16; sums, BatchNorm, the optimiser and evaluation are always fp32 (default: auto, "
            "which is fp32)",
        )
    group.add_argument("--threads", type=int, metavar="N", help=threads)


def compute_argument(arguments: argparse.Namespace) -> Compute:
    """Return the values of ``add_engine``'s options. Raises UserError for one that is invalid everywhere."""
    from under20k.engine.base import Compute

    precision = getattr(arguments, "precision", "auto")
    return Compute(arguments.engine, arguments.device, precision, arguments.threads)


def places_argument(arguments: argparse.Namespace, benches: Path = Path("benches")) -> Places:
    """Return the folders named by ``--runs-dir`` and ``--data-dir``, where the verb has them."""
    from under20k.runs.places import Places

    return Places(getattr(arguments, "runs_dir", "runs"), benches, arguments.data_dir)


def add_jobs(parser: argparse._ActionsContainer) -> None:
    """Add ``--jobs``, which ``jobs_argument`` checks."""
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="trainings in parallel (default: as many as are measured fastest)",
    )


def jobs_argument(arguments: argparse.Namespace) -> int | None:
    """Return ``--jobs``. Raises UserError if it is out of range."""
    jobs: int | None = arguments.jobs
    if jobs is not None and not 1 <= jobs <= MAX_JOBS:
        raise UserError(f"--jobs is {jobs}; give 1 to {MAX_JOBS}")
    return jobs


def add_quiet(parser: argparse._ActionsContainer, default: bool | str = False) -> None:
    """Add ``--quiet``, which ``display`` and ``note`` heed."""
    parser.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        default=default,
        help="print no progress and no notes on stderr, only warnings and errors",
    )


def display(
    arguments: argparse.Namespace,
    shows: Literal["training", "trainings", "seeds"] = "training",
    *,
    choice: str = "",
) -> Display | Quiet:
    """Return a display of events, which ``--quiet`` silences; the arguments are a ``Display``'s."""
    from under20k.interactive.progress import Display
    from under20k.interactive.quiet import Quiet

    return Quiet() if arguments.quiet else Display(shows, choice=choice)


def note(arguments: argparse.Namespace, text: str) -> None:
    """Print a note on stderr, unless ``--quiet`` is given."""
    if not arguments.quiet:
        from under20k.interactive.terminal import say

        say(shown(text), sys.stderr)


def add_recipe_settings(parser: argparse.ArgumentParser) -> None:
    """Add an option for each setting of a recipe; ``recipe_changes`` reads them."""
    parser.usage = "%(prog)s [-h] [OPTION ...] RECIPE|TARGET"  # there are too many settings to list
    group = parser.add_argument_group("recipe", "override settings of the recipe")
    group.add_argument(
        "--architecture",
        default=argparse.SUPPRESS,
        metavar="TEXT",
        help="blocks and head, such as '8,12p,14,16p,20v,24v|3v'; with groups, strides and sums "
        "'16/2,16g,24k1,24r|l' (docs/architectures.md)",
    )
    group.add_argument(
        "--teacher",
        default=argparse.SUPPRESS,
        metavar="RECIPE",
        help="distil from networks trained with this recipe (a name or a recipe.json)",
    )
    for name, setting in settings().items():
        option = f"--{name.replace('_', '-')}"
        # argparse would read a % as formatting.
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
    """Return the settings given on the command line. Raises UserError for no architecture or teacher."""
    changes = {
        name: getattr(arguments, name)
        for name in ("architecture", "teacher", *settings())
        if hasattr(arguments, name)
    }
    try:
        option = "--architecture"
        if "architecture" in changes:
            changes["architecture"] = Architecture.parse(changes["architecture"])
        option = "--teacher"
        if "teacher" in changes:
            changes["teacher"] = recipe_argument(changes["teacher"])
    except UserError as error:
        raise UserError(f"{option}: {error}") from error
    return changes


def recipe_argument(text: str) -> Recipe:
    """Return the recipe with that name, or in that JSON file. Raises UserError if there is neither."""
    if not text.lower().endswith(".json"):
        return named(text)
    try:
        return Recipe.from_json(read_text(Path(text)))
    except ValueError as error:
        raise UserError(f"{text} is not a recipe: {error}") from error
