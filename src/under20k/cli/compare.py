"""Print a leaderboard of runs, benches and records: size, accuracy over seeds, time, test accuracy.

A recipe's name, or a PyTorch model of your own that was benched, stands for its benches.

Without folders it shows all in ./runs, ./benches and ./records, and names unfinished runs below. Test
accuracy is shown if every seed read the test set.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from under20k.cli.options import add_quiet, note
from under20k.errors import UserError, shown

SORTS = ("accuracy", "parameters", "macs", "sd", "share", "p", "seconds", "test")
PLACES = ("runs", "benches", "records")
FORMATS = ("table", "markdown", "csv", "json")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``under20k compare``."""
    parser.add_argument(
        "paths",
        type=Path,
        nargs="*",
        metavar="RUN|BENCH|RECORD",
        help="folders, in any order; a recipe's name or your own model, as file.py:Name, stands for its "
        "benches in ./benches, or else its runs in ./runs (default: all in ./runs, ./benches and ./records)",
    )
    parser.add_argument(
        "--sort",
        choices=SORTS,
        metavar="BY",
        default="accuracy",
        help=f"best first by {', '.join(SORTS)} (default: %(default)s); share is the fraction of seeds at "
        "the target",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--format", choices=FORMATS, default="table", help="format of the output (default: %(default)s)"
    )
    form.add_argument("--json", action="store_true", help="the same as --format json")
    add_quiet(parser)
    parser.add_argument(
        "--paired",
        action="store_true",
        help="also print the difference of two folders, the first minus the second, paired by seed: two "
        "recipes, or one recipe with two engines or precisions",
    )
    parser.add_argument(
        "--picture",
        type=Path,
        metavar="PNG",
        help="also draw accuracy against parameters, with the Pareto front and public figures",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit code. Raises UserError."""
    picture = arguments.picture
    if picture is not None and picture.suffix.lower() != ".png":
        raise UserError(f"--picture is {str(picture)!r}; the picture is a PNG: give a name that ends in .png")
    form = "json" if arguments.json else arguments.format
    if arguments.paired and len(arguments.paths) != 2:
        raise UserError(f"--paired compares two folders; {len(arguments.paths)} are given")
    if arguments.paired and form == "csv":
        raise UserError("--paired prints a second table, which CSV cannot hold; use --json")

    from under20k.interactive.terminal import say, terminal_width
    from under20k.report.bench import DETECTABLE, difference_table, difference_text
    from under20k.report.leaderboard import leaderboard_table
    from under20k.runs.leaderboard import as_csv, compare, found_below, paired, ranked

    left_out: list[tuple[Path, str]] = []
    if arguments.paths:
        entries = compare(arguments.paths, arguments.sort)
    else:
        found, left_out = found_below(Path())
        if not found and not left_out:
            raise UserError(f"nothing in {', '.join(PLACES)} yet; start with 'under20k train minimal'")
        entries = ranked(found, arguments.sort)
    reasons = [f"{shown(str(path))}: {why}" for path, why in left_out]
    if picture is not None and not entries:
        raise UserError(f"--picture: there is no finished run to draw; {'; '.join(reasons)}")
    difference = paired(*arguments.paths) if arguments.paired else None
    if picture is not None:
        from under20k.report.leaderboard_figure import draw_leaderboard

        draw_leaderboard(entries, picture)
    if form == "json":
        rows = [entry.to_dict() for entry in entries]
        values = rows if difference is None else {"rows": rows, "difference": difference.to_dict(DETECTABLE)}
        print(json.dumps(values, indent=2))
    elif form == "csv":
        print(as_csv(entries) if entries else "", end="")
    else:
        width = None if form == "markdown" else terminal_width()
        tables = [leaderboard_table(entries, short=width is not None)] if entries else []
        texts = []
        if difference is not None:
            ours, theirs = map(str, arguments.paths)
            texts.append(difference_text(difference, ours, theirs))
            tables.append(difference_table(difference, ours, theirs))
        texts += [table.markdown() if form == "markdown" else table.text(width) for table in tables]
        texts += ["\n".join(reasons)] * bool(reasons)
        text = "\n\n".join(texts)
        if form == "markdown":
            print(text)
        else:
            say(text)
    if form in ("json", "csv"):
        for reason in reasons:
            note(arguments, f"left out: {reason}")
    return 0
