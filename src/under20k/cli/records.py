"""Print, verify and submit records: results that anyone can check, each a folder in records/, by track.

  under20k records
      print the tables; update the records' pages and records/README.md
  under20k records verify [RECORD ...]
      check records and evaluate their models; --rerun K retrains K random
      seeds of each
  under20k records submit BENCH --track TRACK
      make a record of a bench, unless it breaks a rule

Exit code 1 if a record is not valid.
"""

from __future__ import annotations

import argparse
import json
from datetime import date
from pathlib import Path

from under20k.cli import records_verify
from under20k.cli.options import add_data_dir, add_quiet, display, note
from under20k.errors import UserError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``under20k records``."""
    add_common(parser, Path("records"))
    verbs = parser.add_subparsers(dest="action", metavar="{verify,submit}")
    verify = verbs.add_parser(
        "verify",
        help="check records",
        description="Recompute every statistic, check the rules, and evaluate the records' models on "
        "validation.",
    )
    records_verify.configure(verify)
    submit = verbs.add_parser(
        "submit",
        help="make a bench a record",
        description="Create a record from a bench. If it breaks no rule, each seed reads the test set once.",
    )
    submit.add_argument("bench", type=Path, metavar="BENCH", help="a bench folder")
    submit.add_argument(
        "--track",
        required=True,
        help="accurate, small, fast or reference; docs/records.md lists their rules",
    )
    submit.add_argument("--name", help="the record's name (default: the recipe's)")
    submit.add_argument(
        "--date", type=day, metavar="YYYY-MM-DD", help="the record's date (default: today, UTC)"
    )
    submit.add_argument(
        "--turns",
        type=int,
        metavar="N",
        help="track fast: number of trainings to time, alternating with the reference (default: 3)",
    )
    for verb in (verify, submit):
        add_common(verb, argparse.SUPPRESS)
        add_data_dir(verb)


def day(text: str) -> date:
    """Parse ``2026-01-31``. Raises ArgumentTypeError for anything else."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date; give one such as 2026-01-31") from None


def add_common(parser: argparse.ArgumentParser, folder: Path | str) -> None:
    """Add the options that may come before or after the action."""
    parser.add_argument(
        "--records-dir",
        type=Path,
        metavar="FOLDER",
        default=folder,
        help="folder of the records (default: records)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS if isinstance(folder, str) else False,
        help="print as JSON",
    )
    add_quiet(parser, argparse.SUPPRESS if isinstance(folder, str) else False)


def run(arguments: argparse.Namespace) -> int:
    """Run the action and return the exit code. Raises UserError."""
    if arguments.action == "verify":
        return records_verify.verify(arguments)
    if arguments.action == "submit":
        return submit(arguments)
    return show(arguments)


def show(arguments: argparse.Namespace) -> int:
    """Print the tables; update the records' pages and the tables of the folder's README."""
    from under20k.files import read_text, write_text
    from under20k.interactive.terminal import terminal_width
    from under20k.report.pages import filled, has_part
    from under20k.report.records import (
        PAGE,
        missing_views,
        record_tables,
        records_markdown,
        stale_page,
        write_record_page,
    )
    from under20k.runs.records.folders import record_folders
    from under20k.runs.records.record import Record
    from under20k.runs.records.record_files import RecordFiles
    from under20k.runs.records.verify import check

    files = [RecordFiles.read(folder) for folder in record_folders(arguments.records_dir)]
    records = [Record.from_files(of_record) for of_record in files]
    for record in records:
        folder = arguments.records_dir / record.folder
        # A new page would hide the damage of a damaged record.
        if not check(folder) and (missing_views(folder) or stale_page(record, folder)):
            write_record_page(record, folder)
            note(arguments, f"updated {folder / PAGE}")
    if arguments.json:
        values = [
            {"folder": record.folder, **record.expected(of_record)}
            for record, of_record in zip(records, files, strict=True)
        ]
        print(json.dumps(values, indent=2))
    else:
        tables = record_tables(records)
        width = terminal_width()
        print("\n\n".join(table.text(width) for table in tables.values()) or "no records yet")
    readme = arguments.records_dir / "README.md"
    if readme.is_file() and has_part(before := read_text(readme), "records"):
        after = filled(before, {"records": records_markdown(records)})
        if after != before:
            write_text(readme, after)
            note(arguments, f"updated the tables in {readme}")
    return 0


def submit(arguments: argparse.Namespace) -> int:
    """Create a record from a bench."""
    if arguments.turns is not None and not 1 <= arguments.turns <= 100:
        raise UserError(f"--turns is {arguments.turns}; give 1 to 100")

    from under20k.interactive.terminal import say
    from under20k.report.bench import claim
    from under20k.report.records import write_record_page
    from under20k.runs.records.record import Record
    from under20k.runs.records.submit import submit as submit_bench
    from under20k.runs.records.timing import TURNS

    with display(arguments) as shown_by:
        path = submit_bench(
            arguments.bench,
            arguments.track,
            name=arguments.name,
            on=arguments.date,
            records_dir=arguments.records_dir,
            turns=arguments.turns or TURNS,
            data_dir=arguments.data_dir,
            on_event=shown_by,
        )
    record = Record.open(path)
    write_record_page(record, path)
    if arguments.json:
        print(json.dumps({"path": str(path), **record.to_dict()}, indent=2))
    else:
        say(f"{claim(record.bench)}\nrecord: {path}")
    return 0
