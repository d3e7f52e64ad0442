"""Every verb writes to every kind of stdout, in every encoding, and none ends by it."""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from pathlib import Path

import pytest
from PIL import Image

import under20k.runs.bench.reproduce
from tests.support import ROOT
from tests.support.command import COMMAND, SETTINGS, TIMEOUT_S
from under20k.cli.console import PLAIN, any_text
from under20k.cli.main import VERBS, main
from under20k.recipe.named import MINIMAL, REGULARIZED
from under20k.runs.run import Run, run_path

ENCODINGS = ["cp1252", "cp437", "ascii", "gbk", "utf-8"]
RECORDS = ROOT / "records"
TINY = ["minimal", *SETTINGS, "--epochs", "1", "--threads", "1"]
TINY_RECIPES = tuple(
    recipe.with_changes(architecture="1p,4pd0.1|l", epochs=1, batch_size=1000)
    for recipe in (REGULARIZED, MINIMAL)
)
COMMANDS = {
    "reproduce": ["reproduce", "--jobs", "1"],
    "train": ["train", *TINY, "--overwrite", "--name", "again"],
    "bench": ["bench", *TINY, "--seeds", "0-1", "--jobs", "2"],
    "evaluate": ["evaluate", "runs/small", "--threads", "1"],
    "predict": ["predict", "≥.png", "--show", "±.png"],
    "export": ["export", "runs/small", "--to", "c", "--no-proof", "--output", "±", "--overwrite"],
    "draw": ["draw", "runs/small", "--output", "±.html"],
    "compare": ["compare", "runs/small", "records/small/2026-11-27-shared-weights"],
    "report": ["report", "runs/small"],
    "records": ["records"],
    "records verify": ["records", "verify", "--no-models"],
    "check": ["check", "regularized"],
    "recipes": ["recipes"],
    "recipes NAME": ["recipes", "regularized-plus"],
    "data": ["data", "--no-sheet"],
    "completion": ["completion", "bash"],
    "help": ["reproduce", "--help"],
    "an error": ["train", "minimal", "--name", "≥±→é日?"],
}
SIGNS = "± ≥ × – → é 日 \udcff"


@contextlib.contextmanager
def to_pipe(folder: Path) -> Iterator[tuple[int, Callable[[], bytes]]]:
    reading, writing = os.pipe()
    with drained(reading) as read:
        yield writing, read


@contextlib.contextmanager
def to_terminal(folder: Path) -> Iterator[tuple[int, Callable[[], bytes]]]:
    pty = pytest.importorskip("pty")
    reading, writing = pty.openpty()
    with drained(reading) as read:
        yield writing, read


@contextlib.contextmanager
def to_file(folder: Path) -> Iterator[tuple[int, Callable[[], bytes]]]:
    path = folder / "out.txt"
    yield os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), path.read_bytes


@contextlib.contextmanager
def drained(reading: int) -> Iterator[Callable[[], bytes]]:
    """What arrives at a descriptor until the other end is closed."""
    found: list[bytes] = []

    def drain() -> None:
        with contextlib.suppress(OSError):  # of a terminal whose other end is closed
            while data := os.read(reading, 1 << 16):
                found.append(data)

    thread = threading.Thread(target=drain, daemon=True)
    thread.start()

    def read() -> bytes:
        thread.join()
        return b"".join(found)

    yield read
    os.close(reading)


