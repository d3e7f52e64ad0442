"""The interface of a source of files."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from typing import Protocol

from under20k.data.events import OnFetch
from under20k.data.idx import Content, IdxFile


class SourceFailed(Exception):
    """A source does not give a file; the message is the reason."""


class Source(Protocol):
    """Somewhere outside this machine that files come from."""

    @property
    def name(self) -> str:
        """What the source is called towards the user."""

    def fetch(
        self, files: Sequence[IdxFile], on_event: OnFetch
    ) -> Generator[tuple[IdxFile, Content], None, None]:
        """Each of ``files`` with its verified bytes. Raises SourceFailed at the first that cannot be had."""


@contextlib.contextmanager
def sigterm_unwinds() -> Iterator[None]:
    """For the time of the block, SIGTERM raises SystemExit(143), so that temporaries are removed.

    Steps aside where the program has its own way with the signal, and off the main thread, where Python
    allows no handlers.
    """
    on_main_thread = threading.current_thread() is threading.main_thread()
    if not on_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def leave(*_: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
