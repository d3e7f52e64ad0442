"""Files are old or new, never half: also where the disk is full or the writer is killed."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from under20k.errors import UserError
from under20k.files import (
    check_format,
    read_json,
    read_text,
    remove_leftovers,
    replacing,
    replacing_folder,
    write_bytes,
    write_json,
    write_text,
)


def test_written_and_replaced(tmp_path):
    path = tmp_path / "deep" / "er" / "file.json"
    write_bytes(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    write_text(path, "99,4 % – ü\n")
    assert path.read_bytes() == "99,4 % – ü\n".encode()
    assert read_text(path) == "99,4 % – ü\n"
    write_json(path, {"ä": [1, None]})
    assert path.read_text(encoding="utf-8") == '{\n  "ä": [\n    1,\n    null\n  ]\n}\n'
    assert read_json(path) == {"ä": [1, None]}
    assert os.listdir(path.parent) == ["file.json"]


def test_a_command_line_that_is_not_utf8_is_kept(tmp_path):
    """Python hands such bytes over as surrogates, which UTF-8 cannot write."""
    argument = os.fsdecode(b"--name=\xff")
    write_json(tmp_path / "file.json", {"command": argument})
    assert json.loads((tmp_path / "file.json").read_bytes()) == {"command": argument}


def test_nan_and_infinity_are_a_defect(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "file.json", {"loss": float("nan")})
    assert os.listdir(tmp_path) == []


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    return fail


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("owner", "name"), [(os, "fsync"), (Path, "write_bytes"), (Path, "replace"), (Path, "chmod")]
)
@pytest.mark.parametrize("before", [b"old", None])
def test_a_full_disk_leaves_the_old_content(tmp_path, monkeypatch, owner, name, before):
    path = tmp_path / "file.bin"
    if before is not None:
        path.write_bytes(before)
    monkeypatch.setattr(owner, name, raising(FULL))
    with pytest.raises(UserError) as error:
        write_bytes(path, b"new")
    monkeypatch.undo()
    assert str(error.value) == f"{path} cannot be written: No space left on device"
    assert (path.read_bytes() if path.exists() else None) == before
    assert os.listdir(tmp_path) == (["file.bin"] if before else [])


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("a defect")])
def test_an_exception_propagates_and_leaves_the_old_content(tmp_path, error):
    path = tmp_path / "curves.png"
    path.write_bytes(b"old")

    def write_half() -> None:
        with replacing(path) as temporary:
            temporary.write_bytes(b"half")
            raise error

    with pytest.raises(type(error)):
        write_half()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["curves.png"]


def test_the_temporary_file_has_the_same_folder_and_suffix(tmp_path):
    path = tmp_path / "curves.png"
    with replacing(path) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".png"
        assert not path.exists()
        temporary.write_bytes(b"new")
    assert path.read_bytes() == b"new"


def test_content_reaches_the_disk_before_its_name_does(tmp_path, monkeypatch):
    calls: list[str] = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda file: (calls.append("fsync"), fsync(file))[1])
    monkeypatch.setattr(Path, "replace", lambda self, to: (calls.append("replace"), replace(self, to))[1])
    write_bytes(tmp_path / "file", b"new")
    assert calls == ["fsync", "replace"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_umask(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write_bytes(tmp_path / "file", b"")
        assert os.umask(mask) == mask  # and it is as it was
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


def test_unwritable_paths(tmp_path):
    (tmp_path / "file").write_text("a file, no folder")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "inside.json", tmp_path / "folder", tmp_path / ("x" * 300)):
        with pytest.raises(UserError, match="cannot be written"):
            write_bytes(path, b"new")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_leftovers_of_a_kill_are_removed_and_nothing_else(tmp_path):
    kept = ["model.safetensors", ".lock", ".model-notes.txt", "model-old.safetensors"]
    for name in [*kept, ".model-ab12cd.safetensors", ".metrics-x.jsonl"]:
        (tmp_path / name).write_bytes(b"")
    remove_leftovers(tmp_path, ["model.safetensors", "metrics.jsonl"])
    assert sorted(os.listdir(tmp_path)) == sorted(kept)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff{", "is not text in UTF-8"),
        (b"\xff\xfe{", "is not text in UTF-8"),
        (b"\xff\xfe", "is not JSON: it is empty"),
        (b"", "is not JSON"),
        (b'{"a": 1', "is not JSON: Expecting ',' delimiter (line 1, column 8)"),
        (b"[" * 100_000, "is not JSON: it is nested too deeply"),
        (b"1" * 5000, "is not JSON: it holds a number of thousands of digits"),
        (b'{"a": [{"n": 1, "n": 2}]}', "is not JSON: it holds 'n' twice in one object"),
    ],
)
def test_damaged_json_is_a_user_error(tmp_path, content, words):
    (tmp_path / "file.json").write_bytes(content)
    with pytest.raises(UserError) as error:
        read_json(tmp_path / "file.json")
    assert str(error.value).startswith(f"{tmp_path / 'file.json'} {words}")


EDITORS = {
    "plain": lambda text: text.encode(),
    "Notepad's UTF-8": lambda text: text.encode("utf-8-sig"),
    "PowerShell's >": lambda text: text.replace("\n", "\r\n").encode("utf-16"),
    "UTF-16, big end first": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "UTF-16 without a mark, big end first": lambda text: text.encode("utf-16-be"),
    "Windows' line ends": lambda text: text.replace("\n", "\r\n").encode(),
    "an old Mac's line ends": lambda text: text.replace("\n", "\r").encode(),
}


@pytest.mark.parametrize("editor", EDITORS)
def test_text_from_other_editors(tmp_path, editor):
    (tmp_path / "file.json").write_bytes(EDITORS[editor]('{\n  "ä": "99,4 % ≥"\n}\n'))
    assert read_text(tmp_path / "file.json") == '{\n  "ä": "99,4 % ≥"\n}\n'
    assert read_json(tmp_path / "file.json") == {"ä": "99,4 % ≥"}


def test_files_are_flushed_through_a_writable_handle(tmp_path, monkeypatch):
    """Windows refuses any other: EBADF."""
    fcntl = pytest.importorskip("fcntl")
    flushed = []

    def fsync(number: int) -> None:
        if fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        flushed.append(number)

    monkeypatch.setattr(os, "fsync", fsync)
    write_bytes(tmp_path / "file", b"new")
    assert flushed
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_missing_file_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match=r"absent\.json cannot be read: No such file"):
        read_json(tmp_path / "absent.json")
    with pytest.raises(UserError, match="is a folder, not a file; move it away"):
        read_text(tmp_path)


@pytest.mark.parametrize("value", [{"format": 3}, {"format": "1"}, {"format": None}, {}, [1], None, "text"])
def test_another_format_is_refused_with_those_known(value):
    found = value.get("format") if isinstance(value, dict) else None
    with pytest.raises(UserError) as refused:
        check_format(value, (1, 2), "x.json is a bench")
    assert str(refused.value).startswith(f"x.json is a bench of format {found!r};")
    assert str(refused.value).endswith("1 and 2")


def test_a_known_format_is_returned():
    value = {"format": 2, "seeds": []}
    assert check_format(value, (1, 2), "x.json is a bench") is value


def write_folder(path: Path, content: str, error: BaseException | None = None) -> None:
    with replacing_folder(path) as temporary:
        assert temporary.parent == path.parent
        (temporary / "deep").mkdir()
        (temporary / "deep" / "file").write_text(content)
        if error:
            raise error


def test_a_folder_is_written_and_replaced(tmp_path):
    path = tmp_path / "a" / "b"
    write_folder(path, "old")
    (path / "more").write_text("of the old")
    write_folder(path, "new")
    assert [file.name for file in path.rglob("*")] == ["deep", "file"]
    assert (path / "deep" / "file").read_text() == "new"
    assert os.listdir(tmp_path) == ["a"]
    assert os.listdir(tmp_path / "a") == ["b"]
    assert path.stat().st_mode & 0o777 == (tmp_path / "a").stat().st_mode & 0o777  # mkdtemp's is private


@pytest.mark.parametrize("error", [FULL, KeyboardInterrupt(), ValueError("a defect")])
@pytest.mark.parametrize("before", [True, False])
def test_a_folder_stays_as_it_was_where_writing_fails(tmp_path, error, before):
    path = tmp_path / "a" / "b"
    if before:
        write_folder(path, "old")
    with pytest.raises(UserError if error is FULL else type(error)):
        write_folder(path, "half", error)
    if before:
        assert (path / "deep" / "file").read_text() == "old"
        assert os.listdir(path.parent) == ["b"]
    else:
        assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("step", [1, 2])
def test_a_folder_that_cannot_be_exchanged_stays(tmp_path, monkeypatch, step):
    path = tmp_path / "a"
    write_folder(path, "old")
    real, calls = Path.rename, []

    def rename(self: Path, to: Path) -> Path:
        calls.append(to)
        if len(calls) == step:
            raise FULL
        return real(self, to)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(UserError, match="a cannot be written: No space left on device"):
        write_folder(path, "new")
    assert (path / "deep" / "file").read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]
