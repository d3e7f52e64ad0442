"""Where MNIST is downloaded from: the interface of a source, and the HTTPS mirrors."""

from __future__ import annotations

import contextlib
import http.client
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from under20k.data.events import Downloaded, OnFetch
from under20k.data.idx import Content, Damaged, IdxFile, read_gzip, verify

TIMEOUT_SECONDS = 5.0  # to connect, and for each read
DEADLINE_SECONDS = 600.0  # per file: a server that sends a byte now and then passes every other limit


class SourceFailed(Exception):
    """A source does not deliver a file; the message is the reason."""


class Source(Protocol):
    """Something outside this machine that delivers files."""

    @property
    def name(self) -> str:
        """Return the name that users see."""

    def fetch(
        self, files: Sequence[IdxFile], on_event: OnFetch
    ) -> Generator[tuple[IdxFile, Content], None, None]:
        """Yield each of ``files`` with its verified bytes. Raises SourceFailed at the first that fails."""


@dataclass(frozen=True)
class Mirror:
    """A web server's folder with the four files, gzip-compressed, under their usual names.

    ``url`` ends with a slash; ``timeout`` and ``deadline`` are in seconds.
    """

    url: str
    timeout: float = TIMEOUT_SECONDS
    deadline: float = DEADLINE_SECONDS

    @property
    def name(self) -> str:
        return self.url

    def fetch(
        self, files: Sequence[IdxFile], on_event: OnFetch
    ) -> Generator[tuple[IdxFile, Content], None, None]:
        """Yield each of ``files``, verified. Raises SourceFailed."""
        for file in files:
            try:
                content = self.download(file, on_event)
                verify(content, file)
            except Damaged as error:
                raise SourceFailed(f"{file.name}.gz {error}") from None
            except (OSError, http.client.HTTPException, ValueError) as error:
                # ValueError: a proxy setting or a redirect that is not a valid address
                raise SourceFailed(self.reason(error)) from None
            yield file, content

    def download(self, file: IdxFile, on_event: OnFetch) -> Content:
        """Return the unpacked file, not verified. Raises SourceFailed, Damaged or what urllib raises."""
        end = time.monotonic() + self.deadline
        url = f"{self.url}{file.name}.gz"
        with urllib.request.urlopen(url, timeout=self.timeout) as response:

            def read(size: int) -> bytes:
                if time.monotonic() > end:
                    raise SourceFailed(f"{file.name}.gz took longer than {self.deadline:g} s")
                # read1 returns what has arrived; read would wait for all of it, past the deadline.
                data: bytes = response.read1(size)
                return data

            return read_gzip(read, file, lambda done: on_event(Downloaded(file.name, done, file.size)))

    def reason(self, error: Exception) -> str:
        """Return the cause of a failed download, without the layers that urllib wraps around it."""
        if isinstance(error, urllib.error.HTTPError):
            error.close()
            return f"HTTP {error.code} {error.reason}"
        if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
            return self.reason(error.reason)
        if isinstance(error, OSError) and error.strerror:
            return error.strerror
        if isinstance(error, TimeoutError):  # raised by Python; the system's own have a strerror
            return f"no answer within {self.timeout:g} s"
        return str(error) or type(error).__name__


MIRRORS = (
    Mirror("https://ossci-datasets.s3.amazonaws.com/mnist/"),
    Mirror("https://storage.googleapis.com/cvdf-datasets/mnist/"),
)


@contextlib.contextmanager
def sigterm_unwinds() -> Iterator[None]:
    """Let SIGTERM raise SystemExit(143) during the block, so that temporary files are removed.

    Does nothing where the program has its own handler, or outside the main thread, where Python allows none.
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
