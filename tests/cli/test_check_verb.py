import json
import re

import pytest
from processes import ARCHITECTURE

from under20k.cli.main import main
from under20k.recipes import MINIMAL, REGULARIZED

RULES = [
    "Parameters",
    "Batch normalization",
    "Dropout",
    "Global average pooling or fully connected",
    "Receptive field",
    "Epochs",
]


def rows_of(text: str) -> dict[str, tuple[str, str]]:
    """Met and evidence by rule, of the table printed."""
    rows = {}
    for line in text.splitlines():
        if found := re.match(rf"({'|'.join(RULES)}) {{2,}}.+? {{2,}}(yes|NO) +(\S.*)$", line):
            rows[found[1]] = (found[2], found[3])
    return rows


def test_regularized_meets_everything(capsys):
    assert main(["check", "regularized"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    rows = rows_of(out)
    assert list(rows) == RULES
    assert {met for met, _ in rows.values()} == {"yes"}
    assert rows["Parameters"][1].startswith("19,204")
    assert rows["Epochs"][1] == "12"
    assert out.endswith("\nmeets every requirement\n")


def test_minimal_misses_dropout_and_says_so(under20k):
    done = under20k("check", "minimal")
    assert (done.returncode, done.stderr) == (1, "")
    rows = rows_of(done.stdout)
    assert list(rows) == RULES
    assert [rule for rule, (met, _) in rows.items() if met == "NO"] == ["Dropout"]
    assert rows["Dropout"][1] == "no layer of the network drops anything, so this requirement is missed"
    assert rows["Parameters"][1].startswith("14,116")
    assert rows["Receptive field"][1].startswith("40×40")
    assert done.stdout.endswith("\nmisses: Dropout\n")


def test_a_run(small, capsys):
    assert main(["check", "runs/small", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["target"], result["passed"]) == ("runs/small", True)
    verdicts = {verdict["rule"]: verdict for verdict in result["verdicts"]}
    assert list(verdicts) == RULES
    assert ARCHITECTURE == "1p,4pd0.1|l"
    # 3, 4 after pooling, 8, 10 after pooling; the average of 7 rows, 4 pixels apart, adds 24.
    assert verdicts["Receptive field"]["evidence"] == "34×34 at head.conv"
    assert verdicts["Dropout"]["evidence"] == "blocks.1.dropout (p = 0.1)"
    assert verdicts["Epochs"]["evidence"] == "2"


@pytest.mark.parametrize("recipe", [REGULARIZED, MINIMAL])
def test_a_recipe_file_is_judged_as_the_recipe(tmp_path, monkeypatch, capsys, recipe):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.json").write_text(recipe.with_changes(epochs=20).to_json())
    results = []
    for target in ("own.json", recipe.name):
        main(["check", target, "--json"])
        results.append({v["rule"]: v for v in json.loads(capsys.readouterr().out)["verdicts"]})
    own, known = results
    assert (own.pop("Epochs")["passed"], known.pop("Epochs")["passed"]) == (False, True)
    assert own == known


def test_an_unfinished_run_is_judged_by_its_recipe(unfinished, capsys):
    assert main(["check", "runs/small"]) == 0
    assert rows_of(capsys.readouterr().out)["Epochs"] == ("yes", "3")
