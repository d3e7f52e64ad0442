"""The README of an export: what the files are, and the proof in lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from under20k.deploy.export.formats import Format
from under20k.deploy.export.proof import Proof
from under20k.deploy.model import Model
from under20k.formatting import percent


def readme(model: Model, format: Format, files: Sequence[str], proof: Proof) -> str:
    """Return the text of an export's README.md.

    Args:
        model: what was exported.
        format: to what.
        files: the names of the exported files.
        proof: of the export.
    """
    architecture = model.recipe.architecture
    lines = [
        f"# {model.recipe.name}: {format.title}",
        "",
        f"A classifier of handwritten digits with {architecture.parameters:,} parameters, `{architecture}`, "
        "trained and exported by under20k.",
        "",
        *(f"- `{name}`" for name in files),
        "",
        "## Proof",
        "",
        *(f"- {line}" for line in proof_lines(proof)),
    ]
    return "\n".join(lines) + "\n"


def proof_lines(proof: Proof) -> list[str]:
    """Return a proof as lines of text."""
    size = f"{proof.size_bytes:,} bytes"
    extra = [f"{name.replace('_', ' ')}: {_text(value)}" for name, value in proof.extra.items()]
    if proof.not_run:
        return [f"not run: {proof.not_run}, so nothing is proved", size, *extra]
    assert proof.accuracy is not None
    assert proof.engine_accuracy is not None
    assert proof.largest_logit_difference is not None
    assert proof.latency_s is not None
    ties = f", of which ties: {proof.ties}" if proof.ties else ""
    return [
        f"{percent(proof.accuracy)} of the 10,000 validation images are right, "
        f"{percent(proof.engine_accuracy)} in the engine that trained it",
        f"predictions changed: {proof.changed}{ties}",
        f"largest difference of a logit: {proof.largest_logit_difference:.1e} of their range",
        size,
        f"one image takes {1e6 * proof.latency_s:,.0f} µs ({proof.runtime})",
        *extra,
    ]


def _text(value: Any) -> str:
    """Return a value of ``Proof.extra`` as text; a mapping holds counts."""
    if isinstance(value, dict):
        return ", ".join(f"{count} {name}" for name, count in value.items()) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)
