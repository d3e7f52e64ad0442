"""``under20k records verify``: check records, and retrain some of their seeds."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from under20k.cli.options import add_jobs, display, jobs_argument
from under20k.errors import UserError

if TYPE_CHECKING:
    from under20k.runs.records.record import Record
    from under20k.runs.records.rerun import Rerun
    from under20k.runs.records.retiming import Retiming

MAX_SHOWN = 20
"""Findings of a record that are printed."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``verify`` that no other action has."""
    parser.add_argument(
        "records", nargs="*", type=Path, metavar="RECORD", help="record folders (default: all)"
    )
    parser.add_argument(
        "--rerun",
        type=int,
        default=0,
        metavar="K",
        help="retrain K random seeds of each record: the result must be bit-exact if processor and numerics "
        "are the record's, else within the spread of its seeds; in the track fast, also repeat the timing",
    )
    parser.add_argument(
        "--rerun-records", type=int, metavar="N", help="only retrain seeds of N random records (default: all)"
    )
    parser.add_argument(
        "--rerun-from",
        metavar="TEXT",
        help="seed the draw with this text: equal texts draw equal seeds (default: random; if CI is set, the "
        "commit's hash)",
    )
    parser.add_argument(
        "--reuse-runs",
        type=Path,
        metavar="FOLDER",
        help="with --rerun: compare the finished runs in FOLDER with their records; do not retrain them",
    )
    parser.add_argument(
        "--no-models", action="store_true", help="skip evaluating the models, which needs MNIST"
    )
    add_jobs(parser)


@dataclass(frozen=True)
class Verified:
    """The outcome of a verification, by record folder."""

    wrong: Mapping[Path, Sequence[str]]
    """Findings; empty if a record is valid."""
    model: Mapping[Path, str]
    """Accuracy of the kept model, as text; empty if it was not evaluated."""
    sound: Mapping[Path, Record]
    """The records without findings."""
    source: str | None
    """The text that seeded the draw, if any seeds were retrained."""
    seeds: Sequence[Rerun]
    timings: Sequence[Retiming]

    @property
    def held(self) -> list[Path]:
        """The folders of valid records, taking retrained seeds and timings into account."""
        failed = {again.record for again in self.seeds if not again.passed}
        failed |= {timed.record for timed in self.timings if not timed.passed}
        return [folder for folder, record in self.sound.items() if record.folder not in failed]


def verify(arguments: argparse.Namespace) -> int:
    """Check records; retrain some of their seeds."""
    check_verify_options(arguments)

    from under20k.runs.records.folders import record_folders
    from under20k.runs.records.record import Record
    from under20k.runs.records.verify import evaluated

    folders = arguments.records or record_folders(arguments.records_dir)
    if missing := [folder for folder in folders if not (folder / "record.json").is_file()]:
        raise UserError(f"there is no record in {missing[0]}; name folders below records/<track>/")
    if not folders:
        raise UserError(f"there are no records in {arguments.records_dir}; name a folder with --records-dir")
    wrong = {folder: findings(folder) for folder in folders}
    model = dict.fromkeys(folders, "")
    if not arguments.no_models:
        with display(arguments) as shown:
            for folder in folders:
                if not wrong[folder]:
                    wrong[folder], model[folder] = evaluated(folder, arguments.data_dir, shown)
    sound = {folder: Record.open(folder) for folder in folders if not wrong[folder]}
    source = draw_source(arguments) if arguments.rerun else None
    seeds, timings = train_again(arguments, list(sound.values()), source) if source else ([], [])
    verified = Verified(wrong, model, sound, source, seeds, timings)
    if arguments.json:
        print(json.dumps(verified_values(verified), indent=2))
    else:
        print_verified(verified, arguments)
    return 1 if len(verified.held) < len(folders) else 0


def check_verify_options(arguments: argparse.Namespace) -> None:
    """Raise UserError for invalid options of ``verify``."""
    if not 0 <= arguments.rerun <= 1000:
        raise UserError(f"--rerun is {arguments.rerun}; give 0 to 1000 seeds")
    if arguments.rerun_records is not None and not 1 <= arguments.rerun_records <= 1000:
        raise UserError(f"--rerun-records is {arguments.rerun_records}; give 1 to 1000")
    for option in ("rerun_records", "rerun_from", "reuse_runs"):
        if getattr(arguments, option) is not None and not arguments.rerun:
            raise UserError(f"--{option.replace('_', '-')} chooses what --rerun K retrains; give both")
    if arguments.reuse_runs is not None and not arguments.reuse_runs.is_dir():
        raise UserError(f"--reuse-runs: {arguments.reuse_runs} is not a folder")
    if arguments.rerun_from == "":
        raise UserError("--rerun-from is empty; give a text, or leave it out to draw at random")
    jobs_argument(arguments)  # raises if it is wrong


