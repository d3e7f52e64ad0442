"""An export appears whole, with its proof, or not at all, and takes nothing of the user's away."""

import errno
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.small_models import ARCHITECTURES, model_of
from under20k.deploy.export import export as module
from under20k.deploy.export.export import default_folder, export
from under20k.deploy.export.formats import Exporter, Format, Material
from under20k.deploy.export.proof import ExportError, Measured, NotRun
from under20k.deploy.export.tolerance import FP32
from under20k.deploy.model import Model
from under20k.errors import UserError

MODEL = replace(model_of(ARCHITECTURES[2]), name="runs/mine-3")


class Copy:
    """An exporter of one file that gives the engine's own logits, and does what a test asks for."""

    def __init__(self) -> None:
        self.add = 0.0
        self.failure: BaseException | None = None
        self.given: Material | None = None

    def export(self, model: Model, folder: Path, material: Material) -> Sequence[Path]:
        self.given = material
        (folder / "deep").mkdir()
        (folder / "deep" / "model.bin").write_bytes(b"12345")
        if isinstance(self.failure, OSError | KeyboardInterrupt):
            raise self.failure
        return [folder / "deep" / "model.bin"]

    def measure(self, model: Model, folder: Path, images: np.ndarray) -> Measured:
        if self.failure:
            raise self.failure
        assert (folder / "deep" / "model.bin").read_bytes() == b"12345"
        return Measured("a copy", 2e-6, model.logits(images) + np.float32(self.add), extra={"copies": 1})


@pytest.fixture
def exporter(monkeypatch) -> Copy:
    """Stands behind the format ``copy``."""
    found: Exporter = Copy()
    monkeypatch.setattr(Format, "exporter", lambda _: found)
    monkeypatch.setattr(module, "format_named", lambda name: Format(name, "a copy", "nothing", FP32))
    return found


@pytest.fixture
def made(exporter, tmp_path) -> Path:
    """An export."""
    return export(MODEL, "copy", tmp_path / "out").folder


