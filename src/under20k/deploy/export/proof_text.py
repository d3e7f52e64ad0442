"""The proof of an export as text, for its model card and for the terminal."""

from __future__ import annotations

from typing import Any

from under20k.deploy.export.proof import Proof
from under20k.formatting import percent


def proof_part(proof: Proof) -> list[str]:
    """Return the lines of a model card that hold the proof."""
    how = (
        "The exported network was run on MNIST's 10,000 validation images and compared with under20k's own "
        "engine"
    )
    return [
        "## Proof",
        "",
        f"Nothing is proved: {proof.not_run}." if proof.not_run else f"{how}; it is {verdict(proof)}.",
        "",
        *(f"- {name}: {value}" for name, value in proof_facts(proof).items()),
    ]


def verdict(proof: Proof) -> str:
    """Return whether an export is what its format promises, and what that is."""
    if proof.not_run:
        return f"not proved: {proof.not_run}"
    return f"{'within' if proof.passed else 'outside'} the tolerance ({proof.tolerance})"


def proof_facts(proof: Proof) -> dict[str, str]:
    """Return what was measured, as text by its name."""
    facts = {}
    if not proof.not_run:
        assert proof.accuracy is not None
        assert proof.engine_accuracy is not None
        assert proof.latency_s is not None
        ties = f", of which ties: {proof.ties}" if proof.ties else ""
        facts = {
            "validation accuracy": f"{percent(proof.accuracy)}; the engine's is "
            f"{percent(proof.engine_accuracy)}",
            "predictions changed": f"{proof.changed}{ties}",
            "largest difference of a logit": f"{proof.largest_logit_difference:.1e} of the logits' range",
            "time of one image": f"{1e6 * proof.latency_s:,.0f} µs",
            "runtime": proof.runtime,
        }
    extra = {name.replace("_", " "): _text(value) for name, value in proof.extra.items()}
    return facts | {"size": f"{proof.size_bytes:,} bytes"} | extra


def _text(value: Any) -> str:
    """Return a value of ``Proof.extra`` as text; a mapping holds counts."""
    if isinstance(value, dict):
        return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in value.items()) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)
