import os
from pathlib import Path

import pytest

from under20k.deploy.pictures import SUFFIXES, NoPicture, natural, pictures


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of pictures and other files."""
    monkeypatch.chdir(tmp_path)
    for name in ("b10.png", "b9.PNG", "a.txt", ".hidden.png", "in/x.jpg", "in/deep/y.webp", ".git/z.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "folder.png" / "1.gif").touch()
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to("b10.png")
    (tmp_path / "loop").symlink_to(tmp_path)
    return tmp_path


def names(*given: str) -> list[str]:
    return [str(each) for each in pictures(given)]


def test_a_folder_stands_for_all_pictures_below_it_in_natural_order(folder):
    expected = ["b9.PNG", "b10.png", "link.png", "folder.png/1.gif", "in/x.jpg", "in/deep/y.webp"]
    assert names(".") == expected
    assert names("in", "folder.png") == ["in/x.jpg", "in/deep/y.webp", "folder.png/1.gif"]


def test_named_files_need_no_suffix_and_may_be_named_twice(folder):
    assert names("a.txt", "b10.png", "b10.png", "-") == ["a.txt", "b10.png", "b10.png", "-"]
    assert list(pictures([Path("a.txt")])) == [Path("a.txt")]


def test_patterns_that_a_shell_left(folder):
    assert names("b*.png", "**/*.webp") == ["b10.png", "in/deep/y.webp"]
    (folder / "[1].png").touch()
    assert names("[1].png") == ["[1].png"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.png", "there is no file missing.png"),
        ("*.tiff", "nothing matches *.tiff"),
        ("empty", f"empty holds no pictures: no file that ends in {', '.join(SUFFIXES)}"),
        ("pipe.png", "pipe.png is not a regular file"),
        (os.devnull, f"{os.devnull} is not a regular file"),
    ],
)
def test_what_is_none_is_told_by_its_name(folder, name, words):
    (found,) = pictures([name])
    assert isinstance(found, NoPicture)
    assert found.name == name
    assert str(found).startswith(words)


def test_the_natural_order():
    scrambled = ["10", "9", "a10b", "a2b", "A1", "a", "²"]
    assert sorted(scrambled, key=natural) == ["9", "10", "a", "A1", "a2b", "a10b", "²"]


def test_a_file_called_like_standard_input_is_a_file(folder):
    Path("-").write_bytes(b"")
    assert list(pictures(["./-", "-"])) == [folder / "-", Path("-")]
