"""Files that other programs renamed, packed or put elsewhere; folders in which layouts must end."""

import gzip
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.small_mnist import BYTES, CONTENT, FILES, write_keras
from under20k.data import VARIABLE, layouts
from under20k.data.fetch import GIVEN, obtain
from under20k.data.layouts import search
from under20k.errors import UserError


def renamed(rename: Callable[[str], str], pack: Callable[[bytes], bytes] = bytes) -> Callable[[Path], None]:
    """Writes the files under other names, in folders of them where the names have slashes."""

    def write(folder: Path) -> None:
        for file in FILES:
            path = folder / rename(file.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pack(CONTENT[file]))

    return write


def zipped(folder: Path) -> None:
    folder.mkdir()
    with zipfile.ZipFile(folder / "archive.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in FILES:
            archive.writestr(f"mnist/{file.name.replace('-idx', '.idx')}", CONTENT[file])


def keras_renamed(folder: Path) -> None:
    write_keras(folder)
    (folder / "mnist.npz").rename(folder / "mnist (1).npz")


LAYOUTS = {
    "dots": renamed(lambda name: name.replace("-idx", ".idx")),
    "dots, gzip": renamed(lambda name: f"{name.replace('-idx', '.idx')}.gz", gzip.compress),
    "folder of the name": renamed(lambda name: f"{name}/{name}"),
    "folder of the other name": renamed(lambda name: f"{name}/{name.replace('-idx', '.idx')}"),
    "upper case": renamed(str.upper),
    "upper case, gzip": renamed(lambda name: f"{name.upper()}.GZ", gzip.compress),
    "unpacked, still .gz": renamed(lambda name: f"{name}.gz"),
    "packed, without .gz": renamed(lambda name: name, gzip.compress),
    "a browser's second download": renamed(lambda name: f"{name} (1).gz", gzip.compress),
    "with .bin": renamed(lambda name: f"{name}.bin"),
    "deep": renamed(lambda name: f"data/vision/MNIST/raw/{name}"),
    "other names altogether": renamed(lambda name: f"x{sum(name.encode())}"),
    "zip": zipped,
    "Keras, renamed": keras_renamed,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("by", ["argument", "variable"])
def test_files_are_recognised_by_content(layout, by, tmp_path, cache, monkeypatch, log):
    folder = tmp_path / "given"
    LAYOUTS[layout](folder)
    before = sorted(folder.rglob("*"))
    if by == "variable":
        monkeypatch.setenv(VARIABLE, str(folder))
    files = obtain(FILES, folder if by == "argument" else None, sources=[], on_event=log)
    assert [found.content.tobytes() for found in files.values()] == BYTES
    assert {found.source for found in files.values()} == {GIVEN}
    assert sorted(folder.rglob("*")) == before
    if not layout.startswith(("unpacked", "packed")):
        assert log.warnings == []
    assert not cache.exists()


def test_a_sound_copy_of_another_name_replaces_a_damaged_one(tmp_path, cache, log):
    LAYOUTS["dots"](tmp_path)
    (tmp_path / FILES[0].name).write_bytes(BYTES[0][:-1] + b"?")
    assert [
        found.content.tobytes() for found in obtain(FILES, tmp_path, sources=[], on_event=log).values()
    ] == BYTES
    assert len(log.warnings) == 1


def test_other_bytes_of_the_same_size_are_skipped(tmp_path):
    (tmp_path / "a").write_bytes(BYTES[0][:-1] + b"?")
    assert search(tmp_path, FILES)[0] == {}
    (tmp_path / "b").write_bytes(BYTES[0])
    assert search(tmp_path, FILES)[0][FILES[0]][0] == tmp_path / "b"


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "nowhere").symlink_to(tmp_path / "nothing")
    (tmp_path / "linked").symlink_to(tmp_path / "there" / "file")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_bytes(BYTES[1])
    started = time.monotonic()
    found, complete = search(tmp_path, FILES)
    assert (set(found), complete) == ({FILES[1]}, True)
    assert time.monotonic() - started < 2


def test_the_search_of_a_large_folder_is_limited_and_reported(tmp_path, cache, monkeypatch):
    for number in range(30):
        (tmp_path / f"{number}").touch()
    assert search(tmp_path, FILES)[1]
    for limit in (("ENTRIES", 20), ("SECONDS", -1.0)):
        with monkeypatch.context() as patch:
            patch.setattr(layouts, *limit)
            assert not search(tmp_path, FILES)[1]
            with pytest.raises(UserError, match="the search was cut short"):
                obtain(FILES, tmp_path, sources=[])
    deep = tmp_path.joinpath(*"abcdefgh")
    deep.mkdir(parents=True)
    (deep / FILES[0].name).write_bytes(BYTES[0])
    assert search(tmp_path, FILES) == ({}, False)


def test_the_root_of_the_file_system_is_searched_in_seconds(cache):
    started = time.monotonic()
    with pytest.raises(UserError, match="lacks"):
        obtain(FILES, Path("/"), sources=[])
    assert time.monotonic() - started < layouts.SECONDS + 10


@pytest.mark.parametrize("content", [b"\x1f\x8b\x08", b"PK\x03\x04", b"", b"\x1f\x8b\x08" + bytes(50)])
def test_files_that_only_begin_like_archives_are_skipped(content, tmp_path):
    (tmp_path / "file").write_bytes(content)
    (tmp_path / "of_the_size").write_bytes(content.ljust(FILES[1].size, b"\0"))
    # A gzip that says it unpacks to the right size.
    (tmp_path / "claims").write_bytes(content + FILES[1].size.to_bytes(4, "little"))
    assert search(tmp_path, FILES)[0] == {}


def test_a_missing_folder_is_reported_at_once(tmp_path, cache, log):
    LAYOUTS["dots"](cache)
    for file in FILES:
        (cache / file.name).write_bytes(CONTENT[file])
    (tmp_path / "mnist").mkdir()
    obtain(FILES, tmp_path / "mnits", sources=[], on_event=log)
    (warning,) = log.warnings
    assert warning.startswith(f"there is no folder {tmp_path / 'mnits'}")
    assert warning.endswith(f"did you mean {tmp_path / 'mnist'}?")
    assert not (tmp_path / "mnits").exists()


# Of a user without a home folder: no HOME, no entry in the passwd file

HOMELESS = """
import os, pwd, sys
def nobody(*_):
    raise KeyError("getpwuid(): uid not found")
pwd.getpwuid = pwd.getpwnam = nobody
from under20k.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def homeless(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    command = [sys.executable, "-c", HOMELESS, *words]
    return subprocess.run(
        command, cwd=folder, env=kept | variables, capture_output=True, text=True, timeout=300
    )


def test_without_a_home_the_given_folder_is_used(tmp_path, mnist):
    """Through training and its pictures, for whose library a home is no matter either."""
    from under20k.data import locate

    (folder,) = {found.path.parent for found in locate().values()}
    words = ("train", "minimal", "--architecture", "4p,6p|l", "--epochs", "1")
    done = homeless(tmp_path, *words, UNDER20K_DATA_DIR=str(folder))
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("runs/*/curves.png"))
    assert homeless(tmp_path, "data", "--no-sheet", "--data-dir", str(folder)).returncode == 0


def test_without_home_and_folder_the_error_is_one_line(tmp_path):
    done = homeless(tmp_path, "data", "--no-sheet")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "under20k: this user has no home folder to store MNIST in; name a folder with --data-dir "
        "or UNDER20K_DATA_DIR, or set HOME\n"
    )


def test_without_a_home_a_tilde_is_an_error(tmp_path):
    done = homeless(tmp_path, "data", "--no-sheet", "--data-dir", "~/mnist")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "under20k: --data-dir is '~/mnist', but there is no such home folder; give the full path\n"
    )
