"""Find out which numerics an old record has, by training its seeds again, and write them into it.

    python tools/record_numerics.py records/small/2026-11-26-eight-convolutions --seeds 0,19

trains the seeds again. Where each gives the record's weights and figures to the bit, it adds NUMERICS and the
compiler of the native engine to the record's environments and renews the checksum. Else it leaves the record
as it is; exit code 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from under20k.engine import isa as instruction_sets
from under20k.engine.base import NUMERICS
from under20k.errors import UserError
from under20k.files import read_json, read_text, write_json
from under20k.recipe.seeds import parse_seeds
from under20k.runs.records.checksum import with_checksums
from under20k.runs.records.record import Record
from under20k.runs.records.rerun import rerun
from under20k.runs.records.verify import check


def main() -> int:
    """Train again, and write; 0 where the record has its numerics."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("record", type=Path, help="the record's folder")
    parser.add_argument("--seeds", default="0", help="the seeds to train again, such as 0,19 (default: 0)")
    arguments = parser.parse_args()
    try:
        reruns = rerun([(Record.open(arguments.record), list(parse_seeds(arguments.seeds)))])
        for again in reruns:
            print(f"{again.record}, seed {again.seed}: {again.text}")
        if not all(again.same_bits for again in reruns):
            print("not the same bits, so the record's numerics stay unknown", file=sys.stderr)
            return 1
        add(arguments.record)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def add(folder: Path) -> None:
    """Add NUMERICS to those of a record's environments that name none. Raises UserError unless it holds."""
    if wrong := check(folder):
        raise UserError(f"{folder} is not valid: {'; '.join(wrong)}")
    values = read_json(folder / "record.json")
    for environment in values["environments"]:
        environment.setdefault("numerics", NUMERICS)
        if environment["engine"] == "native":
            environment.setdefault("compiler", str(instruction_sets.compiler()).split()[0])
    write_json(folder / "record.json", with_checksums(values, read_text(folder / "curves.jsonl")))
    if wrong := check(folder):
        raise AssertionError(f"{folder}: {'; '.join(wrong)}")


if __name__ == "__main__":
    sys.exit(main())
