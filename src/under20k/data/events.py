"""Events of a download of MNIST, as values passed to one callable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class SourceTried:
    """A source is tried for the missing files."""

    source: str


@dataclass(frozen=True)
class Downloaded:
    """Part of a file has arrived."""

    file: str
    done_bytes: int
    """Counted uncompressed, as is ``total_bytes``."""
    total_bytes: int


@dataclass(frozen=True)
class SourceDone:
    """The last source delivered all files, or failed."""

    outcome: str


@dataclass(frozen=True)
class FetchWarning:
    """A problem the user should fix, although the images may be found elsewhere."""

    text: str


FetchEvent = SourceTried | Downloaded | SourceDone | FetchWarning
OnFetch = Callable[[FetchEvent], None]


def ignore(event: object) -> None:
    """Do nothing with an event."""
