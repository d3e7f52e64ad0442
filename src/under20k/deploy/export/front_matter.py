"""The front matter of a model card: the YAML that the Hugging Face Hub reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from under20k.deploy.export.formats import Format
from under20k.deploy.export.proof import Proof
from under20k.deploy.model import Model

DATASET = "ylecun/mnist"
"""MNIST's name on the Hub."""
TASK = "image-classification"
TAGS = ("mnist", "digits", "handwritten-digits", "tiny")
VALIDATION = "MNIST, the 10,000 validation images held out of its training set"
TEST = "MNIST, test set"
PLAIN = re.compile("(?!(?:y|n|yes|no|on|off|true|false|null)$)[a-z][a-z0-9/-]*")
"""Texts that need no quotes in YAML."""


def front_matter(model: Model, format: Format, proof: Proof) -> str:
    """Return the front matter, with its lines of dashes.

    Args:
        model: what was exported.
        format: to what.
        proof: of the export.
    """
    license = model.origin.license if model.origin else None
    values: dict[str, Any] = {
        **({"license": license.lower()} if license else {}),
        "library_name": format.library,
        "pipeline_tag": TASK,
        "tags": [*TAGS, *format.tags],
        "datasets": [DATASET],
        "metrics": ["accuracy"],
    }
    if results := list(_results(model, proof)):
        values["model-index"] = [{"name": model.recipe.name, "results": results}]
    return "---\n" + "".join(f"{line}\n" for line in _lines(values)) + "---\n"


def validation_accuracy(model: Model, proof: Proof) -> float | None:
    """Return the export's accuracy on the validation images; the model's, if the export cannot differ."""
    if proof.accuracy is not None or proof.tolerance.may_change or model.origin is None:
        return proof.accuracy
    return model.origin.validation_accuracy


def test_accuracy(model: Model, proof: Proof) -> float | None:
    """Return the model's accuracy on the test images; None if the export may change predictions."""
    return None if proof.tolerance.may_change or model.origin is None else model.origin.test_accuracy


def _results(model: Model, proof: Proof) -> Iterator[dict[str, Any]]:
    accuracies = (
        ({"type": DATASET, "name": VALIDATION}, validation_accuracy(model, proof)),
        ({"type": DATASET, "name": TEST, "split": "test"}, test_accuracy(model, proof)),
    )
    for dataset, accuracy in accuracies:
        if accuracy is not None:
            yield {
                "task": {"type": TASK},
                "dataset": dataset,
                "metrics": [{"type": "accuracy", "value": round(accuracy, 6)}],
            }


def _lines(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield a mapping as YAML in block style."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield f"{key}:"
            yield from (f"  {line}" for line in _lines(value))
        elif isinstance(value, Sequence) and not isinstance(value, str):
            yield f"{key}:"
            for item in value:
                first, *others = _lines(item) if isinstance(item, Mapping) else [_scalar(item)]
                yield f"  - {first}"
                yield from (f"    {line}" for line in others)
        else:
            yield f"{key}: {_scalar(value)}"


def _scalar(value: str | float) -> str:
    """Return a value in YAML."""
    if not isinstance(value, str):
        return str(value)
    if PLAIN.fullmatch(value):
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    # YAML takes fewer characters as they are than JSON, and no pairs of surrogates.
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)
