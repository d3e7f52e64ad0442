"""Read the digits of pictures: single ones, or pages of them, line by line.

A picture is any PNG, JPEG, WebP, BMP, TIFF or GIF: dark ink on light paper or light on dark, of any size from
8×8 pixels to a photograph. What is found but not believed to be a digit is printed as "?". stderr names the
model that reads, and each picture that cannot be read; the exit code is 2 only if none could.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from under20k.cli.options import add_engine, add_quiet, compute_argument, note
from under20k.cli.own_weights import OWN, add_weights_options, check_weights_options, own_model_argument
from under20k.cli.streams import unread_stdout
from under20k.errors import UserError
from under20k.recipe.own_model import is_target

if TYPE_CHECKING:
    from under20k.cli.predict_printing import Printer
    from under20k.deploy.model import Model
    from under20k.deploy.pictures import NoPicture
    from under20k.deploy.read import Picture, Reading
    from under20k.engine.base import Compute


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``under20k predict``."""
    parser.add_argument(
        "pictures",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="pictures; folders, for all the pictures below them; patterns in quotes, such as "
        "'scans/**/*.png'; - for standard input",
    )
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="a pretrained model ('under20k recipes' lists them), or the folder of a run, a record or "
        f"a hub-folder; {OWN} (default: the pretrained one that reads best, named on stderr)",
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print as JSON")
    output.add_argument("--csv", action="store_true", help="print as CSV, a row a digit")
    parser.add_argument(
        "--show",
        type=Path,
        metavar="PNG",
        help="draw each picture with its digits in boxes, beside what the network saw of each; what does not "
        "fit into one file continues in NAME-2.png, NAME-3.png, …",
    )
    add_weights_options(parser)
    add_engine(parser, "CPU threads (default: all cores)", trains=False)
    add_quiet(parser)


def run(arguments: argparse.Namespace) -> int:
    """Read the pictures, print, and return the exit code. Raises UserError."""
    if not arguments.pictures:
        raise UserError("name the pictures to read: files, folders, patterns, or - for standard input")
    compute = compute_argument(arguments)
    check_weights_options(arguments, arguments.model)

    from under20k.cli.predict_printing import Progress, described, tell
    from under20k.deploy.pictures import NoPicture, pictures
    from under20k.deploy.read import read_all

    with ExitStack() as closing:
        sheets = None
        if arguments.show is not None:  # before the work: it may not be writable
            from under20k.report.prediction_sheets import Sheets

            sheets = closing.enter_context(Sheets(arguments.show))
            closing.enter_context(unread_stdout())
        model = _model(arguments, compute)
        named = list(pictures(arguments.pictures))
        missing = [each for each in named if isinstance(each, NoPicture)]
        files = [each for each in named if isinstance(each, Path)]
        if sheets is not None:
            sheets.spare(files)
        for each in missing:
            tell(str(each))
        if files:
            note(arguments, f"read by {described(model)}")
        count = Count(failed=len(missing))
        printing = closing.enter_context(printer(arguments, model, missing, alone=len(named) == 1))
        progress = closing.enter_context(Progress(len(files), quiet=arguments.quiet))
        for reading in read_all(contents(files), model, threads=compute.threads):
            if reading.fault:
                tell(reading.fault)
            count.add(reading)
            printing.add(reading)
            if sheets is not None:
                sheets.add(reading)
            progress.advance()
    if not count.pictures:
        return 2
    note(arguments, count.text())
    if sheets is not None:
        note(arguments, f"drawn: {', '.join(map(str, sheets.written))}")
    return 0


def _model(arguments: argparse.Namespace, compute: Compute) -> Model:
    from under20k.deploy.model import as_model

    if arguments.model is not None and is_target(arguments.model):
        return own_model_argument(arguments, arguments.model, compute)
    return as_model(arguments.model, compute=compute)


def contents(files: Iterable[Path]) -> Iterator[Picture]:
    """Yield files as they are, and for "-" what standard input holds."""
    for file in files:
        if str(file) == "-":
            yield sys.stdin.buffer.read() if sys.stdin else b""  # None where the caller has closed it
        else:
            yield file


def printer(
    arguments: argparse.Namespace, model: Model, missing: Sequence[NoPicture], *, alone: bool
) -> Printer:
    """Return what prints in the form that the options ask for."""
    from under20k.cli.predict_printing import CsvPrinter, JsonPrinter, TextPrinter

    if arguments.json:
        return JsonPrinter(model, missing)
    return CsvPrinter() if arguments.csv else TextPrinter(alone=alone)


@dataclass
class Count:
    """How much was read."""

    pictures: int = 0
    digits: int = 0
    unsure: int = 0
    failed: int = 0

    def add(self, reading: Reading) -> None:
        """Count a picture and its digits."""
        if reading.fault:
            self.failed += 1
            return
        self.pictures += 1
        self.digits += len(reading.digits)
        self.unsure += sum(digit.value is None for digit in reading.digits)

    def text(self) -> str:
        """Return it in words."""
        from under20k.report.predictions import tally

        return tally(self.pictures, self.digits, self.unsure, self.failed)
