"""Export a trained model, with the proof that the exported thing computes the same.

The exported thing is run in its own runtime on the 10,000 validation images and compared with the engine. An
export that misses its format's tolerance fails with exit code 1 and leaves nothing behind.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from under20k.cli.options import add_data_dir, add_quiet, display
from under20k.cli.own_weights import OWN, add_weights_options, check_weights_options, own_model_argument
from under20k.deploy.export.formats import FORMATS
from under20k.errors import shown
from under20k.recipe.own_model import is_target


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``under20k export``."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a pretrained model ('under20k recipes' lists them), or the folder of a run, a record or "
        f"a hub-folder; {OWN}",
    )
    parser.add_argument("--to", required=True, choices=FORMATS, help="the format (docs/export.md)")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="the folder to make (default: exports/ and the names of model and format)",
    )
    parser.add_argument(
        "--no-proof", action="store_true", help="do not run the exported thing; its files say so"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier export in that folder")
    add_data_dir(parser)
    parser.add_argument("--json", action="store_true", help="print the proof as JSON")
    add_weights_options(parser)
    add_quiet(parser)


def run(arguments: argparse.Namespace) -> int:
    """Export, and return the exit code. Raises UserError."""
    from under20k.deploy.export.export import export
    from under20k.deploy.export.proof import ExportError
    from under20k.deploy.export.proof_text import proof_facts, verdict
    from under20k.deploy.model import load
    from under20k.interactive.terminal import say
    from under20k.report.words import PASSED

    check_weights_options(arguments, arguments.model)
    own = is_target(arguments.model)
    model = own_model_argument(arguments, arguments.model) if own else load(arguments.model)
    try:
        with display(arguments) as shown_by:
            exported = export(
                model,
                arguments.to,
                arguments.output,
                proof=not arguments.no_proof,
                overwrite=arguments.overwrite,
                data_dir=arguments.data_dir,
                on_event=shown_by,
            )
    except ExportError as error:
        say(f"under20k: {shown(str(error))}", sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps({"folder": str(exported.folder), **exported.to_dict()}, indent=2))
        return 0
    sign = f"{PASSED} " if exported.proof.passed else ""
    say(f"{sign}{shown(verdict(exported.proof))}\n")
    facts = {"folder": str(exported.folder), "files": ", ".join(exported.all_files)}
    facts |= proof_facts(exported.proof)
    width = max(map(len, facts)) + 2
    for name, value in facts.items():
        say(f"{name + ':':<{width}}{shown(value)}", indent=" " * width)
    return 0
