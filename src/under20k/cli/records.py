"""Records: results that anyone can check, each a folder in records/, by track.

  under20k records                      print the tables; renew those in records/README.md and the pages of
                                        the records
  under20k records verify [RECORD ...]  check the records and evaluate their models; --rerun K trains K seeds
                                        of each again, drawn at random
  under20k records submit BENCH --track TRACK
                                        make a record of a bench; refused where a rule is broken

Exit code 1 if a record does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from under20k.cli.options import add_data_dir, add_jobs, jobs_argument
from under20k.errors import UserError

if TYPE_CHECKING:
    from under20k.runs.records.record import Record
    from under20k.runs.records.rerun import Rerun, Retiming


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``under20k records``."""
    add_common(parser, Path("records"))
    verbs = parser.add_subparsers(dest="action", metavar="{verify,submit}")
    verify = verbs.add_parser(
        "verify",
        help="check records",
        description="Compute every statistic again, check the rules, and evaluate the kept models on "
        "validation.",
    )
    verify.add_argument(
        "records", nargs="*", type=Path, metavar="RECORD", help="record folders (default: all of them)"
    )
    verify.add_argument(
        "--rerun",
        type=int,
        default=0,
        metavar="K",
        help="train K seeds of each again, drawn at random: the same bits where machine and code are the "
        "record's, elsewhere within the spread of its seeds; of the track fast, time its training again too",
    )
    verify.add_argument(
        "--rerun-records",
        type=int,
        metavar="N",
        help="train seeds of N records only, drawn likewise (default: all of them)",
    )
    verify.add_argument(
        "--rerun-from",
        metavar="TEXT",
        help="draw by this text, the same for the same text (default: at random; where CI is set, by the "
        "commit)",
    )
    verify.add_argument(
        "--no-models", action="store_true", help="do not evaluate the kept models, which takes MNIST"
    )
    add_jobs(verify)
    submit = verbs.add_parser(
        "submit",
        help="make a record of a bench",
        description="Make a record of a bench. If no rule is broken, each seed's test set is read, once.",
    )
    submit.add_argument("bench", type=Path, metavar="BENCH", help="a bench folder")
    submit.add_argument(
        "--track",
        required=True,
        help="accurate, small, fast or reference: what each asks for, docs/records.md",
    )
    submit.add_argument("--name", help="the record's name (default: the recipe's)")
    submit.add_argument("--date", type=day, metavar="YYYY-MM-DD", help="of the record (default: today)")
    submit.add_argument(
        "--turns",
        type=int,
        metavar="N",
        help="track fast: trainings timed, in turns with as many of the reference (default: 3)",
    )
    for verb in (verify, submit):
        add_common(verb, argparse.SUPPRESS)
        add_data_dir(verb)


def day(text: str) -> date:
    """``2026-01-31``. Raises ArgumentTypeError for anything else."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day; give one such as 2026-01-31") from None


def add_common(parser: argparse.ArgumentParser, folder: Path | str) -> None:
    """Add what may stand before the action's name or after it."""
    parser.add_argument(
        "--records-dir",
        type=Path,
        metavar="FOLDER",
        default=folder,
        help="where the records lie (default: records)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS if isinstance(folder, str) else False,
        help="print as JSON",
    )


def run(arguments: argparse.Namespace) -> int:
    """Do what the options say; returns the exit code. Raises UserError."""
    if arguments.action == "verify":
        return verify(arguments)
    if arguments.action == "submit":
        return submit(arguments)
    return show(arguments)


