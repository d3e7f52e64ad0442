import contextlib
import csv
import json
import os
import re
import subprocess
import sys

import pytest

from tests.support.command import ARCHITECTURE
from under20k.checking.profiles import RULES
from under20k.cli.main import main
from under20k.recipe.named import MINIMAL, REGULARIZED


def checked(capsys, *arguments: str) -> tuple[int, dict[str, dict]]:
    """The exit code, and what was found by rule."""
    code = main(["check", *arguments, "--json"])
    result = json.loads(capsys.readouterr().out)
    assert result["target"] == arguments[0]
    assert (result["result"] == "passed") == result["passed"] == (code == 0)
    found = {finding["rule"]: finding for finding in result["findings"]}
    assert tuple(found) == RULES
    return code, found


def test_regularized_meets_everything(capsys):
    assert main(["check", "regularized"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("regularized: ✓ passed, meets every requirement\n\nRule ")
    assert "Conv2d" not in out
    assert main(["check", "regularized", "--layers"]) == 0
    layers = capsys.readouterr().out.removeprefix(out)
    for name, count in (("blocks.5.conv", "6,076"), ("head.conv", "2,530")):
        assert any(line.split()[:2] == [name, "Conv2d"] and count in line for line in layers.splitlines())
    _, found = checked(capsys, "regularized")
    assert {finding["status"] for finding in found.values()} == {"passed"}
    assert found["parameters"]["evidence"] == "19,204: all trainable; 96.0% of the limit"
    assert found["dropout"]["evidence"] == "blocks.1.dropout p = 0.05, blocks.3.dropout p = 0.05"
    assert found["epochs"]["evidence"] == "12"


def test_minimal_misses_dropout_and_says_so(under20k):
    done = under20k("check", "minimal")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("minimal: ✗ failed, misses 1 of 10 requirements: dropout\n")
    (row,) = [line for line in done.stdout.splitlines() if " failed " in line]
    assert " ".join(row.split()) == "dropout ✗ failed nothing is dropped in training"
    assert "\nTo change:\n- dropout: " in done.stdout
    for words in (
        "14,116: all trainable",
        "after 6 of 6 convolutions before the last",
        "requirement: dropout with p",
    ):
        assert words in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="no terminal of this kind")
@pytest.mark.parametrize("width", [72, pytest.param(100, marks=pytest.mark.slow)])
def test_lines_fit_the_terminal(width):
    """Also those of the layers, of which a narrow one shows fewer columns; a pipe gets them unwrapped."""
    import pty
    import termios

    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, width))
    command = [sys.executable, "-m", "under20k", "check", "minimal", "--layers"]
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    with subprocess.Popen(command, stdout=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # EIO: the terminal's other end is closed
            while part := os.read(ours, 1 << 16):
                shown += part
    os.close(ours)
    lines = re.sub(r"\x1b\[\d*m", "", shown.decode()).splitlines()
    assert process.returncode == 1
    assert width - 12 < max(map(len, lines)) <= width
    assert any(line.startswith("hidden at this width: ") for line in lines) == (width == 72)
    piped = subprocess.run(command, capture_output=True, text=True).stdout
    assert " ".join(piped.split())[:40] == " ".join(" ".join(lines).split())[:40]
    assert max(map(len, piped.splitlines())) > 100


def test_a_run(small, capsys):
    code, found = checked(capsys, "runs/small")
    assert code == 0
    assert ARCHITECTURE == "1p,4pd0.1|l"
    # 3, 4 after pooling, 8, 10 after pooling.
    assert found["receptive_field"]["evidence"] == "10×10 before the global pooling, which sees the rest"
    assert found["dropout"]["evidence"] == "blocks.1.dropout p = 0.1"
    assert found["epochs"]["evidence"] == "2"


@pytest.mark.parametrize("recipe", [REGULARIZED, MINIMAL])
def test_a_recipe_file_is_judged_as_the_recipe(tmp_path, monkeypatch, capsys, recipe):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.json").write_text(recipe.with_changes(epochs=20).to_json())
    own, known = (checked(capsys, target)[1] for target in ("own.json", recipe.name))
    assert (own.pop("epochs")["status"], known.pop("epochs")["status"]) == ("failed", "passed")
    assert own == known


def test_an_unfinished_run_is_judged_by_its_recipe(unfinished, capsys):
    code, found = checked(capsys, "runs/small")
    assert (code, found["epochs"]["evidence"]) == (0, "3")


@pytest.mark.parametrize(
    ("options", "failed"),
    [
        ([], []),
        (["--profile", "under-10k"], ["parameters"]),
        (["--max-parameters", "19204", "--max-epochs", "12"], []),
        (["--max-parameters", "19203", "--max-epochs", "11"], ["parameters", "epochs"]),
        (["--min-receptive-field", "41"], ["receptive_field"]),
    ],
)
def test_profiles_and_limits_hold_for_recipes(capsys, options, failed):
    code, found = checked(capsys, "regularized", *options)
    assert [rule for rule, finding in found.items() if finding["status"] == "failed"] == failed
    assert code == (1 if failed else 0)


def test_the_files_are_written_for_recipes_too(tmp_path, capsys):
    assert (
        main(["check", "minimal", "--csv", str(tmp_path / "a.csv"), "--badge", str(tmp_path / "a.svg")]) == 1
    )
    (row,) = csv.DictReader((tmp_path / "a.csv").read_text().splitlines())
    assert list(row.values())[:4] == ["minimal", "failed", "14116", str(MINIMAL.architecture.macs)]
    assert (row["parameters"], row["dropout"]) == ("passed", "failed")
    assert row["dropout_evidence"] == "nothing is dropped in training"
    assert row["dropout_fix"]
    assert "failed, 14,116 parameters" in (tmp_path / "a.svg").read_text()


@pytest.mark.parametrize("option", [["--arg", "width=3"], ["--accuracy", "w.safetensors"]])
def test_model_options_are_refused_for_recipes(capsys, option):
    assert main(["check", "minimal", *option]) == 2
    assert "not to a recipe or a run" in capsys.readouterr().err


def test_the_limits_in_force_are_said_where_they_are_not_the_assignments(capsys):
    limits = ["--max-parameters", "100000", "--max-epochs", "30", "--min-receptive-field", "20"]
    assert main(["check", "regularized", *limits]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    said = "(limits: at most 100,000 parameters, at most 30 epochs, receptive field at least 20×20)"
    assert heading == f"regularized: ✓ passed, meets every requirement {said}"
    rows = {line.split()[0]: line for line in lines if line.strip()}
    assert "% of the limit, at most 100,000" in rows["parameters"]
    assert "; at least 20×20 is required" in rows["receptive_field"]
    assert rows["epochs"].endswith("12; at most 30 are allowed")
    assert "20,000" not in "".join(lines)
    assert main(["check", "regularized", *limits, "--json"]) == 0
    requirements = {
        row["rule"]: row["requirement"] for row in json.loads(capsys.readouterr().out)["findings"]
    }
    assert requirements["parameters"] == "at most 100,000"
    assert requirements["epochs"] == "at most 30"
    assert main(["check", "regularized", "--profile", "under-8k"]) == 1
    out = capsys.readouterr().out
    assert "(limits: fewer than 8,000 parameters, at most 15 epochs)" in out.splitlines()[0]
    assert "requirement: fewer than 8,000" in out
    assert main(["check", "regularized"]) == 0
    assert "limits:" not in capsys.readouterr().out
