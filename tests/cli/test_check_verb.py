import json

import pytest
from processes import ARCHITECTURE

from under20k.checking.profiles import RULES
from under20k.cli.main import main
from under20k.recipes import MINIMAL, REGULARIZED


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
    for name, count in (("blocks.5.conv", "6,076"), ("head.conv", "2,530")):
        assert any(line.split()[:2] == [name, "conv2d"] and count in line for line in out.splitlines())
    assert out.endswith("\nmeets every requirement\n")
    _, found = checked(capsys, "regularized")
    assert {finding["status"] for finding in found.values()} == {"passed"}
    assert found["parameters"]["evidence"] == "19,204: all trainable; 96.0% of the limit"
    assert found["dropout"]["evidence"] == "blocks.1.dropout p = 0.05, blocks.3.dropout p = 0.05"
    assert found["epochs"]["evidence"] == "12"


def test_minimal_misses_dropout_and_says_so(under20k):
    done = under20k("check", "minimal")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.endswith("\nmisses: dropout\n")
    (row,) = [line for line in done.stdout.splitlines() if " failed " in line]
    assert " ".join(row.split()) == "dropout dropout with p above 0 failed nothing is dropped in training"
    for words in ("14,116: all trainable", "after 6 of 6 convolutions before the last", "40×40 with it"):
        assert words in done.stdout


def test_a_run(small, capsys):
    code, found = checked(capsys, "runs/small")
    assert code == 0
    assert ARCHITECTURE == "1p,4pd0.1|l"
    # 3, 4 after pooling, 8, 10 after pooling.
    field = found["receptive_field"]
    assert (field["status"], field["evidence"]) == (
        "warning",
        "10×10 before the global pooling, which sees the rest",
    )
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
        (["--min-receptive-field", "41"], []),  # it is advised only
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
    assert (
        (tmp_path / "a.csv")
        .read_text()
        .splitlines()[1]
        .startswith(f"minimal,failed,14116,{MINIMAL.architecture.macs},passed")
    )
    assert "failed, 14,116 parameters" in (tmp_path / "a.svg").read_text()


@pytest.mark.parametrize("option", [["--arg", "width=3"], ["--accuracy", "w.safetensors"]])
def test_what_a_recipe_cannot_take_is_refused(capsys, option):
    assert main(["check", "minimal", *option]) == 2
    assert "not for a recipe or a run" in capsys.readouterr().err
