"""What was read in a picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from under20k.data.images.segment import Box
from under20k.drawing import Drawable
from under20k.formatting import percent, title

UNSURE = "?"
"""Stands for what was found and is not believed to be a digit."""


@dataclass(frozen=True, eq=False, repr=False)
class Digit(Drawable):
    """A digit that was found in a picture. Probabilities are calibrated, 0 to 1."""

    value: int | None
    """None: something was found, but it is not believed to be a digit."""
    probability: float
    """Of the most probable digit."""
    runner_up: int
    runner_up_probability: float
    box: Box
    """Where it is, in pixels of the upright picture."""
    line: int
    """Line of the page, counted from 0."""
    image: NDArray[np.uint8] = field(repr=False)
    """(28, 28), what the network saw."""
    likeliest: int
    """The most probable digit, believed or not."""

    def __str__(self) -> str:
        return UNSURE if self.value is None else str(self.value)

    def __repr__(self) -> str:
        instead = f", likeliest {self.likeliest}" if self.value is None else ""
        return f"Digit({self}{instead}, {percent(self.probability, 1)}, box {tuple(self.box)})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON, without the image."""
        return {
            "value": self.value,
            "probability": self.probability,
            "likeliest": self.likeliest,
            "runner_up": self.runner_up,
            "runner_up_probability": self.runner_up_probability,
            "line": self.line,
            "box": self.box._asdict(),
        }


class Digits(Drawable, list[Digit]):
    """The digits of a picture in reading order."""

    @property
    def text(self) -> str:
        """What the picture says: a line a line, "?" for what is not believed to be a digit."""
        return "\n".join("".join(map(str, line)) for line in self.lines())

    def lines(self) -> list[Digits]:
        """Return the digits of each line, from top to bottom."""
        numbers = dict.fromkeys(digit.line for digit in self)
        return [Digits(digit for digit in self if digit.line == number) for number in numbers]

    def __init__(self, digits: Iterable[Digit] = ()) -> None:
        super().__init__(digits)

    def __repr__(self) -> str:
        return f"Digits({title(' '.join(self.text.splitlines()))!r})"
