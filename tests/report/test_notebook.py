"""Values as a notebook shows them, made without training."""

import pickle
import re
from dataclasses import replace

import numpy as np
import pytest

from tests.support import ROOT
from tests.support.benches import around, bench_of, on_disk
from tests.support.run_folders import new_run
from under20k.checking.findings import Finding, Findings
from under20k.data.mnist import Split
from under20k.engine.evaluation import evaluate
from under20k.recipe.named import MINIMAL, RECIPES
from under20k.report.notebook import drawn
from under20k.runs.bench.bench import Benches
from under20k.runs.bench.run_bench import BenchResult
from under20k.runs.leaderboard import compare
from under20k.runs.records.record import Record
from under20k.runs.run import Run

FINDING = Finding("parameters", "fewer than 20,000", "failed", "20,001", fix="take away <2> or more")
BENCH = bench_of(around(0.994, 4))
OTHER = bench_of(around(0.993, 4), replace(BENCH.recipe, name="other"))


def texts(html: str) -> str:
    """What one reads of it."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def pictures(html: str) -> int:
    return html.count('class="under20k-light" src="data:image/png;base64,')


def test_a_recipe_is_its_settings_and_its_layers():
    html = drawn(MINIMAL)
    assert "Parameters 14,116" in texts(html)
    assert "head.conv" in html
    assert "head.conv" in drawn(MINIMAL.architecture)


def test_a_run_is_its_verdict_its_curves_and_its_epochs(tmp_path):
    run = new_run(tmp_path / "run", epochs=3, finished=True)
    html = drawn(run)
    assert "98.00% validation accuracy at the last of 3 epochs" in texts(html)
    assert pictures(html) == 1
    assert html.count("<tr") > 3
    assert str(tmp_path / "run") in html


def test_an_unfinished_run_says_so(tmp_path):
    assert "no epoch of 3 is finished yet" in drawn(new_run(tmp_path / "new"))
    assert "after 2 of 3 epochs (unfinished)" in texts(drawn(new_run(tmp_path / "begun", epochs=2)))


def test_a_damaged_run_is_shown_by_its_text(tmp_path):
    run = new_run(tmp_path / "run", epochs=3, finished=True)
    (run.path / "metrics.jsonl").write_text("?")
    assert run._repr_html_() is None
    assert repr(run) == f"Run({run.recipe.name}, seed 0, not readable, {run.path})"


def test_a_bench_is_its_claim_its_picture_and_its_figures(tmp_path):
    html = drawn(BENCH)
    assert "99.400 ± 0.035 %" in texts(html)
    assert pictures(html) == 1
    result = drawn(BenchResult(BENCH, tmp_path / "bench", OTHER, tmp_path / "other"))
    assert pictures(result) == 2
    assert "small minus other, paired by seed" in texts(result)
    assert str(tmp_path / "other") in result
    assert "small" in drawn(Benches([BENCH, OTHER]))


def test_a_leaderboard_is_its_table_and_its_picture(tmp_path):
    folders = [on_disk(tmp_path, BENCH), on_disk(tmp_path, OTHER)]
    entries = compare(folders)
    assert compare([BenchResult(BENCH, folders[0], OTHER, folders[1])]) == entries
    run = Run.open(next((tmp_path / "runs").iterdir()))
    assert compare([run]) == compare([run.path])
    assert entries == list(entries)
    assert texts(drawn(entries)).index("small") < texts(drawn(entries)).index("other")
    assert pictures(drawn(entries)) == 1
    assert pictures(drawn(entries[0])) == 0
    assert repr(entries) == "Leaderboard(small 99.400 ± 0.035 %, other 99.300 ± 0.035 %)"
    assert repr(entries[0]).startswith("Entry(small: bench of 4 seeds, ")


def test_a_record_is_its_page():
    record = Record.open(next((ROOT / "records").glob("small/*")))
    assert pictures(drawn(record)) == 1
    assert "parameters" in drawn(record)
    assert repr(record).startswith("Record(small/")


def test_an_evaluation_is_its_classes_and_its_confusions():
    logits = np.zeros((3, 10), np.float32)
    logits[:, 4] = 1
    evaluation = evaluate("validation", logits, np.array([4, 4, 9], np.uint8))
    assert "2 of 3 images correct (66.67%)" in texts(drawn(evaluation))
    assert drawn(evaluation).count("<table") == 2
    assert repr(evaluation) == "Evaluation(validation: 2 of 3 images correct, 66.67%)"
    assert pictures(drawn(evaluation)) == 0


def test_an_evaluation_with_its_images_shows_what_is_misclassified():
    labels, logits = np.array([4, 4, 9], np.uint8), 9 * np.eye(10, dtype=np.float32)[[4, 4, 9]]
    data = Split("validation", np.zeros((3, 28, 28), np.uint8), labels)
    right = replace(evaluate("validation", logits, labels), logits=logits, data=data)
    assert pictures(drawn(right)) == 0
    logits[1, 9] = 20
    html = drawn(replace(evaluate("validation", logits, labels), logits=logits, data=data))
    assert pictures(html) == 1
    assert 'alt="The most confident of 1 misclassified image"' in html


def test_findings_are_verdicts_and_advice():
    findings = Findings([FINDING, replace(FINDING, rule="output", status="passed", fix="")])
    html = drawn(findings)
    assert "✗ failed" in html
    assert "✓ passed" in html
    assert "take away &lt;2&gt; or more" in html
    assert "Advice" not in drawn(Findings(findings[1:]))
    assert repr(findings) == "Findings(1 of 2 rules passed; failed: parameters)"
    assert repr(FINDING) == "Finding(parameters failed: 20,001)"
    assert findings == [FINDING, findings[1]]
    assert pickle.loads(pickle.dumps(findings)) == findings  # noqa: S301


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31m", "x" * 300])
def test_a_value_prints_in_one_line_whatever_its_name(name, tmp_path):
    recipe = replace(MINIMAL, name=name)
    values = [recipe, replace(BENCH, recipe=recipe), Run(tmp_path, recipe, 0, {})]
    for text in map(repr, values):
        assert text.isprintable()
        assert len(text) < 250


def test_values_are_equal_hashed_and_pickled_as_before():
    for recipe in RECIPES.values():
        assert pickle.loads(pickle.dumps(recipe)) == recipe  # noqa: S301
        assert hash(replace(recipe)) == hash(recipe)
    assert pickle.loads(pickle.dumps(BENCH)) == BENCH  # noqa: S301


def test_what_nothing_draws_is_a_defect():
    with pytest.raises(TypeError, match="nothing draws a int"):
        drawn(1)
