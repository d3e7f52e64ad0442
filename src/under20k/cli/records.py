"""Records: results that anyone can check, each a folder in records/, by track.

  under20k records                      print the tables, and renew those in the README beside the folder, and
                                        the records' own pages
  under20k records verify [RECORD ...]  compute every statistic again, check the rules; --rerun K trains again
  under20k records submit BENCH --track TRACK
                                        make a record of a bench; refused where a rule is broken

Exit code 1 if a record does not hold.
"""

from __future__ import annotations

import argparse
import json
from datetime import date
from pathlib import Path

from under20k.cli.options import add_data_dir
from under20k.errors import UserError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``under20k records``."""
    add_common(parser, Path("records"))
    verbs = parser.add_subparsers(dest="action", metavar="{verify,submit}")
    verify = verbs.add_parser(
        "verify", help="check records", description="Compute every statistic again, and check the rules."
    )
    verify.add_argument(
        "records", nargs="*", type=Path, metavar="RECORD", help="record folders (default: all of them)"
    )
    verify.add_argument(
        "--rerun",
        type=int,
        default=0,
        metavar="K",
        help="train the first K seeds of each again: the same bits where machine, engine, precision and code "
        "are the record's, elsewhere within the spread of its seeds",
    )
    verify.add_argument(
        "--jobs", type=int, metavar="N", help="trainings at a time (default: as the cores hold)"
    )
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
    """Print the tables, and renew those of the README."""
    import sys

    from under20k.files import read_text, write_text
    from under20k.records import read_records
    from under20k.report.parts import filled, has_part
    from under20k.report.records import record_tables, records_markdown
    from under20k.verification import renewed

    records = read_records(arguments.records_dir)
    for record in records:
        if renewed(page := arguments.records_dir / record.folder):
            print(f"renewed {page / 'README.md'}", file=sys.stderr)
    if arguments.json:
        print(json.dumps([{"folder": record.folder, **record.to_dict()} for record in records], indent=2))
    else:
        tables = record_tables(records)
        print("\n\n".join(table.text() for table in tables.values()) or "no records yet")
    readme = arguments.records_dir.resolve().parent / "README.md"
    if readme.is_file() and has_part(before := read_text(readme), "records"):
        after = filled(before, {"records": records_markdown(records)})
        if after != before:
            write_text(readme, after)
            print(f"renewed the tables in {readme}", file=sys.stderr)
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """Check records; train some of their seeds again."""
    if not 0 <= arguments.rerun <= 1000:
        raise UserError(f"--rerun is {arguments.rerun}; give 0 to 1000 seeds")
    if arguments.jobs is not None and not 1 <= arguments.jobs <= 1024:
        raise UserError(f"--jobs is {arguments.jobs}; give 1 to 1024")

    from under20k.cli.progress import Display, ManySeeds
    from under20k.records import Record, record_folders
    from under20k.verification import check, rerun

    folders = arguments.records or record_folders(arguments.records_dir)
    if missing := [folder for folder in folders if not (folder / "record.json").is_file()]:
        raise UserError(f"there is no record in {missing[0]}; name folders below records/<track>/")
    wrong = {folder: check(folder) for folder in folders}
    again = []
    sound = [Record.open(folder) for folder in folders if not wrong[folder]]
    if arguments.rerun and sound:
        from under20k.cli.data import Talk
        from under20k.data import load

        with Display() as display, Talk() as talk:
            load(arguments.data_dir, notify=talk)
            again = rerun(
                sound,
                arguments.rerun,
                jobs=arguments.jobs,
                data_dir=arguments.data_dir,
                watcher=ManySeeds(display),
            )
    failed = any(wrong.values()) or not all(seed.passed for seed in again)
    if arguments.json:
        values = {
            "passed": not failed,
            "records": [{"record": str(folder), "wrong": of} for folder, of in wrong.items()],
            "reruns": [seed.to_dict() for seed in again],
        }
        print(json.dumps(values, indent=2))
        return 1 if failed else 0
    for folder, of_record in wrong.items():
        print(f"{folder}: {'holds' if not of_record else 'DOES NOT HOLD'}")
        for text in of_record:
            print(f"  {text}")
    for seed in again:
        print(f"{seed.record}, seed {seed.seed}: {'' if seed.passed else 'FAILED: '}{seed.text}")
    count = len([folder for folder in folders if not wrong[folder]])
    print(f"{count} of {len(folders)} records hold")
    return 1 if failed else 0


def submit(arguments: argparse.Namespace) -> int:
    """Make a record of a bench."""
    if arguments.turns is not None and not 1 <= arguments.turns <= 100:
        raise UserError(f"--turns is {arguments.turns}; give 1 to 100")

    from under20k.cli.data import Talk
    from under20k.cli.progress import Display
    from under20k.records import Record
    from under20k.report.bench import claim
    from under20k.submission import submit as submit_bench
    from under20k.timing import TURNS

    with Display() as display, Talk() as talk:
        path = submit_bench(
            arguments.bench,
            arguments.track,
            name=arguments.name,
            on=arguments.date,
            records_dir=arguments.records_dir,
            turns=arguments.turns or TURNS,
            data_dir=arguments.data_dir,
            notify=talk,
            tell=display.line,
        )
    record = Record.open(path)
    if arguments.json:
        print(json.dumps({"path": str(path), **record.to_dict()}, indent=2))
    else:
        print(f"{claim(record.bench)}\nrecord: {path}")
    return 0
