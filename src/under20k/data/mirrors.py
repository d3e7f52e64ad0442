"""Web servers that hold the four files, gzip-compressed, under their usual names."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from under20k.data.events import Downloaded, OnFetch
from under20k.data.idx import Content, Damaged, IdxFile, read_gzip, verify
from under20k.data.sources import SourceFailed

TIMEOUT_SECONDS = 5.0  # to connect, and for each read
DEADLINE_SECONDS = 600.0  # for one file; a server that drips would pass every other limit


@dataclass(frozen=True)
class Mirror:
    """The folder of a web server; ``url`` ends with a slash."""

    url: str
    timeout: float = TIMEOUT_SECONDS
    deadline: float = DEADLINE_SECONDS

    @property
    def name(self) -> str:
        return self.url

    def fetch(
        self, files: Sequence[IdxFile], on_event: OnFetch
    ) -> Generator[tuple[IdxFile, Content], None, None]:
        """Each of ``files``, verified. Raises SourceFailed."""
        for file in files:
            try:
                content = self.download(file, on_event)
                verify(content, file)
            except Damaged as error:
                raise SourceFailed(f"{file.name}.gz {error}") from None
            except (OSError, http.client.HTTPException, ValueError) as error:
                # ValueError: a proxy setting or a redirection that is no address
                raise SourceFailed(self.reason(error)) from None
            yield file, content

    def download(self, file: IdxFile, on_event: OnFetch) -> Content:
        """The unpacked file, not verified. Raises SourceFailed, Damaged or what urllib raises."""
        end = time.monotonic() + self.deadline
        url = f"{self.url}{file.name}.gz"
        with urllib.request.urlopen(url, timeout=self.timeout) as response:

            def read(size: int) -> bytes:
                if time.monotonic() > end:
                    raise SourceFailed(f"{file.name}.gz took longer than {self.deadline:g} s")
                # read1 returns what has come: read would wait for all of it, past the deadline.
                data: bytes = response.read1(size)
                return data

            return read_gzip(read, file, lambda done: on_event(Downloaded(file.name, done, file.size)))

    def reason(self, error: Exception) -> str:
        """The cause of a failed download, without the layers that urllib puts around it."""
        if isinstance(error, urllib.error.HTTPError):
            error.close()
            return f"HTTP {error.code} {error.reason}"
        if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
            return self.reason(error.reason)
        if isinstance(error, OSError) and error.strerror:
            return error.strerror
        if isinstance(error, TimeoutError):  # ours; the system's own have a strerror
            return f"no answer within {self.timeout:g} s"
        return str(error) or type(error).__name__


MIRRORS = (
    Mirror("https://ossci-datasets.s3.amazonaws.com/mnist/"),
    Mirror("https://storage.googleapis.com/cvdf-datasets/mnist/"),
)
