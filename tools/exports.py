"""Export models to every format, and keep the proofs for docs/export.md.

``python -m tools.exports`` exports the pretrained models of the named recipes; other models, run folders
too, may be named in their place. It writes results/exports.json; ``make readme`` makes the page's table. With
``--format`` it measures one format and keeps the others' proofs. Run it on an idle machine: the proofs hold
the time of one image.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from under20k.deploy.card import names
from under20k.deploy.export.export import export
from under20k.deploy.export.formats import FORMATS
from under20k.deploy.model import load
from under20k.engine.machine import cores
from under20k.files import read_json, write_json
from under20k.formatting import percent
from under20k.recipe.named import RECIPES
from under20k.report.tables import Table
from under20k.runs.provenance import processor

JSON = Path(__file__).parent.parent / "results" / "exports.json"
SHOWN, SHOWN_FORMATS = "minimal", ("onnx", "onnx-int8", "c-int8")
"""In README."""


def main(arguments: Sequence[str]) -> int:
    """Export, write the proofs, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.exports", description=__doc__)
    parser.add_argument("models", nargs="*", default=recipes(), metavar="MODEL")
    parser.add_argument("--format", choices=FORMATS, help="the only one to measure (default: all)")
    parser.add_argument("--output", type=Path, default=JSON, help="default: results/exports.json")
    options = parser.parse_args(arguments)
    formats = [options.format] if options.format else list(FORMATS)
    proofs = proved(options.models, formats)
    measured = {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor(),
        "cores": cores().amount,
        "load": round(os.getloadavg()[0], 1),
    }
    if options.format:
        before = read_json(options.output)
        measured["load"] = max(measured["load"], before["load"])
        proofs = merged(before["proofs"], proofs)
    write_json(options.output, measured | {"proofs": proofs})
    return 0


def merged(before: Sequence[dict[str, Any]], proofs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return proofs, each in the place of an earlier one of its model and format, in the formats' order."""
    found = {(proof["model"], proof["format"]): proof for proof in (*before, *proofs)}
    models = list(dict.fromkeys(model for model, _ in found))
    order = list(FORMATS)
    return sorted(
        found.values(), key=lambda proof: (models.index(proof["model"]), order.index(proof["format"]))
    )


def recipes() -> list[str]:
    """Return the named recipes with a pretrained model."""
    return [name for name in RECIPES if name in names()]


def proved(models: Sequence[str], formats: Sequence[str]) -> list[dict[str, Any]]:
    """Return the proofs of every model in every format of those named. Raises UserError if one fails."""
    found = []
    for name in models:
        model = load(name)
        for format in formats:
            with tempfile.TemporaryDirectory() as folder:
                proof = export(model, format, Path(folder) / "export").proof
            print(f"{proof.model} {format}: {proof.not_run or percent(proof.accuracy or 0)}", file=sys.stderr)
            found.append({"recipe": model.recipe.name, **proof.to_dict()})
    return found


def proofs_section(path: Path = JSON) -> str:
    """Return the page's table, or how to measure it if there is no measurement."""
    if not path.exists():
        return "Not measured yet: `python -m tools.exports` does it."
    return section(read_json(path))


def short_section(path: Path = JSON) -> str:
    """Return the proofs of one recipe in the formats that README names."""
    proofs = [row(proof) for proof in read_json(path)["proofs"] if proof["recipe"] == SHOWN]
    rows = tuple((line[1], line[2], line[4], line[6]) for line in proofs if line[1] in SHOWN_FORMATS)
    return Table(
        ("Format", "Accuracy", "Predictions changed", "Bytes of files"), rows, align="lrrr"
    ).markdown()


def section(measured: Mapping[str, Any]) -> str:
    """Return the table of the proofs, and where they were made."""
    proofs = measured["proofs"]
    header = ("Recipe", "Format", "Accuracy", "Engine's", "Changed", "Logits differ by", "Bytes", "One image")
    table = Table(header, tuple(map(row, proofs)), align="ll" + "r" * 6).markdown()
    runtimes = dict.fromkeys(proof["runtime"] for proof in proofs if proof["runtime"])
    busy = measured["load"] >= measured["cores"] / 2
    caveat = f" Other work ran at the same time (a load of {measured['load']:.0f}), so times are too long."
    return (
        f"{table}\n\n{measured['processor']}, {measured['cores']} cores, {measured['date']}; "
        f"{'; '.join(runtimes)}.{caveat if busy else ''} `python -m tools.exports` measures it."
    )


def row(proof: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a proof as a row of the table."""
    name = (proof["recipe"], proof["format"])
    size = f"{proof['size_bytes']:,}"
    if proof["not_run"]:
        return (*name, "not run", "–", "–", "–", size, "–")
    changed, ties = proof["changed"], proof["ties"]
    return (
        *name,
        percent(proof["accuracy"]),
        percent(proof["engine_accuracy"]),
        f"{changed} (ties: {ties})" if ties else str(changed),
        f"{proof['largest_logit_difference']:.0e}",
        size,
        f"{1e6 * proof['latency_s']:,.0f} µs",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
