"""Public figures to compare with, as their authors give them: single runs, most selected on the test set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Anchor:
    """One published figure."""

    name: str
    """Who published it, and what: short, for a picture."""
    parameters: int
    accuracy: float
    """A fraction; of one run."""
    split: str
    """test or validation."""
    selected: bool
    """Whether the split was watched every epoch, so that the figure is selected on it."""
    source: str


ANCHORS = (
    Anchor(
        "JoshWarn", 697, 0.9903, "test", True, "JoshWarn/Parameter-Efficient-MNIST: best of about 700 runs"
    ),
    Anchor(
        "adilsammar/woolly-of-cv", 3_762, 0.9952, "test", True, "adilsammar/woolly-of-cv: last epoch of 15"
    ),
    Anchor("woncoh1/era1", 9_768, 0.9957, "test", True, "woncoh1/era1: last epoch"),
    Anchor(
        "sagarigrandhi/EVA4",
        9_994,
        0.9961,
        "test",
        True,
        "sagarigrandhi/EVA4 S5 F7: last three epochs 99.61, 99.60, 99.60%",
    ),
    Anchor(
        "debasishsarangi88/ERA V4",
        18_614,
        0.9940,
        "validation",
        False,
        "debasishsarangi88/TSAI_ERA_V4_Session5_NN",
    ),
)
"""Nobody reports more than one seed."""
