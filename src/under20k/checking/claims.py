"""Figures that a source claims: epochs and accuracies, in its code, its texts and its stored outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from under20k.checking.sources import Source


@dataclass(frozen=True)
class Claims:
    """What was found, each with its place; nothing of it is verified."""

    def to_dict(self) -> dict[str, Any]:
        """What is claimed, as JSON."""
        return {}


def claims(source: Source) -> Claims:
    """The claims of a source."""
    return Claims()
