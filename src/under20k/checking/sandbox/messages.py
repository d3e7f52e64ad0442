"""Messages between the check, the process that runs models, and its forks: one JSON object a line."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from under20k.checking.profiles import Profile
from under20k.checking.source.syntax import Piece

FORKS = hasattr(os, "fork")
LOADED = b'{"loaded": true}\n'
"""Written by a model's process once its code has run; the report follows."""
REPORT_LIMIT_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Request:
    """One model to judge, and its limits."""

    path: str
    root: str
    folders: Sequence[str]
    current: str
    """Current folder of the command; the model's too."""
    package: str
    pieces: Sequence[Piece]
    name: str
    missing: str
    """Required constructor arguments missing from ``arguments``, and how the source passes them."""
    losses: Sequence[str]
    arguments: dict[str, object]
    profile: Profile
    time_limit_s: float
    loading_limit_s: float
    memory_limit_bytes: int
    weights: str | None
    split: str
    normalisation: tuple[float, float] | None
    """Mean and standard deviation, or None to infer them."""
    jail: str
    whole: bool
    """Whether the source runs whole before its definitions are tried."""
    reason: str = ""
    """Why it does not run whole."""
    seeds: Sequence[int] | None = None
    """To make initial weights for, if the model is to be trained; None to judge it."""
    preload: bool = True
    """Whether the packages that the source imports are imported before the fork."""

    def line(self) -> bytes:
        """Return the request as a line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def read(cls, line: str) -> Request:
        """Invert ``line``."""
        row = json.loads(line)
        given = row["normalisation"]
        row |= {"profile": Profile(**row["profile"]), "normalisation": tuple(given) if given else None}
        return cls(**row)


@dataclass(frozen=True)
class Answer:
    """The end of a model's process, and its report, which the model's own code may have written."""

    loaded: bool
    """Whether the source ran to its end."""
    ended: bool
    """Whether the process ended by itself, in time."""
    full: bool
    """Whether it filled the scratch folder."""
    code: int | None
    """Exit code, if it is known."""
    report: bytes

    def lines(self) -> bytes:
        """Return a line of JSON and, since the report may be anything, a line of its own for it."""
        row = {"loaded": self.loaded, "ended": self.ended, "full": self.full, "code": self.code}
        return json.dumps(row).encode() + b"\n" + self.report.replace(b"\n", b" ") + b"\n"

    @classmethod
    def read(cls, line: bytes, report: bytes) -> Answer:
        """Invert ``lines``. Raises ValueError or TypeError for anything else."""
        return cls(**json.loads(line), report=report)


def initial_file(seed: int) -> str:
    """Return the name of the file of initial weights in the scratch folder."""
    return f"initial-{seed}.safetensors"


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of ``data`` to an open file or pipe."""
    while data:
        data = data[os.write(descriptor, data) :]
