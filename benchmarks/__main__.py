"""Measure how fast the native engine is, on two cores, and print it as Markdown.

docs/benchmark.md describes the contenders and the requirements.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.amount import FULL, QUICK, cores_used
from benchmarks.command import run_command
from benchmarks.peak import fma_peak
from benchmarks.tables import COMMAND, SECTIONS, page
from under20k import __version__
from under20k.cli.usage import Parser
from under20k.errors import UserError
from under20k.files import read_json, write_json, write_text
from under20k.runs.provenance import git_hash, processor
from under20k.runs.records.timing import CORES, only_cores

PARTS = tuple(SECTIONS)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    own = Parser(prog=COMMAND, description=__doc__, allow_abbrev=False)
    own.add_argument(
        "--only", nargs="+", choices=PARTS, metavar="PART", help=f"parts to measure: {', '.join(PARTS)}"
    )
    own.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="file for the values of every turn; the tables go next to it, as .md",
    )
    own.add_argument(
        "--update",
        action="store_true",
        help="with --only: put the parts into the --json FILE that is there, and keep its other parts",
    )
    own.add_argument(
        "--rounds", type=int, metavar="N", help=f"turns of each contender (default: {FULL.rounds})"
    )
    own.add_argument("--quick", action="store_true", help="smoke test: one turn on a few images")
    return own


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; returns the exit code."""
    return run_command("benchmarks", parser(), run, argv)


def run(arguments: argparse.Namespace, command: str) -> None:
    """Run the benchmarks. Raises UserError."""
    amount = QUICK if arguments.quick else FULL
    if (rounds := arguments.rounds) is not None:
        if rounds < 1:
            raise UserError(f"--rounds is {rounds}; allowed are whole numbers from 1")
        amount = replace(amount, rounds=rounds)
    if arguments.json and arguments.json.suffix != ".json":
        raise UserError(f"--json is {arguments.json}; give a name that ends in .json")
    now = datetime.now(UTC).date().isoformat()
    if arguments.update:
        benchmark = kept(arguments)
    else:
        benchmark = {
            "command": command,
            "date": now,
            "quick": arguments.quick,
            "amount": asdict(amount),
            "parts": {},
        }
    about = {
        "command": command,
        "date": now,
        "rounds": amount.rounds,
        "under20k": __version__,
        "git": git_hash(),
    }
    wanted = [name for name in PARTS if not arguments.only or name in arguments.only]
    with only_cores(CORES):
        for name in wanted:
            measure = importlib.import_module(f"benchmarks.{name}").measure

            def tell(text: str, name: str = name) -> None:
                print(f"{name}: {text}", file=sys.stderr, flush=True)

            benchmark["parts"][name] = measure(amount, tell)
            if arguments.update:
                peak_gflops = fma_peak(cores_used(), amount.peak_s)  # processors of one name differ
                benchmark.setdefault("updated", {})[name] = about | {"peak_gflops": peak_gflops}
            if arguments.json:  # after each part, lest a later one's failure lose it
                write_json(arguments.json, benchmark)
                write_text(arguments.json.with_suffix(".md"), page(benchmark))
    print(page(benchmark), end="")


def kept(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the benchmark that is to be updated. Raises UserError where its parts would not fit together."""
    if not (arguments.json and arguments.only):
        raise UserError("--update needs --json FILE, which it updates, and --only, the parts")
    benchmark: dict[str, Any] = read_json(arguments.json)
    try:
        quick, processors = benchmark["quick"], benchmark["parts"]["machine"]["processor"]
    except (KeyError, TypeError):
        raise UserError(
            f"{arguments.json} is not a benchmark with the part machine; measure without --update"
        ) from None
    if quick != arguments.quick:
        raise UserError(
            f"{arguments.json} is {'of a' if quick else 'not of a'} quick run; "
            f"{'give' if quick else 'leave out'} --quick"
        )
    if processors != processor():
        raise UserError(
            f"{arguments.json} was measured on {processors}, this is {processor()}; measure without --update"
        )
    return benchmark


if __name__ == "__main__":
    sys.exit(main())
