"""Export a trained model to a folder, with the proof that the exported thing computes the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from under20k.data import Mnist, OnFetch, load
from under20k.data.events import ignore
from under20k.deploy.export.formats import Exporter, Format, Material, format_named
from under20k.deploy.export.model_card import model_card
from under20k.deploy.export.proof import ExportError, NotRun, Proof, prove
from under20k.deploy.model import Model
from under20k.engine.base import Images
from under20k.errors import UserError
from under20k.files import is_present, read_json, replacing_folder
from under20k.recipe.architecture import IMAGE_SIDE
from under20k.runs.names import safe_name

PROOF, README = "proof.json", "README.md"
NO_PROOF = "--no-proof was given"


@dataclass(frozen=True)
class Exported:
    """A folder that an export has made."""

    folder: Path
    files: tuple[str, ...]
    """Names of the exported files, without the proof and the README."""
    proof: Proof

    @property
    def all_files(self) -> tuple[str, ...]:
        """Return the names of everything in the folder."""
        return (*self.files, README, PROOF)

    def to_dict(self) -> dict[str, Any]:
        """Return what ``proof.json`` holds."""
        return self.proof.to_dict() | {"files": list(self.all_files)}


def export(
    model: Model,
    to: str,
    output: Path | None = None,
    *,
    proof: bool = True,
    overwrite: bool = False,
    data_dir: Path | None = None,
    on_event: OnFetch = ignore,
) -> Exported:
    """Export a model; the folder appears as a whole or not at all.

    Args:
        model: what to export.
        to: a format's name.
        output: the folder to make; by default ``exports/<model>-<format>``.
        proof: run the exported thing on the validation images.
        overwrite: replace an earlier export in that folder.
        data_dir: folder with MNIST, as for ``data.load``.
        on_event: called with the events of a download.

    Raises:
        UserError: a bad argument, a missing package or MNIST, a folder that cannot be written.
        ExportError: the export misses its format's tolerance.
    """
    format = format_named(to)
    exporter = format.exporter()
    model = replace(model, name=model.short_name)
    folder = output or default_folder(model, to)
    check_free(folder, overwrite)
    mnist = load(data_dir, on_event=on_event) if proof or format.calibrated else None
    material = _material(model, format, mnist, proof)
    with replacing_folder(folder) as temporary:
        files = exporter.export(model, temporary, material)
        found = _proof(model, format, exporter, temporary, files, mnist if proof else None)
        if found.faults:
            raise ExportError(f"the export of {model.name} to {to} fails: {'; '.join(found.faults)}")
        names = tuple(path.relative_to(temporary).as_posix() for path in files)
        exported = Exported(folder, names, found)
        _write(temporary / README, model_card(model, format, names, found))
        _write(temporary / PROOF, json.dumps(exported.to_dict(), indent=2, allow_nan=False) + "\n")
    return exported


def default_folder(model: Model, to: str) -> Path:
    """Return the folder of an export for which none is given."""
    return Path("exports") / f"{safe_name(model.short_name)}-{to}"


def check_free(folder: Path, overwrite: bool) -> None:
    """Raise UserError unless an export may be written to ``folder``: to a new one, or over an export."""
    if not folder.exists() and not folder.is_symlink():
        return
    if not folder.is_dir():
        raise UserError(f"{folder} is a file; name a folder with --output")
    if folder.resolve() == Path.cwd():
        raise UserError(
            f"{folder} is the current folder, which is not replaced; name one in it with --output"
        )
    held = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if not held:
        return
    if not is_present(folder / PROOF):
        raise UserError(f"{folder} holds files that are no export; name another folder with --output")
    if not overwrite:
        raise UserError(
            f"{folder} holds an export; replace it with --overwrite, or name another folder with --output"
        )
    content = read_json(folder / PROOF)
    written = content.get("files") if isinstance(content, dict) else None
    if others := sorted(held - set(written if isinstance(written, list) else [])):
        raise UserError(
            f"{folder} holds {others[0]}, which is no part of the export; move it away, or name another "
            "folder with --output"
        )


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def _material(model: Model, format: Format, mnist: Mnist | None, proof: bool) -> Material:
    accuracy = None
    if mnist and proof:
        digits = model.logits(mnist.validation.images).argmax(1)
        accuracy = int((digits == mnist.validation.labels).sum()) / len(mnist.validation)
    none: Images = np.zeros((0, IMAGE_SIDE, IMAGE_SIDE), np.uint8)
    return Material(accuracy, mnist.train.images if mnist and format.calibrated else none)


def _proof(
    model: Model,
    format: Format,
    exporter: Exporter,
    folder: Path,
    files: Sequence[Path],
    mnist: Mnist | None,
) -> Proof:
    shipped = files[:1] if format.alternatives else files
    size_bytes = sum(path.stat().st_size for path in shipped)
    if mnist is None:
        return Proof(format.name, model.name, size_bytes, format.tolerance, not_run=NO_PROOF)
    try:
        measured = exporter.measure(model, folder, mnist.validation.images)
    except NotRun as why:
        return Proof(format.name, model.name, size_bytes, format.tolerance, not_run=str(why), extra=why.extra)
    return prove(
        format.name, model, measured, mnist.validation, size_bytes=size_bytes, tolerance=format.tolerance
    )
