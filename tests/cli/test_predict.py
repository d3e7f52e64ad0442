"""``under20k predict`` on real files, good and bad, to stdout, JSON, CSV and pictures."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
from PIL import Image

from tests.support import ROOT
from tests.support.command import COMMAND, TIMEOUT_S, end, start
from tests.support.pictures import bad_files, digit_files, page
from tests.support.printed import ENCODING
from under20k.cli.main import main
from under20k.deploy.card import default_name
from under20k.engine import isa


@pytest.fixture
def folder(tmp_path, monkeypatch, mnist):
    """A folder with ten digits, a page and a blank picture."""
    monkeypatch.chdir(tmp_path)
    digit_files(mnist.validation, tmp_path / "digits", 11)
    page(mnist.validation, ["94720"]).save("code.png")
    Image.new("L", (60, 60), 255).save("blank.png")
    return tmp_path


def predict(capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command."""
    capsys.readouterr()
    code = main(["predict", *arguments])
    return code, *capsys.readouterr()


def test_one_page_is_its_text_and_then_a_table(folder, capsys):
    code, out, err = predict(capsys, "code.png")
    assert code == 0
    lines = out.splitlines()
    assert lines[:2] == ["94720", ""]
    assert lines[2].split() == ["Digit", "Probability", "Runner-up", "Left,", "top", "Size"]
    assert [line.split()[0] for line in lines[4:9]] == list("94720")
    assert all(re.fullmatch(r"\d +\d+\.\d% +\d \(\d+\.\d%\) +\d+, \d+ +\d+×\d+", line) for line in lines[4:9])
    assert err.splitlines()[0].startswith(
        f"read by {default_name()}: pretrained, 19,204 parameters, validation"
    )
    assert err.splitlines()[1] == "5 digits in 1 picture"


def test_single_digits_are_a_row_each_and_pages_stand_apart(folder, capsys):
    code, out, err = predict(capsys, "digits/2.png", "digits/10.png", "code.png", "blank.png", "-q")
    assert (code, err) == (0, "")
    first, text, table, last = out.split("\n\n")
    assert [line.split()[:1] for line in first.splitlines()[2:]] == [["digits/2.png"], ["digits/10.png"]]
    assert text.splitlines() == ["code.png", "  94720"]
    assert table.startswith("Digit")
    assert last.splitlines()[2].split() == ["blank.png", "none", *"––––"]


def test_json_has_all_there_is(folder, capsys, mnist):
    bad_files(folder)
    code, out, err = predict(capsys, "--json", "code.png", "missing.png", "text.png", "blank.png", "digits")
    assert code == 0
    found = json.loads(out)
    assert found["model"]["name"] == default_name()
    by_name = {picture["file"]: picture for picture in found["pictures"]}
    assert by_name["missing.png"] == {"file": "missing.png", "error": "there is no file missing.png"}
    assert set(by_name["text.png"]) == {"file", "error"}
    assert by_name["blank.png"] == {"file": "blank.png", "width": 60, "height": 60, "text": "", "digits": []}
    code_png = by_name["code.png"]
    assert code_png["text"] == "94720"
    assert [digit["value"] for digit in code_png["digits"]] == [9, 4, 7, 2, 0]
    for digit in code_png["digits"]:
        assert 0 < digit["runner_up_probability"] < digit["probability"] <= 1
        box = digit["box"]
        assert 0 <= box["left"] < box["right"] <= code_png["width"]
        assert 0 <= box["top"] < box["bottom"] <= code_png["height"]
    singles = [by_name[f"digits/{index}.png"]["text"] for index in range(11)]
    assert singles == list(map(str, mnist.validation.labels[:11]))
    assert "2 pictures not read" in err


def test_csv_has_a_row_a_digit(folder, capsys):
    code, out, _ = predict(capsys, "--csv", "code.png", "blank.png")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["file"] for row in rows] == ["code.png"] * 5 + ["blank.png"]
    assert "".join(row["digit"] for row in rows) == "94720"
    assert rows[5]["digit"] == rows[5]["left"] == ""
    assert int(rows[0]["left"]) < int(rows[1]["left"])
    page_of = json.loads(predict(capsys, "--json", "code.png")[1])["pictures"][0]["digits"]
    assert [int(row["line"]) for row in rows[:5]] == [digit["line"] for digit in page_of] == [0] * 5


