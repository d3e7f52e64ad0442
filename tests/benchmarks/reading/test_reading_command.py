"""``python -m benchmarks.reading`` as it is typed, on few pictures."""

import json
from pathlib import Path

import pytest

import benchmarks.reading.__main__ as command
from benchmarks.reading import fonts
from benchmarks.reading.parts import PARTS
from benchmarks.reading.tables import TABLES, tables
from under20k.runs.places import Places
from under20k.runs.train import train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that reads about as well as chance."""
    places = Places(tmp_path_factory.mktemp("runs"))
    return train("minimal", places=places, architecture="1p,2p|l", epochs=1, batch_size=5000).path


def test_every_part_has_a_table():
    assert PARTS.keys() == TABLES.keys()


def test_json_and_output_tell_the_same(run, tmp_path, capsys):
    file = tmp_path / "r.json"
    wanted = ["digits", "corruptions", "small", "calibration"]
    assert (
        command.main(["--model", str(run), "--quick", "--jobs", "1", "--json", str(file), "--only", *wanted])
        == 0
    )
    reading = json.loads(file.read_text())
    out, err = capsys.readouterr()
    assert out == tables(reading)
    assert "quick run" in out
    ((name, figures),) = reading["models"].items()
    assert name == run.name
    assert list(figures) == wanted
    assert len(figures["corruptions"]) == 16
    for score in (figures["digits"], *figures["corruptions"].values(), *figures["small"].values()):
        assert 0 <= score["read"] <= score["found"] <= score["pictures"] == 50
    assert all(part in err for part in wanted)


def test_missing_fonts_are_named_rather_than_left_out(run, capsys, monkeypatch):
    absent = fonts.Font("Nowhere", "fonts-nowhere", "nowhere/Nowhere.ttf")
    monkeypatch.setattr(fonts, "FONTS", (*fonts.FONTS[:1], absent))
    assert command.main(["--model", str(run), "--quick", "--jobs", "1", "--only", "fonts", "refusal"]) == 0
    out, err = capsys.readouterr()
    assert "Not measured: fonts; missing are" in out
    assert "Nowhere" in out
    assert "apt-get install" in err
    assert "fonts-nowhere" in err
    assert "%" not in out


@pytest.mark.slow
@pytest.mark.skipif(bool(fonts.missing()), reason="needs the fonts")
def test_fonts_and_refusal(run, capsys):
    assert command.main(["--model", str(run), "--quick", "--jobs", "1", "--only", "fonts", "refusal"]) == 0
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
