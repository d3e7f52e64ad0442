"""What the proof does with compilers: the one that is there, one that is named, none."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.small_models import model_of
from under20k.deploy.export.c_run import compiler
from under20k.deploy.export.export import export
from under20k.deploy.export.proof import ExportError, NotRun
from under20k.deploy.model import load

MODEL = model_of("3vp,4vp|3v")


def test_without_a_compiler_the_c_is_written_and_the_proof_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    done = export(MODEL, "c", tmp_path / "out")
    assert done.files == ("under20k.c", "under20k.h")
    proof = json.loads((done.folder / "proof.json").read_text())
    assert proof["passed"] is None
    assert proof["not_run"] == "no C compiler was found (none of cc, gcc, clang)"
    assert proof["extra"]["work_buffer_bytes"] > 0
    assert "no C compiler was found" in (done.folder / "README.md").read_text()


def test_cc_names_the_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("CC", "gcc -DNOTHING")
    assert compiler() == ["gcc", "-DNOTHING"]
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(NotRun, match=r"no C compiler was found \(no-such-compiler, which CC names\)"):
        compiler()


def test_a_compiler_that_fails_fails_the_export(monkeypatch, tmp_path):
    monkeypatch.setenv("CC", "gcc --no-such-option")
    with pytest.raises(ExportError, match=r"does not compile the C: .*no-such-option"):
        export(MODEL, "c", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_proof_is_of_the_compiled_code(tmp_path, monkeypatch):
    wrong = tmp_path / "wrong.py"  # a compiler that computes another sum
    wrong.write_text(
        "import pathlib, subprocess, sys\n"
        "source = next(pathlib.Path(word) for word in sys.argv if word.endswith('under20k.c'))\n"
        "text = source.read_text().replace('sum += prob', 'sum += 2.0f * prob')\n"
        "other = source.with_name('other.c')\n"
        "other.write_text(text)\n"
        "words = [str(other) if word == str(source) else word for word in sys.argv[1:]]\n"
        "sys.exit(subprocess.run(['gcc', *words]).returncode)\n"
    )
    monkeypatch.setenv("CC", f"{shlex.quote(sys.executable)} {shlex.quote(str(wrong))}")
    with pytest.raises(ExportError, match="a probability differs from the softmax"):
        export(MODEL, "c", tmp_path / "out")


@pytest.fixture
def program() -> tuple[str, str]:
    """The program and the command of docs/export-c.md."""
    page = (ROOT / "docs" / "export-c.md").read_text()
    source = page.split("```c\n")[1].split("```")[0]
    command = next(line for line in page.splitlines() if line.startswith("$ cc "))
    return source, command.removeprefix("$ ")


@pytest.mark.parametrize("format", ["c", "c-int8"])
def test_the_five_lines_of_the_page_read_digits(format, program, mnist, tmp_path: Path):
    trained = load("minimal")
    source, command = program
    assert len(source.strip().splitlines()) == 5
    folder = export(trained, format, tmp_path / "out", proof=False).folder
    (folder / "main.c").write_text(source)
    subprocess.run([*command.split(), "-Wall", "-Wextra", "-Werror"], cwd=folder, check=True)
    images, expected = mnist.validation.images[:20], trained.predict(mnist.validation.images[:20])
    found = []
    for image in images:
        done = subprocess.run([folder / "digit"], input=image.tobytes(), capture_output=True, check=True)
        found.append(int(done.stdout))
    assert sum(found == expected) >= 19 if format == "c-int8" else found == list(expected)
