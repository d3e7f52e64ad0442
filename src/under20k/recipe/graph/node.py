"""What all nodes of a graph have in common, and the checks of their fields.

Shapes: C channels, H rows, W columns of one image's values; F features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from under20k.errors import InvalidValue

Shape = tuple[int, ...]
"""(C, H, W) or (F,)."""
Pair = tuple[int, int]
"""Along rows and columns."""

MAX_SIZE = 2**24
"""Elements of any value or tensor, so that no product of sizes overflows."""


@dataclass(frozen=True, slots=True)
class Node:
    """An operation on the values of other nodes; fields that are weights hold the names of tensors."""

    op: ClassVar[str] = ""
    name: str
    inputs: tuple[str, ...]

    def result(self, shapes: Sequence[Shape]) -> Shape:
        """Return the shape of the result, of the inputs' shapes. Raises InvalidValue if they do not fit."""
        return shapes[0]

    def weights(self, shapes: Sequence[Shape]) -> dict[str, Shape]:
        """Return names and shapes of the trained tensors."""
        return {}

    def statistics(self, shapes: Sequence[Shape]) -> dict[str, Shape]:
        """Return names and shapes of the running statistics."""
        return {}

    def macs(self, shapes: Sequence[Shape]) -> int:
        """Return the multiply-accumulates for one image."""
        return 0

    def window(self, shapes: Sequence[Shape]) -> tuple[Pair, Pair]:
        """Return, along rows and columns, how many neighbours an element sees, and the step to the next."""
        return (1, 1), (1, 1)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"op": self.op} | {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in ((item.name, getattr(self, item.name)) for item in dataclasses.fields(self))
        }

    def refuse(self, problem: str) -> InvalidValue:
        """Return the error for a node that cannot be."""
        return InvalidValue(f"{self.name}: {problem}")

    def only(self, shapes: Sequence[Shape], rank: int) -> Shape:
        """Return the only input's shape. Raises InvalidValue for several, or another rank."""
        if len(shapes) != 1:
            raise self.refuse(f"{len(shapes)} inputs; expected one")
        if len(shapes[0]) != rank:
            expected = "(C, H, W)" if rank == 3 else "(F,)"
            raise self.refuse(f"an input of shape {shapes[0]}; expected {expected}")
        return shapes[0]

    def check_pair(self, field: str, low: int, high: int) -> None:
        """Make a field a pair of whole numbers from ``low`` to ``high``. Raises InvalidValue."""
        value = getattr(self, field)
        pair = tuple(value) if isinstance(value, list | tuple) else value
        whole = isinstance(pair, tuple) and all(is_whole(part, low, high) for part in pair)
        if not whole or len(pair) != 2:
            raise self.refuse(f"{field} {value!r:.80}; expected two whole numbers from {low} to {high}")
        object.__setattr__(self, field, pair)

    def check_whole(self, field: str, low: int, high: int) -> None:
        """Raise InvalidValue unless a field is a whole number from ``low`` to ``high``."""
        if not is_whole(value := getattr(self, field), low, high):
            raise self.refuse(f"{field} {value!r:.80}; expected a whole number from {low} to {high}")

    def check_shape(self, field: str) -> None:
        """Make a field a shape of up to eight sizes. Raises InvalidValue."""
        value = getattr(self, field)
        shape = tuple(value) if isinstance(value, list | tuple) else None
        if shape is None or len(shape) > 8 or not all(is_whole(size, 1, MAX_SIZE) for size in shape):
            raise self.refuse(f"{field} {value!r:.80}; expected up to eight sizes")
        object.__setattr__(self, field, shape)

    def check_number(self, field: str, low: float, high: float) -> None:
        """Make a field a float from ``low`` to ``high``. Raises InvalidValue."""
        value = getattr(self, field)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.refuse(f"{field} {value!r:.80}; expected a number from {low:g} to {high:g}")
        object.__setattr__(self, field, float(value))

    def check_choice(self, field: str, choices: Sequence[str]) -> None:
        """Raise InvalidValue unless a field is one of the choices."""
        if (value := getattr(self, field)) not in choices:
            raise self.refuse(f"{field} {value!r:.80}; expected one of {', '.join(choices)}")


def is_whole(value: object, low: int, high: int) -> bool:
    """Return whether a value is an int, not a bool, from ``low`` to ``high``."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a node's fields with tuples for JSON's lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
