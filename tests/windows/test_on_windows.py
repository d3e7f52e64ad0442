"""The command and the functions as they run on Windows: by the double here, by Windows itself in CI."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

from under20k.errors import UserError
from under20k.runs.names import check_name, safe_name

TINY = ["minimal", "--architecture", "1p,4pd0.1|l", "--epochs", "1", "--batch-size", "1000", "--threads", "1"]


@pytest.fixture
def command(windows, mnist):
    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = windows("-m", "under20k", *arguments)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.mark.slow
def test_from_a_training_to_a_leaderboard(command, tmp_path):
    """Every file is written, replaced, read again; every line is printed in cp1252."""
    command("train", *TINY, "--name", "small")
    command("train", *TINY, "--name", "small", "--resume")
    command("train", *TINY, "--name", "small", "--overwrite")
    assert command("evaluate", "runs/small", "--threads", "1").stdout.startswith("x ")  # cp1252 has no ✗
    command("evaluate", "runs/small", "--test", "--threads", "1")
    done = command("bench", *TINY, "--seeds", "0-1", "--jobs", "1")
    assert "±" in done.stdout
    assert ">=" in done.stdout  # cp1252 has no ≥
    bench = next((tmp_path / "benches").iterdir())
    assert b"\r" not in (bench / "bench.json").read_bytes()
    assert "0 of 2" in command("compare", "runs/small", f"benches/{bench.name}").stdout
    leftovers = [path.name for path in tmp_path.rglob(".*") if path.name != ".lock"]
    assert leftovers == []


def test_a_csv_has_one_line_end_a_row(command, tmp_path):
    command("train", *TINY, "--name", "small")
    done = command("compare", "runs/small", "--format", "csv")
    assert len([line for line in done.stdout.split("\n") if line]) == 2
    assert "\n\n" not in done.stdout


def test_teachers_lie_in_their_pupils_folder(command, tmp_path):
    command("train", *TINY, "--teacher", "own.json", code=2)
    done = command("recipes", "minimal", "--json")
    teacher = {**json.loads(done.stdout), "architecture": "1p,4p|l", "epochs": 1, "batch_size": 1000}
    for name in ("parameters", "macs", "receptive_field", "layers"):
        del teacher[name]
    (tmp_path / "own.json").write_text(json.dumps(teacher))
    # By its full name the path would be too long for Windows below some temporary folders.
    command("train", *TINY, "--teacher", "own.json", "--teachers", "1", "--name", "taught")


@pytest.mark.parametrize("name", ["a:b", "what?", "nul", "COM1.x", "dot.", "space ", "a\\b", "x" * 201])
def test_names_that_windows_refuses_are_refused(command, tmp_path, name):
    done = command("train", *TINY, "--name", name, code=2)
    assert done.stderr.count("\n") == 1
    assert "--name" in done.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="its own machines may have turned long paths on")
def test_a_path_that_is_too_long_is_refused_before_training(command, tmp_path):
    folder = "f" * (230 - len(str(tmp_path)))
    done = command("train", *TINY, "--runs-dir", folder, "--name", "small", code=2)
    assert "is longer than the 259 that Windows allows; use a shorter folder or name" in done.stderr
    assert "epoch 1/1" not in done.stderr


HELD = """
import subprocess, sys, time
from pathlib import Path
from under20k.errors import UserError
from under20k.files import read_text, write_text
write_text(Path("file"), "old")
holder = subprocess.Popen(
    [sys.executable, "-c", "import time; f = open('file'); print('held', flush=True); time.sleep({seconds})"],
    stdout=subprocess.PIPE,
)
holder.stdout.readline()
try:
    write_text(Path("file"), "new")
except UserError as error:
    print(error)
else:
    print(read_text(Path("file")))
holder.kill()
holder.wait()
"""


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.5, "new"), (60, "file cannot be written: Access is denied")]
)
def test_a_file_that_another_program_has_open(windows, tmp_path, seconds, words):
    """A scanner lets go of it soon; an editor does not, and its file stays as it was."""
    done = windows("-c", HELD.replace("{seconds}", str(seconds)))
    assert done.stdout.startswith(words), done.stderr
    if words != "new":
        assert "is it open in another program" in done.stdout
        assert os.listdir(tmp_path) == ["file"]


def test_runs_on_another_drive_than_the_bench(windows, tmp_path):
    """Windows has no relative path between the two."""
    code = """
    import os.path
    from pathlib import Path
    from under20k.runs.bench.bench import _seen_from
    def relpath(path, start):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")
    os.path.relpath = relpath
    print(_seen_from(Path("benches"), Path("runs/x")))
    """
    done = windows("-c", textwrap.dedent(code))
    assert done.stdout.strip() == (tmp_path / "runs" / "x").as_posix()


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("minimal", "minimal"),
        ("nul", "_nul"),
        ("Con.5", "_Con.5"),
        ("COM¹", "_COM¹"),
        ("console", "console"),
        ("ends.", "ends_"),
        ('a<b>c:d"e/f\\g|h?i*j', "a_b_c_d_e_f_g_h_i_j"),
    ],
)
def test_recipes_become_names_for_every_system(name, safe):
    assert safe_name(name) == safe
    assert check_name(safe_name(name), "it") == safe


def test_long_recipe_names_leave_room_for_the_rest_of_a_path():
    longest = safe_name("x" * 500)
    folder = rf"C:\Users\someone\Documents\mnist\runs\{longest}-4294967295"
    assert len(rf"{folder}\.validation-misclassified-abcdefgh.png") < 260
    assert longest != safe_name("x" * 501)


def test_names_that_differ_in_case_are_one_folder():
    from under20k.recipe.named import MINIMAL
    from under20k.runs.bench.run_bench import bench

    for other in ("Minimal", "minimal"):
        with pytest.raises(UserError, match=r"both recipes are called|would share run folders"):
            bench(MINIMAL, range(1), versus=type(MINIMAL)(other, MINIMAL.architecture))


@pytest.mark.skipif(sys.platform == "win32", reason="the test makes two folders that differ in case")
def test_a_record_beside_one_that_differs_in_case(tmp_path):
    from under20k.runs.records.folders import existing

    (tmp_path / "2026-01-01-Wide").mkdir()
    assert existing(tmp_path / "2026-01-01-wide") == tmp_path / "2026-01-01-Wide"
    assert existing(tmp_path / "2026-01-02-wide") is None
    assert existing(tmp_path / "none" / "x") is None
