"""Every verb in terminals of 60, 80 and 120 columns: no line is wider. A pipe gets whole lines."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.test_text_lines import width_of
from tests.support import ROOT
from tests.support.benches import SMALL, bench_of, on_disk
from tests.support.command import SETTINGS, TRAIN, run
from tests.support.terminal import on_terminal, shown_lines

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no terminal of this kind")

RECORDS = sorted(path.parent for path in (ROOT / "records").rglob("record.json"))
LONG = f"minimal+{'setting=1+' * 18}fade_epochs=2"
LONG_FOLDER = "the submissions of all students in the winter term of 2026"
TINY = ("minimal", "--architecture", "1p,4p|l", "--batch-size", "5000", "--epochs", "1", "--threads", "1")
NARROW_MODEL = """
from torch import nn


class AVeryLongNameOfANetworkThatAStudentChose(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(1, 8, 28), nn.Flatten(), nn.LogSoftmax(1))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Benches with long and wide names, a class of submissions, and a copy of the records."""
    folder = tmp_path_factory.mktemp("narrow")
    for name in (LONG, "王小明的网络" * 6):
        bench = bench_of([0.9941, 0.9943], replace(SMALL, name=name))
        on_disk(folder / "made" / str(len(name)), bench)
    for student in ("alice-with-a-long-name-of-a-folder", "王小明"):
        (folder / "class" / student).mkdir(parents=True)
        (folder / "class" / student / "model.py").write_text(NARROW_MODEL)
    shutil.copytree(folder / "class", folder / LONG_FOLDER)
    shutil.copytree(ROOT / "records", folder / "records")
    return folder


def benches(folder: Path) -> list[str]:
    return sorted(str(path.parent.relative_to(folder)) for path in folder.rglob("bench.json"))


def verb(name: str, folder: Path) -> list[str]:
    """The arguments of a verb's example."""
    records = [str(path.relative_to(ROOT)) for path in RECORDS]
    model = "class/王小明/model.py:AVeryLongNameOfANetworkThatAStudentChose"
    return {
        "check": ["check", "minimal", "--layers"],
        "check code": ["check", model],
        "check model": ["check", model, "--trust", "--layers"],
        "check folder": ["check", "class", "--trust"],
        "check folder's code": ["check", LONG_FOLDER],
        "compare": ["compare", *records, *benches(folder)],
        "compare --paired": ["compare", *benches(folder), "--paired"],
        "data": ["data", "--no-sheet"],
        "export": ["export", "minimal", "--to", "onnx-int8", "--overwrite"],
        "help": ["--help"],
        "recipes": ["recipes"],
        "recipes NAME": ["recipes", "regularized-plus"],
        "records": ["records"],
        "records verify": ["records", "verify", "--no-models"],
        "report": ["report", *benches(folder)],
    }[name]


WIDTHS = [60, pytest.param(80, marks=pytest.mark.slow), pytest.param(120, marks=pytest.mark.slow)]
QUICK = (
    "check",
    "check folder's code",
    "compare",
    "compare --paired",
    "help",
    "recipes",
    "recipes NAME",
    "records",
)
OTHERS = ("check code", "check model", "check folder", "data", "export", "records verify", "report")
VERBS = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]


def assert_fits(sent: str, width: int) -> None:
    """No line that the terminal was sent is wider than it."""
    assert [line for line in shown_lines(sent) if width_of(line) > width] == []


@pytest.mark.parametrize("name", VERBS)
@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_wider_than_the_terminal(folder, name, width):
    # Matplotlib warns on stderr, in lines of its own, of characters that its font lacks.
    streams = ["stdout"] if name == "report" else ["stdout", "stderr"]
    if name == "check folder's code":  # ends in an error message on stderr, a single line
        streams = ["stdout"]
    code, sent = on_terminal(width, *verb(name, folder), folder=folder, streams=streams)
    codes = {"check": 1, "check model": 1, "check folder": 1, "check code": 2, "check folder's code": 2}
    assert code == codes.get(name, 0), sent
    if name != "check code":  # which ends in an error message, a single line
        assert_fits(sent, width)


