"""What a place to train at is: an executor of ``concurrent.futures``, and the way its workers tell of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any, Protocol

Message = tuple[Any, ...]
"""What a worker tells: ``on_start``, ``on_step`` or ``on_epoch``, the task's index, and plain values."""


class Pool(Protocol):
    """Where trainings run."""

    @property
    def executor(self) -> Executor: ...

    @property
    def where(self) -> str:
        """In words: ``2 at a time``."""

    @property
    def away(self) -> bool:
        """Whether its workers share no folder with this process, so that results come back as files."""

    @property
    def crash(self) -> tuple[type[BaseException], ...]:
        """What a future raises whose worker died."""

    @property
    def tell(self) -> Callable[[Message], None]:
        """What a worker tells by; it travels with the task."""

    def heard(self) -> Sequence[Message]:
        """What workers have told since the last time."""

    def lost(self) -> Exception:
        """What to raise where trainings were cancelled, which nobody here does."""

    def news(self) -> Sequence[str]:
        """What has happened to the workers since the last time. Raises UserError where none can come."""
