"""Download and verify MNIST, show where it is and where it came from, and draw a contact sheet."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from under20k.cli.options import add_data_dir, add_quiet, display
from under20k.errors import UserError

if TYPE_CHECKING:
    from under20k.data import Found, IdxFile, Split

MAX_SAMPLES = 100


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``under20k data``."""
    add_data_dir(parser)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="PNG",
        default=Path("mnist-samples.png"),
        help="file of the contact sheet (default: %(default)s)",
    )
    parser.add_argument(
        "--samples",
        type=int,
        metavar="N",
        default=16,
        help=f"images per class on the contact sheet, 1 to {MAX_SAMPLES} (default: %(default)s)",
    )
    parser.add_argument("--no-sheet", action="store_true", help="draw no contact sheet")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_quiet(parser)


def run(arguments: argparse.Namespace) -> int:
    """Fetch, draw and print; return the exit code. Raises UserError."""
    if not 1 <= arguments.samples <= MAX_SAMPLES:
        raise UserError(f"--samples is {arguments.samples}; give 1 to {MAX_SAMPLES}")
    if arguments.output.suffix.lower() != ".png":
        raise UserError(
            f"--output is {str(arguments.output)!r}; the contact sheet is a PNG, so end its name with .png"
        )

    from under20k.data import locate, mnist_from
    from under20k.interactive.terminal import say, terminal_width

    with display(arguments) as shown_by:
        files = locate(arguments.data_dir, on_event=shown_by)
    mnist = mnist_from(files)
    sheet: Path | None = None
    if not arguments.no_sheet:
        from under20k.files import write_bytes
        from under20k.report.contact_sheet import contact_sheet

        sheet = arguments.output.absolute()
        write_bytes(sheet, contact_sheet(mnist.train, arguments.samples))

    result = summary(files, [mnist.train, mnist.validation], sheet)
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        say(as_text(result, terminal_width()))
    return 0


def summary(files: Mapping[IdxFile, Found], splits: list[Split], sheet: Path | None) -> dict[str, Any]:
    """Return the result as ``--json`` prints it. The test images are verified and counted, but not opened."""
    from under20k.data import TEST

    counts: dict[str, Any] = {
        split.name: {"images": len(split), "class_counts": split.class_counts().tolist()} for split in splits
    }
    counts["test"] = {"images": TEST[1].shape[0], "class_counts": None}
    return {
        "folder": ", ".join(dict.fromkeys(str(found.path.parent) for found in files.values())),
        "source": ", ".join(dict.fromkeys(found.source for found in files.values())),
        "files": [
            {
                "name": found.file.name,
                "path": str(found.path),
                "source": found.source,
                "size_bytes": found.file.size,
                "sha256": found.file.sha256,
            }
            for found in files.values()
        ],
        "splits": counts,
        "contact_sheet": None if sheet is None else str(sheet),
    }


def as_text(result: Mapping[str, Any], width: int | None) -> str:
    """Return ``summary`` as text, its tables at most ``width`` columns wide; None does not limit them."""
    from under20k.report.tables import Table
    from under20k.report.words import NOTHING, signed

    facts = {"folder": result["folder"], "source": result["source"], "contact sheet": result["contact_sheet"]}
    lines = [signed(True, "MNIST is complete and verified")]
    for name, value in facts.items():
        if value:
            lines.append(f"{name + ':':<14} {value}")
    files = Table(
        ("File", "Bytes", "SHA-256, verified"),
        tuple((file["name"], f"{file['size_bytes']:,}", file["sha256"]) for file in result["files"]),
        align="lrl",
        shortens=("SHA-256, verified",),
    )
    rows = tuple(
        (
            name,
            f"{split['images']:,}",
            *([NOTHING] * 10 if split["class_counts"] is None else map("{:,}".format, split["class_counts"])),
        )
        for name, split in result["splits"].items()
    )
    splits = Table(
        ("Split", "Images", *map(str, range(10))),
        rows,
        notes=("The test images are verified and counted, but not opened.",),
        groups=(1,) * 11,
    )
    return "\n\n".join(("\n".join(lines), splits.text(width), files.text(width)))
