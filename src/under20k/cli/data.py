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
    print(json.dumps(result, indent=2) if arguments.json else as_text(result))
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


def as_text(result: dict[str, Any]) -> str:
    """Return ``summary`` as text."""
    lines = [f"folder  {result['folder']}", f"source  {result['source']}", ""]
    lines.append(f"{'file':<24}  {'bytes':>10}  SHA-256, verified")
    lines += [f"{file['name']:<24}  {file['size_bytes']:>10,}  {file['sha256']}" for file in result["files"]]
    lines += ["", f"{'split':<10}  {'images':>6}" + "".join(f"  {digit:>5}" for digit in range(10))]
    for name, split in result["splits"].items():
        classes = split["class_counts"]
        cells = "  not opened" if classes is None else "".join(f"  {count:>5,}" for count in classes)
        lines.append(f"{name:<10}  {split['images']:>6,}{cells}")
    if result["contact_sheet"]:
        lines += ["", f"contact sheet  {result['contact_sheet']}"]
    return "\n".join(lines)