def show(arguments: argparse.Namespace) -> int:
    """Print the tables, and renew those in the README of their folder."""
    import sys

    from under20k.files import read_text, write_text
    from under20k.report.pages import filled, has_part
    from under20k.report.records import (
        PAGE,
        missing_views,
        record_tables,
        records_markdown,
        stale_page,
        write_record_page,
    )
    from under20k.runs.records.record import read_records
    from under20k.runs.records.verify import check

    records = read_records(arguments.records_dir)
    for record in records:
        folder = arguments.records_dir / record.folder
        # The page of a damaged record stays as it is: it would hide the damage.
        if not check(folder) and (missing_views(folder) or stale_page(record, folder)):
            write_record_page(record, folder)
            print(f"renewed {folder / PAGE}", file=sys.stderr)
    if arguments.json:
        print(json.dumps([{"folder": record.folder, **record.to_dict()} for record in records], indent=2))
    else:
        tables = record_tables(records)
        print("\n\n".join(table.text() for table in tables.values()) or "no records yet")
    readme = arguments.records_dir / "README.md"
    if readme.is_file() and has_part(before := read_text(readme), "records"):
        after = filled(before, {"records": records_markdown(records)})
        if after != before:
            write_text(readme, after)
            print(f"renewed the tables in {readme}", file=sys.stderr)
    return 0


MOST_SHOWN = 20  # findings of a record


@dataclass(frozen=True)
class Verified:
    """The outcome of a verification, by record folder."""

    wrong: Mapping[Path, Sequence[str]]
    """Findings; none where a record holds."""
    model: Mapping[Path, str]
    """Accuracy of the kept model, in words; empty where it was not evaluated."""
    sound: Mapping[Path, Record]
    """The records without findings."""
    source: str | None
    """The text that seeds were drawn by, if any were retrained."""
    seeds: Sequence[Rerun]
    timings: Sequence[Retiming]

    @property
    def held(self) -> list[Path]:
        """The folders of records that hold, retrained seeds and timings included."""
        failed = {again.record for again in self.seeds if not again.passed}
        failed |= {timed.record for timed in self.timings if not timed.passed}
        return [folder for folder, record in self.sound.items() if record.folder not in failed]


def verify(arguments: argparse.Namespace) -> int:
    """Check records; retrain some of their seeds."""
    check_verify_options(arguments)

    from under20k.cli.progress import Display
    from under20k.runs.records.record import Record, record_folders
    from under20k.runs.records.verify import evaluated

    folders = arguments.records or record_folders(arguments.records_dir)
    if missing := [folder for folder in folders if not (folder / "record.json").is_file()]:
        raise UserError(f"there is no record in {missing[0]}; name folders below records/<track>/")
    if not folders:
        raise UserError(f"there are no records in {arguments.records_dir}; name a folder with --records-dir")
    wrong = {folder: findings(folder) for folder in folders}
    model = dict.fromkeys(folders, "")
    if not arguments.no_models:
        with Display() as display:
            for folder in folders:
                if not wrong[folder]:
                    wrong[folder], model[folder] = evaluated(folder, arguments.data_dir, display)
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
    """Raise UserError for options of ``verify`` that make no sense."""
    if not 0 <= arguments.rerun <= 1000:
        raise UserError(f"--rerun is {arguments.rerun}; give 0 to 1000 seeds")
    if arguments.rerun_records is not None and not 1 <= arguments.rerun_records <= 1000:
        raise UserError(f"--rerun-records is {arguments.rerun_records}; give 1 to 1000")
    for option in ("rerun_records", "rerun_from"):
        if getattr(arguments, option) is not None and not arguments.rerun:
            raise UserError(f"--{option.replace('_', '-')} draws what --rerun K trains again; give both")
    if arguments.rerun_from == "":
        raise UserError("--rerun-from is empty; give a text, or leave it out to draw at random")
    jobs_argument(arguments)  # raises where it is wrong


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
    """Print a verification: a line a record with its findings, then retrained seeds and timings."""
    from under20k.runs.records.consistency import remarks

    for folder, wrong in verified.wrong.items():
        if wrong:
            print(f"{folder}: DOES NOT HOLD")
            more = len(wrong) - MOST_SHOWN
            shown = wrong[: MOST_SHOWN if more > 1 else None]
            for text in [*shown, *([f"and {more} findings more: --json has them"] if more > 1 else [])]:
                print(f"  {text}")
            continue
        model = verified.model[folder]
        print(f"{folder}: holds{f'; {model}' if model else ''}")
        for text in remarks(verified.sound[folder]):
            print(f"  unusual: {text}")
    for again in verified.seeds:
        print(f"{again.record}, seed {again.seed}: {'' if again.passed else 'FAILED: '}{again.text}")
    for timed in verified.timings:
        print(f"{timed.record}, timing: {'' if timed.passed else 'FAILED: '}{timed.text}")
    if verified.source:
        print(f"drawn from {verified.source!r}; {repeat(arguments, verified.source)} draws the same")
    print(f"{len(verified.held)} of {len(verified.wrong)} records hold")


