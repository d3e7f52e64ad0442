"""``python -m benchmarks.reading`` as it is typed, on few pictures."""

import json

import pytest

import benchmarks.reading.__main__ as command
from benchmarks.reading import fonts
from benchmarks.reading.parts import PARTS
from benchmarks.reading.tables import TABLES, tables


def test_every_part_has_a_table():
    assert PARTS.keys() == TABLES.keys()


@pytest.mark.parametrize(
    "wanted",
    [["digits", "calibration"], pytest.param(["small", "corruptions", "pages"], marks=pytest.mark.slow)],
)
def test_json_and_output_tell_the_same(wanted, tmp_path, capsys):
    file = tmp_path / "r.json"
    words = ["--model", "minimal", "--quick", "--jobs", "1", "--json", str(file), "--only", *wanted]
    assert command.main(words) == 0
    reading = json.loads(file.read_text())
    out, err = capsys.readouterr()
    assert out == tables(reading)
    assert "quick run" in out
    (figures,) = reading["models"].values()
    assert sorted(figures) == sorted(wanted)
    assert len(figures.get("corruptions", range(16))) == 16
    for score in (figures.get("digits", {}), *figures.get("corruptions", {}).values()):
        if score:
            assert 0 <= score["read"] <= score["found"] <= score["pictures"] == 20
    assert all(part in err for part in wanted)


def test_missing_fonts_are_named_rather_than_left_out(capsys, monkeypatch):
    absent = fonts.Font("Nowhere", "fonts-nowhere", "nowhere/Nowhere.ttf")
    monkeypatch.setattr(fonts, "FONTS", (*fonts.FONTS[:1], absent))
    assert command.main(["--model", "minimal", "--quick", "--jobs", "1", "--only", "fonts", "refusal"]) == 0
    out, err = capsys.readouterr()
    assert "Not measured: fonts; missing are" in out
    assert "Nowhere" in out
    assert "apt-get install" in err
    assert "fonts-nowhere" in err
    assert "%" not in out


@pytest.mark.slow
@pytest.mark.skipif(bool(fonts.missing()), reason="needs the fonts")
def test_fonts_and_refusal(capsys):
    assert command.main(["--model", "minimal", "--quick", "--jobs", "1", "--only", "fonts", "refusal"]) == 0
    out = capsys.readouterr().out
    assert "Handwriting (3)" in out
    assert "accepted as a digit: letters" in out


@pytest.mark.parametrize(
    "words",
    [
        ["--model", "nowhere/no-run"],
        ["--model", "x", "--only", "all"],
        ["--model", "x", "--jobs", "0"],
        ["--model", "x", "--json", "r.txt"],
        ["--fast"],
    ],
)
def test_bad_usage_is_one_line(words, capsys):
    assert command.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