def test_standard_input_patterns_and_folders(folder, capsys):
    piped = subprocess.run(
        [*COMMAND, "predict", "-", "-q"],
        input=(folder / "code.png").read_bytes(),
        capture_output=True,
        check=True,
    )
    assert piped.stdout.decode(ENCODING).startswith("94720\n")
    _, out, err = predict(capsys, "digits", "digits/1*.png", "--csv")
    names = [row["file"] for row in csv.DictReader(io.StringIO(out))]
    assert names[:11] == [f"digits/{index}.png" for index in range(11)]
    assert names[11:] == ["digits/1.png", "digits/10.png"]
    assert "13 pictures" in err


def test_standard_input_that_is_closed(folder):
    done = subprocess.run(
        ["bash", "-c", 'exec "$@" <&-', "bash", *COMMAND, "predict", "-", "-q"],
        capture_output=True,
        encoding=ENCODING,
        timeout=TIMEOUT_S,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("under20k: the input is not a picture")
    assert len(done.stderr.splitlines()) == 1


def test_files_on_both_sides_of_options(folder, capsys):
    shutil.copy("digits/3.png", "-3.png")
    for words in (
        ["--csv", "-q", "digits/1.png", "digits/2.png", "--", "-3.png"],
        ["digits/1.png", "--csv", "digits/2.png", "-q", "--", "-3.png"],
    ):
        code, out, _ = predict(capsys, *words)
        assert code == 0
        assert [row["file"] for row in csv.DictReader(io.StringIO(out))] == [
            "digits/1.png",
            "digits/2.png",
            "-3.png",
        ]


def test_another_model(folder, capsys, small):
    for given, said in (("minimal", "minimal: pretrained, 14,116"), ("runs/small", "runs/small: ")):
        code, out, err = predict(capsys, "--model", given, "digits/1.png")
        assert code == 0
        assert f"read by {said}" in err
        assert "digits/1.png" in out
    for given, words in (
        ("minimul", "there is no model 'minimul'; did you mean 'minimal'?"),
        ("other", "there is no model 'other'; pretrained: "),
    ):
        code, out, err = predict(capsys, "--model", given, "code.png")
        assert (code, out) == (2, "")
        assert words in err


@pytest.mark.parametrize(("options", "code"), [(["code.png"], 0), ([], 2)])
def test_what_cannot_be_read_is_a_line_each_and_the_rest_goes_on(folder, capsys, options, code):
    bad = [*bad_files(folder), "missing.png", "nothing*.png", "bare", "pipe.png", os.devnull]
    (folder / "bare").mkdir()
    os.mkfifo("pipe.png")
    found, out, err = predict(capsys, *bad, *options, "-q")
    assert found == code
    lines = err.splitlines()
    assert len(lines) == len(bad)
    for name in bad:
        (line,) = (line for line in lines if name in line)
        assert line.startswith("under20k: ")
    assert "Traceback" not in err
    assert out.startswith("94720\n") == bool(options) or "code.png" in out


def test_bad_usage(folder, capsys):
    for arguments, words in (
        ([], "name the pictures to read"),
        (["code.png", "--json", "--csv"], "not allowed with"),
        (["code.png", "--show", "boxes.jpg"], "end its name with .png"),
        (["code.png", "--show", "digits"], "'digits'; the drawing is a PNG"),
        (["code.png", "--show", "code.png/boxes.png"], "cannot be written"),
        (["code.png", "--threads", "0"], "--threads is 0"),
    ):
        code, out, err = predict(capsys, *arguments)
        assert (code, out) == (2, "")
        assert words in err
        assert len(err.splitlines()) == 1


def test_the_drawing(folder, capsys):
    code, _, err = predict(capsys, "code.png", "--show", "made/boxes.png")
    assert code == 0
    assert err.splitlines()[-1] == "drawn: made/boxes.png"
    with Image.open("made/boxes.png") as drawing, Image.open("code.png") as picture:
        assert drawing.width > picture.width
    code, _, err = predict(capsys, "blank.png", "text.png", "--show", "made/blank.png")
    assert code == 0
    assert os.path.exists("made/blank.png")


def test_the_drawing_replaces_no_picture_that_is_read(folder, capsys):
    os.link("code.png", "linked.png")
    os.mkdir("none")
    shutil.copy("blank.png", "sheet-2.png")
    before = {name: (folder / name).read_bytes() for name in ("code.png", "sheet-2.png")}
    for picture, drawing in (
        ("code.png", "code.png"),
        ("code.png", "none/../code.png"),
        ("code.png", "linked.png"),
        (".", "blank.png"),
        ("sheet-2.png", "sheet.png"),  # where a full sheet would continue
    ):
        code, out, err = predict(capsys, picture, "--show", drawing)
        assert (code, out) == (2, "")
        assert f"--show {drawing} might replace " in err
        assert len(err.splitlines()) == 1
    assert before == {name: (folder / name).read_bytes() for name in before}
    for _ in range(2):  # an earlier drawing is replaced
        assert predict(capsys, "code.png", "--show", "boxes.png")[0] == 0


def test_the_guide_says_what_happens(folder, capsys):
    guide = (ROOT / "docs" / "reading.md").read_text("utf-8")
    (folder / "code.png").rename("postcode.png")
    shown = re.findall(r"^```console\n\$ under20k (.*?)```$", guide, re.M | re.S)[0].splitlines()
    code, out, _ = predict(capsys, *shown[0].split()[1:])
    assert code == 0
    assert [line.split() for line in out.splitlines()[:4]] == [line.split() for line in shown[1:5]]
    names: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", guide, re.M | re.S):
        exec(compile(block, "reading.md", "exec"), names)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "94720"
    assert re.fullmatch(r"9 \d+\.\d% Box\(left=.*\) \d", lines[1])
    assert lines[-1].startswith("Card(regularized-plus: ")


@pytest.mark.skipif(isa.unavailable() is not None, reason="no native engine")
@pytest.mark.parametrize("options", [[], ["--json"], ["--show", "boxes.png"]])
def test_neither_torch_nor_matplotlib_is_imported(folder, options):
    code = (
        "import sys; from under20k.cli.main import main\n"
        f"main({['predict', 'code.png', '-q', *options]!r})\n"
        "print({'torch', 'matplotlib', 'tqdm'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding=ENCODING, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_each_engine(folder, capsys, engine):
    if engine == "native" and isa.unavailable():
        pytest.skip("no native engine")
    code, out, _ = predict(capsys, "code.png", "--engine", engine, "--device", "cpu", "--threads", "1")
    assert code == 0
    assert out.startswith("94720\n")


def test_ctrl_c_ends_in_one_line(folder):
    for index in range(3000):
        shutil.copy("code.png", f"digits/copy-{index}.png")
    process = start(folder, "predict", "digits", "--csv")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.readline()
    code, _, err = end(process, signal.SIGINT)
    assert code == 128 + signal.SIGINT
    assert [line for line in err.splitlines() if "read by" not in line] == [
        "interrupted; run the command again"
    ]


def test_a_reader_that_has_enough(folder):
    line = f"{sys.executable} -m under20k predict digits digits digits --csv -q | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], capture_output=True, encoding=ENCODING, timeout=TIMEOUT_S
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("file,")


@pytest.mark.parametrize("options", ["", "--csv", "--json"])
def test_the_drawing_of_what_a_reader_has_enough_of(folder, options):
    line = f"{sys.executable} -m under20k predict digits digits code.png {options} --show boxes.png -q | true"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], capture_output=True, encoding=ENCODING, timeout=TIMEOUT_S
    )
    assert (done.returncode, done.stderr) == (0, "")
    with Image.open("boxes.png") as drawing:
        assert drawing.height > 400  # with the page, which is the last
