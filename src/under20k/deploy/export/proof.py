"""The proof of an export: what it computes in its own runtime, compared with the engine.

Shapes: N validation images, 10 classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from under20k.data import Split
from under20k.deploy.calibration import softmax
from under20k.deploy.export.tolerance import Tolerance
from under20k.deploy.model import Model
from under20k.errors import UserError
from under20k.formatting import percent

TIE = 1e-4
"""Two logits closer than this, relative to their range, are a tie: rounding may exchange them."""
SOFTMAX_ERROR = 1e-5
"""How far a probability may be from the softmax of the export's own logits."""

Logits = NDArray[np.float32]


class ExportError(UserError):
    """An export that is not what its format promises; the command's exit code is 1."""


class NotRun(Exception):
    """The exported thing cannot be run on this machine; the message says why, without a full stop.

    ``extra`` holds what is known all the same, for ``Proof.extra``.
    """

    def __init__(self, why: str, extra: Mapping[str, Any] | None = None) -> None:
        super().__init__(why)
        self.extra = dict(extra or {})


@dataclass(frozen=True)
class Measured:
    """What an exported thing gave in its own runtime: logits, probabilities or both."""

    runtime: str
    """``onnxruntime 1.27.0, CPU, 1 thread``."""
    latency_s: float
    """Median time of one image."""
    logits: Logits | None = None
    """(N, 10)."""
    probabilities: NDArray[np.floating[Any]] | None = None
    """(N, 10)."""
    size_bytes: int | None = None
    """What a user ships; by default the exported files."""
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Proof:
    """An export compared with the engine on the validation images; None is what was not measured."""

    format: str
    model: str
    size_bytes: int
    tolerance: Tolerance
    accuracy: float | None = None
    engine_accuracy: float | None = None
    largest_logit_difference: float | None = None
    """Relative to the range of the engine's logits; of the probabilities where there are no logits."""
    changed: int | None = None
    """Predictions that differ from the engine's."""
    ties: int | None = None
    """Those of them where the engine's two largest logits are a tie."""
    probability_difference: float | None = None
    """Between the model's probabilities and the export's: of each image the largest, of those the mean."""
    latency_s: float | None = None
    """Median time of one image."""
    runtime: str = ""
    passed: bool | None = None
    faults: tuple[str, ...] = ()
    """What misses the tolerance."""
    not_run: str = ""
    """Why the export was not run; empty if it was."""
    extra: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self) | {"faults": list(self.faults)}


def prove(
    format: str,
    model: Model,
    measured: Measured,
    validation: Split,
    *,
    size_bytes: int,
    tolerance: Tolerance,
) -> Proof:
    """Return the comparison of an export with the engine.

    Args:
        format: name of the export's format.
        model: what was exported.
        measured: what the export gave on the validation images.
        validation: the images and labels.
        size_bytes: of the exported files.
        tolerance: what the export may lose.
    """
    engine = model.logits(validation.images)
    span = float(engine.max() - engine.min()) or 1.0  # 0 where a network ignores its image
    scores = measured.probabilities if measured.logits is None else measured.logits
    if scores is None or scores.shape != engine.shape:
        raise ValueError(f"{format} gave {None if scores is None else scores.shape}, not {engine.shape}")
    own = model.probabilities_of(engine)
    ours = softmax(scores, model.temperature) if measured.probabilities is None else measured.probabilities
    apart = float(np.abs(ours - own).max(1).mean())
    difference = _largest(scores, own) if measured.logits is None else _largest(scores, engine) / span
    predicted, expected = scores.argmax(1), engine.argmax(1)
    changed = predicted != expected
    best = np.sort(engine[changed], 1)
    ties = int((best[:, -1] - best[:, -2] <= TIE * span).sum())
    accuracy = _fraction(predicted == validation.labels)
    engine_accuracy = _fraction(expected == validation.labels)
    faults = (
        *_too_different(difference, tolerance),
        *_changed(int(changed.sum()) - ties, tolerance),
        *_too_inaccurate(accuracy, engine_accuracy, tolerance),
        *_wrong_softmax(measured, model.temperature),
        *_wrong_probabilities(apart, tolerance),
    )
    return Proof(
        format,
        model.name,
        size_bytes if measured.size_bytes is None else measured.size_bytes,
        tolerance,
        accuracy,
        engine_accuracy,
        largest_logit_difference=difference,
        changed=int(changed.sum()),
        ties=ties,
        probability_difference=apart,
        latency_s=measured.latency_s,
        runtime=measured.runtime,
        passed=not faults,
        faults=faults,
        extra=measured.extra,
    )


def _too_different(difference: float, tolerance: Tolerance) -> Iterator[str]:
    limit = tolerance.logit_relative
    if limit is not None and not difference <= limit:  # so that NaN is a fault, too
        yield f"a logit differs by {difference:.2g} of their range; at most {limit:g} is allowed"


def _changed(predictions: int, tolerance: Tolerance) -> Iterator[str]:
    if predictions and not tolerance.may_change:
        yield f"{predictions} predictions change that are no ties; none may"


def _too_inaccurate(accuracy: float, engine: float, tolerance: Tolerance) -> Iterator[str]:
    limit = tolerance.accuracy
    if limit is not None and engine - accuracy > limit + 1e-9:
        yield (
            f"validation accuracy falls from {percent(engine)} to {percent(accuracy)}; at most "
            f"{100 * limit:.2f} points are allowed"
        )


def _wrong_softmax(measured: Measured, temperature: float) -> Iterator[str]:
    if measured.logits is not None and measured.probabilities is not None:
        difference = _largest(measured.probabilities, softmax(measured.logits, temperature))
        if not difference <= SOFTMAX_ERROR:
            yield f"a probability differs from the softmax of the logits by {difference:.2g}"


def _wrong_probabilities(difference: float, tolerance: Tolerance) -> Iterator[str]:
    limit = tolerance.probability
    if limit is not None and not difference <= limit:
        yield f"the probabilities differ by {difference:.2g} on average; at most {limit:g} is allowed"


def _largest(ours: NDArray[np.floating[Any]], theirs: NDArray[np.floating[Any]]) -> float:
    return float(np.abs(ours.astype(np.float64) - theirs).max())


def _fraction(hits: NDArray[np.bool_]) -> float:
    return int(hits.sum()) / len(hits)