def findings(folder: Path) -> list[str]:
    """Return what is wrong with a record and its page, a sentence each; nothing where it holds."""
    from under20k.report.records import missing_views, stale_page
    from under20k.runs.records.record import Record
    from under20k.runs.records.verify import check

    # The page is compared only where the figures are right.
    return check(folder) + missing_views(folder) or stale_page(Record.open(folder), folder)


def train_again(
    arguments: argparse.Namespace, records: list[Record], source: str
) -> tuple[list[Rerun], list[Retiming]]:
    """Draw seeds of records and train them again; time those of the track ``fast``."""
    from under20k.cli.progress import Display
    from under20k.data import load
    from under20k.runs.records.rerun import draw, draw_records, rerun, time_again

    if not records:
        return [], []
    with Display("seeds") as display:
        load(arguments.data_dir, on_event=display)
        chosen = draw_records(records, arguments.rerun_records or len(records), source)
        drawn = [(record, draw(record, arguments.rerun, source)) for record in chosen]
        display.line(f"drawn from {source!r}, again by {repeat(arguments, source)}:")
        for record, numbers in drawn:
            display.line(f"  {record.folder}: seed {', '.join(map(str, numbers))}")
        seeds = rerun(drawn, jobs=arguments.jobs, data_dir=arguments.data_dir, on_event=display)
        timings = [
            time_again(record, data_dir=arguments.data_dir, on_event=display)
            for record in chosen
            if record.timing is not None
        ]
    return seeds, timings


def draw_source(arguments: argparse.Namespace) -> str:
    """The text that seeds are drawn by: the one given, in CI the commit's hash, elsewhere a random one."""
    if arguments.rerun_from is not None:
        return str(arguments.rerun_from)
    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return (head_commit(arguments.records_dir) if in_ci else None) or secrets.token_hex(4)


def head_commit(folder: Path) -> str | None:
    """The commit that the checkout around a folder is at, if any."""
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
    """The options that draw the same seeds of the same records."""
    of = f" --rerun-records {arguments.rerun_records}" if arguments.rerun_records else ""
    return f"--rerun {arguments.rerun}{of} --rerun-from {shlex.quote(source)}"


def submit(arguments: argparse.Namespace) -> int:
    """Make a record of a bench."""
    if arguments.turns is not None and not 1 <= arguments.turns <= 100:
        raise UserError(f"--turns is {arguments.turns}; give 1 to 100")

    from under20k.cli.progress import Display
    from under20k.report.bench import claim
    from under20k.report.records import write_record_page
    from under20k.runs.records.record import Record
    from under20k.runs.records.submit import submit as submit_bench
    from under20k.runs.records.timing import TURNS

    with Display() as display:
        path = submit_bench(
            arguments.bench,
            arguments.track,
            name=arguments.name,
            on=arguments.date,
            records_dir=arguments.records_dir,
            turns=arguments.turns or TURNS,
            data_dir=arguments.data_dir,
            on_event=display,
        )
    record = Record.open(path)
    write_record_page(record, path)
    if arguments.json:
        print(json.dumps({"path": str(path), **record.to_dict()}, indent=2))
    else:
        print(f"{claim(record.bench)}\nrecord: {path}")
    return 0
