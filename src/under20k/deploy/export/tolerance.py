"""What an export may lose."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """What an export may lose."""

    logit_relative: float | None = None
    """Largest difference of a logit, relative to the range of the engine's logits; None allows any."""
    accuracy: float | None = None
    """Fraction of the validation images at most by which the accuracy may fall; None allows any."""
    may_change: bool = False
    """Whether predictions other than ties may change."""
    probability: float | None = None
    """Largest difference of a probability of an image, as the mean over the images; None allows any."""

    def __str__(self) -> str:
        logits, accuracy = self.logit_relative, self.accuracy
        parts = [
            f"no logit differs by more than {logits:g} of the logits' range" if logits is not None else "",
            "no prediction changes except ties" if not self.may_change else "",
            f"validation accuracy falls by at most {100 * accuracy:.2f} points"
            if accuracy is not None
            else "",
        ]
        return ", ".join(filter(None, parts)) or "any difference"


FP32 = Tolerance(logit_relative=1e-4, probability=1e-4)
INT8 = Tolerance(accuracy=0.0005, may_change=True, probability=0.05)