@pytest.fixture
def place(small: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run, records and, for ``reproduce``, what it would train."""
    folder = small.parent.parent
    # It keeps the stderr that it finds open for good, and a pipe has an end when all have closed it.
    resource_tracker.ensure_running()
    shutil.copytree(RECORDS, folder / "records")
    Image.new("L", (60, 40), 255).save(folder / "≥.png")
    monkeypatch.setattr(under20k.runs.bench.reproduce, "REPRODUCED", TINY_RECIPES)
    return folder


def printed(arguments: list[str], kind, encoding: str, folder: Path) -> tuple[object, str]:
    """The exit code, and what is on stdout and stderr, of a command that prints in ``encoding``."""
    with kind(folder) as (descriptor, read):
        before = sys.stdout, sys.stderr
        with io.TextIOWrapper(io.FileIO(descriptor, "w"), encoding, line_buffering=True) as stream:
            sys.stdout = sys.stderr = stream
            try:
                code = main(arguments)
            except SystemExit as ended:
                code = ended.code
            finally:
                sys.stdout, sys.stderr = before
            assert stream.errors == "strict"  # as it was
        return code, read().decode(encoding)


KINDS = [to_pipe, to_terminal, to_file]


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("reproduce", "bench", "train")])
def test_a_verb(place, name):
    """In every encoding, each to another kind of stdout."""
    for number, encoding in enumerate(ENCODINGS, len(name)):
        code, text = printed(COMMANDS[name], KINDS[number % 3], encoding, place)
        assert code == (2 if name == "an error" else 0), text
        assert "Traceback" not in text
        assert text.strip()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_kind_of_stdout_in_every_encoding(place, kind, encoding):
    code, text = printed(COMMANDS["recipes NAME"], kind, encoding, place)
    assert code == 0
    assert "Receptive field: 40" in text


TRAINING = {"reproduce": "ascii", "bench": "cp1252", "train": "gbk"}
"""Verbs that train, each with the encoding of the quick test."""


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        pytest.param(name, encoding, marks=[] if encoding == quick else pytest.mark.slow)
        for name, quick in TRAINING.items()
        for encoding in ENCODINGS
    ],
)
def test_a_verb_that_trains(place, name, encoding):
    code, text = printed(COMMANDS[name], to_pipe, encoding, place)
    assert code == 0, text
    sign = "±" if name == "bench" else "→" if name == "train" else "≥"
    shown = text.replace("\r\n", "\n")
    assert (sign in shown) or (PLAIN[sign] in shown)


def test_every_verb_is_among_them():
    assert {arguments[0] for arguments in COMMANDS.values()} == VERBS.keys()


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", "± ≥ × – → é 日 ".encode() + b"\xff\n"),
        ("cp1252", "± >= × – -> é \\u65e5 ".encode("cp1252") + b"\xff\n"),
        ("cp437", "± ≥ x - -> é \\u65e5 ".encode("cp437") + b"\xff\n"),
        ("ascii", rb"+/- >= x - -> \xe9 \u65e5 " + b"\xff\n"),
        ("gbk", r"± ≥ × – → é 日 ".encode("gbk", "replace").replace(b"?", b"\\xe9") + b"\xff\n"),
        ("utf-16-le", "± ≥ × – → é 日 \\udcff\n".encode("utf-16-le")),
    ],
)
def test_characters_that_an_encoding_lacks_are_replaced(monkeypatch, encoding, expected):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    with any_text():
        print(SIGNS)
        stream.flush()
    monkeypatch.undo()
    written = raw.getvalue()
    if encoding == "gbk":  # which has é in some versions
        assert written.decode("gbk", "replace").startswith("± ≥ × – → ")
    else:
        assert written == expected


def test_the_signs_that_we_print_have_a_plain_form():
    """Those of the sources; what is only ever drawn or quoted is spelt out."""
    printed_by = "cli/*.py", "report/**/*.py", "*.py"
    source = Path(under20k.__file__).parent
    signs = {
        sign
        for pattern in printed_by
        for path in source.glob(pattern)
        for literal in re.findall(r'"([^"\n]*[^\x00-\x7f"][^"\n]*)"', path.read_text("utf-8"))
        for sign in literal
        if ord(sign) > 127
    }
    drawn = set("▼◆")
    names = set("¹²³")  # of devices, in names.py
    assert signs - drawn - names <= PLAIN.keys()
    for plain in PLAIN.values():
        assert plain.isascii()


shell = pytest.mark.skipif(shutil.which("sh") is None, reason="needs a POSIX shell")


def through_shell(folder: Path, command: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["sh", "-c", f'"$@" {command}', "sh", *COMMAND],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        timeout=TIMEOUT_S,
    )


@shell
@pytest.mark.parametrize("verb", ["recipes", "recipes minimal", "compare runs/small", "check regularized"])
def test_a_closed_stdout(small, tmp_path, verb):
    done = through_shell(tmp_path, f"{verb} >&-")
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"Traceback" not in done.stderr
    assert b"Error" not in done.stderr


@shell
def test_a_closed_stderr(tmp_path):
    done = through_shell(tmp_path, "recipes 2>&-")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"trained here by the" not in done.stdout  # talk does not move to stdout
    done = through_shell(tmp_path, "recipes nonesuch 2>&-")
    assert (done.returncode, done.stdout) == (2, b"")


@shell
def test_no_file_takes_the_place_of_a_closed_stdout(tmp_path, mnist):
    """A descriptor that is free is what the next file opened gets: a child's print would go into it."""
    arguments = " ".join(f"'{argument}'" for argument in [*TINY, "--seeds", "0-1", "--jobs", "2"])
    done = through_shell(tmp_path, f"bench {arguments} >&- 2>&- <&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    run = Run.open(next((tmp_path / "runs").iterdir()))
    assert len(run.metrics()) == 1
    assert run.weights()


@shell
@pytest.mark.parametrize("verb", ["recipes", "train --help", "compare runs/small --format csv"])
def test_a_full_disk_behind_stdout(small, tmp_path, verb):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    done = through_shell(tmp_path, f"{verb} > /dev/full", PYTHONUNBUFFERED="")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == b"under20k: No space left on device"


@shell
@pytest.mark.parametrize("verb", ["recipes", "train --help"])
def test_a_reader_that_goes(tmp_path, verb):
    done = through_shell(tmp_path, f"{verb} | true", PYTHONUNBUFFERED="")
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


def test_a_run_folder_whose_name_is_no_text(small, tmp_path):
    """Its path is printed byte for byte, so that it still names the folder."""
    if sys.platform in ("win32", "darwin"):
        pytest.skip("names are text here")
    name = os.fsencode(tmp_path) + b"/runs-\xff"
    os.rename(os.fsencode(tmp_path / "runs"), name)
    done = subprocess.run(
        [*COMMAND, "evaluate", name + b"/small", "--threads", "1"],
        cwd=tmp_path,
        capture_output=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    assert name + b"/small/validation.json" in done.stdout
    assert run_path(Path("runs"), "x", 0)


@pytest.mark.parametrize("target", [["minimal", "--layers"], ["minimal", "--profile", "under-8k"]])
def test_check_prints_plain_signs_where_an_encoding_lacks_its_own(tmp_path, target):
    surroundings = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [*COMMAND, "check", *target], cwd=tmp_path, env=surroundings, capture_output=True, timeout=TIMEOUT_S
    )
    out = done.stdout.decode("ascii")
    assert done.returncode == 1
    assert "\\u" not in out
    assert out.startswith("minimal: x failed")