def verified_values(verified: Verified) -> dict[str, object]:
    """Return a verification as plain values, for JSON."""
    from under20k.runs.records.consistency import remarks

    held, sound = verified.held, verified.sound
    return {
        "passed": len(held) == len(verified.wrong),
        "records": [
            {
                "record": str(folder),
                "passed": folder in held,
                "wrong": list(wrong),
                "remarks": remarks(sound[folder]) if folder in sound else [],
                "model": verified.model[folder] or None,
            }
            for folder, wrong in verified.wrong.items()
        ],
        "drawn_from": verified.source,
        "reruns": [again.to_dict() for again in verified.seeds],
        "timings": [again.to_dict() for again in verified.timings],
    }


def print_verified(verified: Verified, arguments: argparse.Namespace) -> None:
    """Print a verification: the tally, each record with its findings, then retrained seeds and timings."""
    from under20k.interactive.terminal import say
    from under20k.report.words import signed
    from under20k.runs.records.consistency import remarks

    held, count = len(verified.held), len(verified.wrong)
    say(signed(held == count, f"{held} of {count} records valid"))
    for folder, wrong in verified.wrong.items():
        if wrong:
            say(f"{folder}: {signed(False, 'invalid')}")
            more = len(wrong) - MAX_SHOWN
            shown = wrong[: MAX_SHOWN if more > 1 else None]
            for text in [*shown, *([f"and {more} more findings; --json lists them"] if more > 1 else [])]:
                say(f"  {text}", indent="    ")
            continue
        model = verified.model[folder]
        say(f"{folder}: {signed(True, 'valid')}{f'; {model}' if model else ''}")
        for text in remarks(verified.sound[folder]):
            say(f"  unusual: {text}", indent="    ")
    for again in verified.seeds:
        say(f"{again.record}, seed {again.seed}: {_outcome(again)}")
    for timed in verified.timings:
        say(f"{timed.record}, timing: {_outcome(timed)}")
    if verified.source:
        say(f"drawn from {verified.source!r}; {repeat(arguments, verified.source)} draws the same")


def _outcome(again: Rerun | Retiming) -> str:
    """Return what a retraining gave, and whether it passed."""
    from under20k.report.words import signed

    return signed(again.passed, again.text if again.passed else f"failed: {again.text}")


def findings(folder: Path) -> list[str]:
    """Return the faults of a record and its page, a sentence each; empty if it is valid."""
    from under20k.report.records import missing_views, stale_page
    from under20k.runs.records.record import Record
    from under20k.runs.records.verify import check

    # Figures that are wrong make the page wrong too.
    return check(folder) + missing_views(folder) or stale_page(Record.open(folder), folder)


def train_again(
    arguments: argparse.Namespace, records: list[Record], source: str
) -> tuple[list[Rerun], list[Retiming]]:
    """Draw seeds of records and retrain them; time records of the track ``fast`` again.

    Args:
        arguments: of the command line.
        records: those found valid so far.
        source: the text to draw by.

    Returns:
        The results by seed, and by timed record.
    """
    from under20k.data import load
    from under20k.runs.records.draw import draw, draw_records
    from under20k.runs.records.rerun import rerun
    from under20k.runs.records.retiming import time_again

    if not records:
        return [], []
    with display(arguments, "seeds") as shown:
        load(arguments.data_dir, on_event=shown)
        chosen = draw_records(records, arguments.rerun_records or len(records), source)
        drawn = [
            (record, draw(record, arguments.rerun, source) if record in chosen else []) for record in records
        ]
        shown.line(f"drawn from {source!r}; repeat with {repeat(arguments, source)}:")
        for record, numbers in drawn:
            if numbers:
                shown.line(f"  {record.folder}: seed {', '.join(map(str, numbers))}")
        seeds = rerun(
            drawn,
            reuse=arguments.reuse_runs,
            jobs=arguments.jobs,
            data_dir=arguments.data_dir,
            on_event=shown,
        )
        timings = [
            time_again(record, data_dir=arguments.data_dir, on_event=shown)
            for record in chosen
            if record.timing is not None
        ]
    return seeds, timings


def draw_source(arguments: argparse.Namespace) -> str:
    """Return the text to draw by: the one given, in CI the commit's hash, elsewhere a random one."""
    if arguments.rerun_from is not None:
        return str(arguments.rerun_from)
    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return (head_commit(arguments.records_dir) if in_ci else None) or secrets.token_hex(4)


def head_commit(folder: Path) -> str | None:
    """Return the commit of the git checkout around a folder, if there is one."""
    try:
        found = subprocess.run(
            ["git", "-c", "safe.directory=*", "rev-parse", "HEAD"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def repeat(arguments: argparse.Namespace, source: str) -> str:
    """Return the options that draw the same seeds of the same records."""
    records = f" --rerun-records {arguments.rerun_records}" if arguments.rerun_records else ""
    return f"--rerun {arguments.rerun}{records} --rerun-from {shlex.quote(source)}"