def test_a_recipe_fits_the_narrowest_terminal(folder):
    code, sent = on_terminal(40, "recipes", "minimal", folder=folder)
    assert code == 0
    assert_fits(sent, 40)


def test_a_pipe_gets_whole_lines(folder):
    done = run(folder, *verb("compare", folder), env=None)
    lines = done.stdout.splitlines()
    assert LONG in done.stdout
    assert "hidden" not in done.stdout
    assert "\x1b" not in done.stdout
    assert max(map(width_of, lines)) > 300
    for path in RECORDS:
        assert any(re.fullmatch(rf"{path.name[11:]} .* record .*", line) for line in lines)


def test_what_is_hidden_at_80_columns_of_compare_is_the_least_important(folder):
    code, sent = on_terminal(80, *verb("compare", folder)[:-2], folder=folder, streams=["stdout"])
    assert code == 0
    lines = shown_lines(sent)
    headings = " ".join(" ".join(lines[: [line[:1] for line in lines].index("─")]).split())
    for word in ("Name", "Validation", "Parameters", "Epochs"):
        assert word in headings
    assert "hidden at this width: " in sent
    assert "MACs" in sent.partition("hidden at this width: ")[2]
    assert "\x1b[32m✓\x1b[0m 99.574 ± 0.036 %" in sent


@pytest.mark.parametrize("width", WIDTHS)
def test_training_fits(tmp_path, width):
    code, sent = on_terminal(width, "train", *TINY, "--name", "small", folder=tmp_path)
    assert code == 0, sent
    assert_fits(sent, width)
    assert re.search(r"epoch 1/1 .*(val|validation) \d\d\.\d\d%", sent)
    code, sent = on_terminal(width, "evaluate", "runs/small", folder=tmp_path)
    assert code == 0, sent
    assert_fits(sent, width)
    assert {"Recall", "Precision", "predicted"} <= set(sent.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "minimal", "--epochs", "0"),
        ("train", "minimal", "--seed", "0-3"),
        ("train", "minimal", "--resume"),
        ("evaluate", "runs/nothing-of-this-name-at-all-0"),
        ("reproduce", "--seeds", "10"),
    ],
    ids=" ".join,
)
def test_an_error_fits_and_breaks_no_word(tmp_path, arguments):
    code, sent = on_terminal(40, *arguments, folder=tmp_path)
    assert code == 2
    assert_fits(sent, 40)
    assert sent.startswith("under20k: ")
    whole = run(tmp_path, *arguments).stderr
    assert sent.split() == whole.split()


def test_the_next_command_can_be_copied_from_a_narrow_terminal(tmp_path, small):
    """Also where a word is longer than a line, which must not be broken."""
    runs = "runs/" + "a-folder-with-a-long-name-" * 3
    small.rename(tmp_path / "small")
    (tmp_path / runs).mkdir(parents=True)
    (tmp_path / "small").rename(tmp_path / runs / "small")
    code, sent = on_terminal(60, *TRAIN, "--runs-dir", runs, folder=tmp_path, streams=["stdout"])
    assert code == 0, sent
    lines = shown_lines(sent)
    command = lines[lines.index("One seed proves nothing. For the mean over ten, run:") + 1 :]
    script = "\n".join(["under20k() { printf '%s\\0' \"$@\"; }", *command])
    done = subprocess.run(["sh", "-c", script], capture_output=True, encoding="utf-8", check=True)
    assert sorted(done.stdout.split("\0")[:-1]) == sorted(
        ["bench", "minimal", "--seeds", "0-9", *SETTINGS, "--runs-dir", runs]
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_a_bench_of_two_long_names_fits(tmp_path, width):
    settings = ("--rotation-deg", "7", "--translation-px", "1.5", "--scale", "0.1", "--fade-epochs", "1")
    other = replace(SMALL.with_changes(epochs=1, batch_size=5000), name=LONG)
    (tmp_path / "other.json").write_text(other.to_json())
    options = ("--vs", "other.json", "--seeds", "0-1", "--jobs", "1")
    code, sent = on_terminal(width, "bench", *TINY, *settings, *options, folder=tmp_path)
    assert code == 0, sent
    assert_fits(sent, width)
    assert "p-value" in sent
