"""Regenerate the pages and pictures of runs, benches and records from their data.

  run     report.md, curves.png and curves-dark.png
  bench   bench.md, bench.png, bench-dark.png and badge.svg
  record  README.md, curves.png and curves-dark.png

A folder that holds several of these, such as runs, benches or records, stands for all of them. In such a
folder, a run without a finished epoch is skipped. The files written are printed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from under20k.cli.options import add_quiet, note
from under20k.errors import UserError, shown

FILES = {
    "run": ("report.md", "curves.png", "curves-dark.png"),
    "bench": ("bench.md", "bench.png", "bench-dark.png", "badge.svg"),
    "record": ("README.md", "curves.png", "curves-dark.png"),
}
LEVELS = 2
"""Below a folder that is searched: records lie in ``records/TRACK/``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``under20k report``."""
    parser.add_argument(
        "paths", type=Path, nargs="*", metavar="PATH", help="a run, a bench, a record, or a folder of several"
    )
    parser.add_argument("--json", action="store_true", help="print the files written as JSON")
    add_quiet(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit code. Raises UserError."""
    from under20k.interactive.terminal import say
    from under20k.runs.leaderboard import kind_of, suggested

    if not arguments.paths:
        instead = suggested(Path("minimal-0"))
        raise UserError(f"name a run, bench or record, or a folder of several; {instead}")
    found: dict[Path, str] = {}
    for path in arguments.paths:
        below = folders(path)
        if not below:
            if path.is_dir():
                raise UserError(f"{path} contains no run, bench or record")
            raise UserError(f"{path} is not a folder; {suggested(path)}")
        found |= {folder: kind_of(folder) or "" for folder in below}
    # Report damage before writing anything.
    writers = {
        folder: writer(folder, kind, named=folder in arguments.paths) for folder, kind in found.items()
    }
    written = []
    for folder, write in writers.items():
        if write is None:
            note(arguments, f"{folder} has no finished epoch: skipped")
            continue
        write()
        files = [str(folder / file) for file in FILES[found[folder]]]
        written.append({"folder": str(folder), "kind": found[folder], "files": files})
        if not arguments.json:
            say("\n".join(map(shown, files)))
    if arguments.json:
        print(json.dumps(written, indent=2))
    return 0


def folders(path: Path, levels: int = LEVELS) -> list[Path]:
    """Return the run, bench or record at ``path``, or all of them up to ``levels`` below, by name."""
    from under20k.runs.leaderboard import kind_of

    if kind_of(path):
        return [path]
    if not levels or not path.is_dir():
        return []
    inside = sorted(child for child in path.iterdir() if child.is_dir() and child.name[0] != ".")
    return [folder for child in inside for folder in folders(child, levels - 1)]


def writer(folder: Path, kind: str, *, named: bool) -> Callable[[], None] | None:
    """Open the run, bench or record in a folder, and return a function that writes its page and picture.

    Args:
        folder: Of a run, a bench or a record.
        kind: ``run``, ``bench`` or ``record``.
        named: Whether the command line names it, rather than a folder above it.

    Returns:
        None for a run without a finished epoch that is not named.

    Raises:
        UserError: It is damaged, an invalid record, or a named run without a finished epoch.
    """
    if kind == "record":
        from under20k.report.records import write_record_page
        from under20k.runs.records.record import Record
        from under20k.runs.records.verify import check

        # The page of a damaged record stays as it is: it would hide the damage.
        if wrong := check(folder):
            raise UserError(f"{folder} is not valid: {wrong[0]}; see 'under20k records verify'")
        return partial(write_record_page, Record.open(folder), folder)
    if kind == "bench":
        from under20k.report.bench import write_bench_report
        from under20k.runs.bench.bench import Bench

        return partial(write_bench_report, Bench.open(folder), folder)
    from under20k.report.run import write_run_report
    from under20k.runs.run import Run

    run = Run.open(folder)
    return partial(write_run_report, run) if run.metrics() or named else None
