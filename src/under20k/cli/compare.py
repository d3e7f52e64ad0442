"""A leaderboard over runs, benches and records: size, accuracy over seeds, time, test where it was read."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from under20k.errors import UserError

SORTS = ("accuracy", "parameters", "macs", "sd", "share", "p", "seconds", "test")
FORMATS = ("table", "markdown", "csv", "json")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``under20k compare``."""
    parser.add_argument(
        "paths", type=Path, nargs="+", metavar="RUN|BENCH|RECORD", help="folders, in any order"
    )
    parser.add_argument(
        "--sort", choices=SORTS, default="accuracy", help="the best first (default: %(default)s)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--format", choices=FORMATS, default="table", help="(default: %(default)s)")
    form.add_argument("--json", action="store_true", help="the same as --format json")
    parser.add_argument(
        "--picture",
        type=Path,
        metavar="PNG",
        help="draw accuracy against parameters too, with the Pareto front and public figures",
    )


def run(arguments: argparse.Namespace) -> int:
    """Do what the options say; returns the exit code. Raises UserError."""
    picture = arguments.picture
    if picture is not None and picture.suffix.lower() != ".png":
        raise UserError(f"--picture is {str(picture)!r}; it is a PNG, so end it with .png")

    from under20k.leaderboard import as_csv, compare
    from under20k.report.leaderboard import draw_leaderboard, leaderboard_table

    entries = compare(arguments.paths, arguments.sort)
    if picture is not None:
        draw_leaderboard(entries, picture)
    form = "json" if arguments.json else arguments.format
    if form == "json":
        print(json.dumps([entry.to_dict() for entry in entries], indent=2))
    elif form == "csv":
        print(as_csv(entries), end="")
    elif form == "markdown":
        print(leaderboard_table(entries).markdown())
    else:
        print(leaderboard_table(entries).text())
    return 0
