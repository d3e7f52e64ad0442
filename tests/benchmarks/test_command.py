"""``python -m benchmarks`` as it is typed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import benchmarks.__main__ as command
from benchmarks.amount import Amount
from benchmarks.process import observe
from benchmarks.tables import page
from under20k.errors import UserError


def test_files_and_output_tell_the_same(
    tiny: Amount, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "QUICK", tiny)
    file = tmp_path / "b.json"
    assert (
        command.main(["--only", "machine", "kernels", "--quick", "--rounds", "1", "--json", str(file)]) == 0
    )
    benchmark = json.loads(file.read_text())
    out, err = capsys.readouterr()
    assert out == page(benchmark) == file.with_suffix(".md").read_text()
    assert list(benchmark["parts"]) == ["machine", "kernels"]
    assert benchmark["quick"] is True
    assert benchmark["amount"]["rounds"] == 1
    assert benchmark["command"].startswith("python -m benchmarks --only machine kernels --quick")
    assert "kernels: turn 1 of 1" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.json", "b.md"]


def test_a_part_is_measured_again_and_the_others_stay(
    tiny: Amount, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "QUICK", tiny)
    file = tmp_path / "b.json"
    assert command.main(["--only", "machine", "kernels", "--quick", "--json", str(file)]) == 0
    before = json.loads(file.read_text())
    words = ["--only", "kernels", "--quick", "--rounds", "3", "--json", str(file), "--update"]
    assert command.main(words) == 0
    after = json.loads(file.read_text())
    assert {name: after[name] for name in ("command", "date", "amount")} == {
        name: before[name] for name in ("command", "date", "amount")
    }
    assert after["parts"]["machine"] == before["parts"]["machine"]
    assert len(after["parts"]["kernels"]["rows"][0]["gflops"]) == 3
    assert list(after["updated"]) == ["kernels"]
    assert after["updated"]["kernels"]["rounds"] == 3
    assert after["updated"]["kernels"]["command"].endswith("--update")
    assert file.with_suffix(".md").read_text() == page(after)
    capsys.readouterr()

    def refused(*changed: str) -> str:
        assert command.main(["--only", "kernels", *changed, "--update"]) == 2
        return capsys.readouterr().err

    assert "is of a quick run; give --quick" in refused("--json", str(file))
    assert "--update needs --json FILE" in refused("--quick")
    after["parts"]["machine"]["processor"] = "Abacus"
    file.write_text(json.dumps(after))
    assert "was measured on Abacus, this is" in refused("--quick", "--json", str(file))
    file.write_text("{}")
    assert "is not a benchmark" in refused("--quick", "--json", str(file))
    assert "no.json" in refused("--quick", "--json", str(tmp_path / "no.json"))
    assert json.loads(file.read_text()) == {}


@pytest.mark.parametrize(
    "words",
    [["--only", "all"], ["--rounds", "0"], ["--rounds", "x"], ["--json", "b.txt"], ["--fast"], ["epoch"]],
)
def test_bad_usage_is_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert words[-1] in line


def test_help_names_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(part in text for part in command.PARTS)


def test_the_full_amount_is_whole_epochs() -> None:
    assert (command.FULL.images, command.FULL.evaluated, command.FULL.batch) == (50_000, 10_000, 1_000)
    assert replace(command.QUICK, compile=True) == command.QUICK  # a quick run leaves nobody out


def test_a_training_that_fails_is_reported() -> None:
    with pytest.raises(UserError, match="mimimal"):
        observe(["train", "mimimal"])