def held(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_the_folder_holds_the_files_and_their_proof(exporter, tmp_path):
    done = export(MODEL, "copy", tmp_path / "a" / "out")
    assert done.files == ("deep/model.bin",)
    assert held(done.folder).keys() == {"deep/model.bin", "README.md", "proof.json"}
    proof = json.loads((done.folder / "proof.json").read_text())
    assert proof.pop("files") == ["deep/model.bin", "README.md", "proof.json"]
    assert proof == json.loads(json.dumps(done.proof.to_dict()))
    assert (proof["model"], proof["format"], proof["size_bytes"]) == ("mine-3", "copy", 5)
    assert proof["passed"]
    assert proof["accuracy"] == proof["engine_accuracy"] == exporter.given.accuracy
    readme = (done.folder / "README.md").read_text()
    for words in (
        "predictions changed: 0",
        "5 bytes",
        "2 µs",
        "runtime: a copy",
        "copies: 1",
        "`deep/model.bin`",
    ):
        assert words in readme
    assert os.listdir(tmp_path / "a") == ["out"]


def test_a_missed_tolerance_leaves_nothing(exporter, tmp_path):
    exporter.add = 1.0
    with pytest.raises(ExportError, match="the export of mine-3 to copy fails: a logit differs by"):
        export(MODEL, "copy", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("failure", "raised"),
    [(OSError(errno.ENOSPC, "No space left on device"), UserError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
@pytest.mark.parametrize("before", [False, True])
def test_a_failure_leaves_what_was_there(exporter, tmp_path, failure, raised, before):
    if before:
        export(MODEL, "copy", tmp_path / "out")
    there = held(tmp_path)
    exporter.failure = failure
    with pytest.raises(raised) as error:
        export(MODEL, "copy", tmp_path / "out", overwrite=True)
    if raised is UserError:
        assert str(error.value) == f"{tmp_path / 'out'} cannot be written: No space left on device"
    assert held(tmp_path) == there
    assert os.listdir(tmp_path) == (["out"] if before else [])


def test_what_cannot_be_run_says_so(exporter, tmp_path):
    exporter.failure = NotRun("there is no C compiler", {"work_buffer_bytes": 6272})
    done = export(MODEL, "copy", tmp_path / "out")
    assert (done.proof.passed, done.proof.accuracy, done.proof.runtime) == (None, None, "")
    assert done.proof.not_run == "there is no C compiler"
    assert done.proof.extra == {"work_buffer_bytes": 6272}
    readme = (done.folder / "README.md").read_text()
    assert "Nothing is proved: there is no C compiler." in readme
    assert "6,272" in readme
    assert json.loads((done.folder / "proof.json").read_text())["passed"] is None


def test_without_proof_nothing_is_run_and_the_files_say_so(exporter, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "load", lambda *_, **__: pytest.fail("MNIST is not needed"))
    exporter.failure = AssertionError("it was run")
    done = export(MODEL, "copy", tmp_path / "out", proof=False)
    assert done.proof.not_run == "--no-proof was given"
    assert "Nothing is proved: --no-proof was given." in (done.folder / "README.md").read_text()
    assert exporter.given.accuracy is None
    assert len(exporter.given.training) == 0


def test_only_a_calibrated_format_gets_training_images(exporter, tmp_path, monkeypatch, mnist):
    assert len(exporter.given.training if exporter.given else ()) == 0
    export(MODEL, "copy", tmp_path / "one")
    assert len(exporter.given.training) == 0
    format = Format("copy", "a copy", "nothing", FP32, calibrated=True)
    monkeypatch.setattr(module, "format_named", lambda _: format)
    export(MODEL, "copy", tmp_path / "two", proof=False)
    assert np.array_equal(exporter.given.training, mnist.train.images)


def test_an_export_is_replaced_only_if_told(exporter, made):
    before = held(made)
    with pytest.raises(UserError, match="holds an export; replace it with --overwrite, or name another"):
        export(MODEL, "copy", made)
    assert held(made) == before
    done = export(MODEL, "copy", made, proof=False, overwrite=True)
    assert done.proof.not_run
    assert held(made).keys() == before.keys()
    assert held(made) != before
    assert os.listdir(made.parent) == [made.name]


def add_a_file(folder: Path) -> None:
    (folder / "main.c").write_text("int main(void) { return 0; }")


def remove_the_proof(folder: Path) -> None:
    (folder / "proof.json").unlink()


def spoil_the_proof(folder: Path) -> None:
    (folder / "proof.json").write_text("[1]")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (add_a_file, "holds main.c, which is no part of the export; move it away"),
        (remove_the_proof, "holds files that are no export; name another folder with --output"),
        (spoil_the_proof, "which is no part of the export"),
    ],
)
def test_nothing_of_the_users_is_overwritten(made, change: Callable[[Path], None], words):
    change(made)
    before = held(made)
    with pytest.raises(UserError, match=words):
        export(MODEL, "copy", made, overwrite=True)
    assert held(made) == before


def test_a_file_is_no_folder_and_an_empty_folder_is_free(exporter, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file is a file; name a folder with --output"):
        export(MODEL, "copy", tmp_path / "file", overwrite=True)
    (tmp_path / "empty").mkdir()
    assert export(MODEL, "copy", tmp_path / "empty").proof.passed


@pytest.mark.parametrize(
    ("name", "folder"),
    [("runs/mine-3", "exports/mine-3-c"), ("minimal", "exports/minimal-c"), ("a/b:c", "exports/b_c-c")],
)
def test_the_default_folder_is_named_after_model_and_format(name, folder):
    assert default_folder(replace(MODEL, name=name), "c") == Path(folder)


def test_the_current_folder_has_a_name_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert default_folder(replace(MODEL, name="."), "c") == Path("exports") / f"{tmp_path.name}-c"
