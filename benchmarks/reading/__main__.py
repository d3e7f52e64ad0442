"""Measure how well models read digits that are not MNIST's, and print it as Markdown.

docs/reading.md describes the pictures and what is counted.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.command import run_command
from benchmarks.reading.parts import PARTS, Amount, Missing
from benchmarks.reading.tables import tables
from under20k.cli.usage import Parser
from under20k.data.mnist import load as load_mnist
from under20k.deploy.model import Model, load
from under20k.errors import UserError
from under20k.files import write_json

COMMAND = "python -m benchmarks.reading"
FORMAT = 1


def parser() -> argparse.ArgumentParser:
    """The command line."""
    own = Parser(prog=COMMAND, description=__doc__, allow_abbrev=False)
    own.add_argument(
        "--model", nargs="+", required=True, metavar="NAME|RUN", help="pretrained models or run folders"
    )
    own.add_argument("--only", nargs="+", choices=tuple(PARTS), metavar="PART", help=", ".join(PARTS))
    own.add_argument("--json", type=Path, metavar="FILE", help="file for every figure")
    own.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes that prepare pictures (default: one a core)",
    )
    own.add_argument("--quick", action="store_true", help="smoke test: a few pictures of each kind")
    return own


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; returns the exit code."""
    return run_command("benchmarks.reading", parser(), run, argv)


def run(arguments: argparse.Namespace, command: str) -> None:
    """Measure the models. Raises UserError."""
    if arguments.jobs < 1:
        raise UserError(f"--jobs is {arguments.jobs}; allowed are whole numbers from 1")
    if arguments.json and arguments.json.suffix != ".json":
        raise UserError(f"--json is {arguments.json}; give a name that ends in .json")
    models = {_name(path): load(path) for path in arguments.model}
    reading: dict[str, Any] = {
        "format": FORMAT,
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "quick": arguments.quick,
        "missing": {},
        "models": {name: {} for name in models},
    }
    amount = Amount(arguments.quick, arguments.jobs)
    for part in measured(reading, models, amount, arguments.only or tuple(PARTS)):
        print(part, file=sys.stderr, flush=True)
        if arguments.json:  # after each part, lest a later one's failure lose it
            write_json(arguments.json, reading)
    print(tables(reading), end="")


def measured(
    reading: dict[str, Any], models: dict[str, Model], amount: Amount, wanted: Sequence[str]
) -> Iterator[str]:
    """Add the figures of every model to ``reading``, part by part; yield what was done.

    Args:
        reading: What is written as JSON.
        models: By name.
        amount: Of pictures and processes.
        wanted: Names of parts.
    """
    validation = load_mnist().validation
    for part in (name for name in PARTS if name in wanted):
        start = time.perf_counter()
        try:
            measure = PARTS[part](validation, amount)
        except Missing as error:
            reading["missing"][part] = error.what
            yield f"{part}: not measured; {error}"
            continue
        for name, model in models.items():
            reading["models"][name][part] = measure(model)
        yield f"{part}: {time.perf_counter() - start:.0f} s"


def _name(model: str) -> str:
    """Return what a model is called in the tables: without the folders above it."""
    return Path(model).name


if __name__ == "__main__":
    sys.exit(main())
