import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.small_mnist import ARRAYS, BYTES, CONTENT, FILES, write_gzip, write_keras, write_plain
from under20k.data.fetch import GIVEN, obtain
from under20k.data.layouts import look
from under20k.errors import UserError

LAYOUTS = {
    "plain": write_plain,
    "gzip": write_gzip,
    "torchvision": lambda folder: write_plain(folder / "MNIST" / "raw"),
    "torchvision, from the MNIST folder": lambda folder: write_plain(folder / "raw"),
    "torchvision, gzip": lambda folder: write_gzip(folder / "MNIST" / "raw"),
    "Keras": write_keras,
    "Keras, from its home folder": lambda folder: write_keras(folder / "datasets"),
}


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def refuse(complaint: str) -> None:
    pytest.fail(complaint)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read_and_left_unchanged(layout, tmp_path, cache):
    folder = tmp_path / "given"
    LAYOUTS[layout](folder)
    before = snapshot(folder)
    files = obtain(FILES, folder, sources=[])
    for file, array in zip(FILES, ARRAYS, strict=True):
        assert np.array_equal(files[file].array, array)
    assert {found.source for found in files.values()} == {GIVEN}
    assert all(found.path.is_file() and found.path.is_relative_to(folder) for found in files.values())
    assert snapshot(folder) == before
    assert not cache.exists()


def test_a_folder_without_the_file_gives_none(tmp_path):
    assert look(tmp_path, FILES[0], refuse) is None
    assert look(tmp_path / "absent", FILES[0], refuse) is None


def test_a_sound_copy_in_another_layout_replaces_a_damaged_one(tmp_path):
    write_gzip(tmp_path)
    (tmp_path / FILES[0].name).write_bytes(BYTES[0][:-1] + b"?")
    complaints: list[str] = []
    path, content = look(tmp_path, FILES[0], complaints.append)
    assert path == tmp_path / f"{FILES[0].name}.gz"
    assert content.tobytes() == BYTES[0]
    (complaint,) = complaints
    assert str(tmp_path / FILES[0].name) in complaint
    assert FILES[0].sha256 in complaint


def awkward(kind: str, path: Path) -> None:
    """Put something at ``path`` that is not a readable file."""
    match kind:
        case "folder":
            path.mkdir()
        case "named pipe":
            os.mkfifo(path)
        case "link to itself":
            path.symlink_to(path.name)
        case "empty":
            path.touch()


@pytest.mark.parametrize("kind", ["folder", "named pipe", "link to itself", "empty"])
@pytest.mark.parametrize("name", [FILES[0].name, f"{FILES[0].name}.gz", "mnist.npz"])
def test_unreadable_files_are_reported(kind, name, tmp_path):
    awkward(kind, tmp_path / name)
    complaints: list[str] = []
    assert look(tmp_path, FILES[0], complaints.append) is None
    (complaint,) = complaints
    assert complaint.startswith(str(tmp_path / name))


def complaint_of(archive: Path) -> str:
    complaints: list[str] = []
    assert look(archive.parent, FILES[0], complaints.append) is None
    (complaint,) = complaints
    return complaint


class Exploit:
    def __reduce__(self):
        return pytest.fail, ("it was unpickled",)


def test_a_pickle_in_an_archive_is_never_loaded(tmp_path):
    archive = tmp_path / "mnist.npz"
    np.savez(archive, x_train=np.array([Exploit()], dtype=object), allow_pickle=True)
    assert "x_train.npy of shape (1,) and type object" in complaint_of(archive)
    with zipfile.ZipFile(archive, "w") as bare:
        bare.writestr("x_train.npy", pickle.dumps(Exploit()))
    assert "not a valid .npz" in complaint_of(archive)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (ARRAYS[0].astype(np.int64), "int64"),
        (np.asfortranarray(ARRAYS[0]), "x_train.npy of shape"),
        (ARRAYS[0][:-1], "(59, 28, 28)"),
        (ARRAYS[0] ^ 1, "SHA-256"),
    ],
)
def test_an_archive_with_another_array_is_refused(array, words, tmp_path):
    np.savez(tmp_path / "mnist.npz", x_train=array)
    assert words in complaint_of(tmp_path / "mnist.npz")


def test_an_archive_without_the_array_is_refused(tmp_path):
    np.savez(tmp_path / "mnist.npz", y_train=ARRAYS[1])
    assert "has no x_train.npy" in complaint_of(tmp_path / "mnist.npz")


def test_an_archive_that_claims_more_data_than_it_has_is_refused(tmp_path):
    np.savez(tmp_path / "whole.npz", x_train=ARRAYS[0])
    with (
        zipfile.ZipFile(tmp_path / "whole.npz") as whole,
        zipfile.ZipFile(tmp_path / "mnist.npz", "w") as cut,
    ):
        cut.writestr("x_train.npy", whole.read("x_train.npy")[:-5])
    assert "of 47,056 bytes" in complaint_of(tmp_path / "mnist.npz")


@given(data=st.data())
def test_no_alteration_of_an_archive_passes_or_escapes(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("keras")
    write_keras(folder)
    archive = folder / "mnist.npz"
    content = bytearray(archive.read_bytes())
    near_structure = st.one_of(st.integers(0, 200), st.integers(len(content) - 400, len(content) - 1))
    for place in data.draw(st.lists(near_structure | st.integers(0, len(content) - 1), max_size=4)):
        content[place] ^= data.draw(st.integers(1, 255))
    content = content[: data.draw(st.just(len(content)) | st.integers(0, len(content)))]
    archive.write_bytes(content)
    for file in FILES:
        if copy := look(folder, file, lambda complaint: None):
            assert copy[1].tobytes() == CONTENT[file]


def test_a_bad_archive_is_reported_once(tmp_path, cache, log):
    (tmp_path / "mnist.npz").write_bytes(b"PK not a zip")
    with pytest.raises(UserError):
        obtain(FILES, tmp_path, sources=[], on_event=log)
    assert len(log.warnings) == 1
