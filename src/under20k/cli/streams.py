"""Streams that outlive their reader: a lost progress message is no reason to end a training."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any


class Unfailing:
    """A text stream that forwards everything, and drops text that cannot be written: to a full disk, to a
    reader that has exited, or to a closed stream.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def isatty(self) -> bool:
        try:
            return bool(self._stream.isatty())
        except (OSError, ValueError):
            return False


@contextlib.contextmanager
def unfailing_stderr() -> Iterator[None]:
    """Make ``sys.stderr`` an ``Unfailing`` stream during the block."""
    before = sys.stderr
    sys.stderr = Unfailing(before)
    try:
        yield
    finally:
        sys.stderr = before


class Unread:
    """A text stream that forwards everything, until its reader (head, less) has exited."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except BrokenPipeError:
            give_up_stdout()
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            give_up_stdout()


@contextlib.contextmanager
def unread_stdout() -> Iterator[None]:
    """Let what the block does beside printing go on when the reader of ``sys.stdout`` has exited."""
    before = sys.stdout
    sys.stdout = Unread(before)
    try:
        yield
    finally:
        sys.stdout = before


def give_up_stdout() -> None:
    """Discard unwritable output in stdout's buffer, which Python would retry, and report, at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
