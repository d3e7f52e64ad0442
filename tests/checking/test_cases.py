"""Small models, one for each difficulty of real files, judged by ``under20k check``."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cases import CASES, SAME, Case
from under20k.checking.judgement import Judgement
from under20k.checking.profiles import load_profile
from under20k.checking.sandbox.sandbox import Sandbox, judge_all


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> dict[str, Judgement]:
    """Of every case, by its name."""
    folder = tmp_path_factory.mktemp("cases")
    names = {str(case.write(folder)): case.name for case in CASES}
    return {names[text]: result for text, result in judge_all(list(names), Sandbox(load_profile("brief")), 2)}


def statuses(result: Judgement) -> dict[str, str]:
    return {finding.rule: finding.status for finding in result.findings}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case(results, case: Case):
    result = results[case.name]
    if case.no_model:
        assert result.word == "no model"
        return
    if case.parameters is None:
        assert result.word == "broken"
        told = result.error + " ".join(result.notes)
        for word in case.error:
            assert case.place(word) in told
        return
    assert result.error is None, result.error
    found = statuses(result)
    assert {rule for rule, status in found.items() if status == "failed"} == case.missed
    for rule in case.advised:
        assert found[rule] == "warning"
    assert (result.model, result.parameters) == (case.model, case.parameters)
    assert result.others == case.others
    for word in case.notes:
        assert case.place(word) in " ".join(result.notes)
    for rule, words in case.words.items():
        (finding,) = [finding for finding in result.findings if finding.rule == rule]
        for word in words:
            assert case.place(word) in " ".join((finding.evidence, finding.remark, finding.fix))


@pytest.mark.slow
@pytest.mark.parametrize(("one", "other"), SAME)
def test_two_ways_to_write_a_network_have_one_verdict(results, one, other):
    assert statuses(results[one]) == statuses(results[other])


@pytest.mark.slow
def test_claims_of_a_source_are_reported(results):
    assert "15" in json.dumps(results["claims.py"].claims.to_json())
    assert "99.41" in json.dumps(results["claims.ipynb"].claims.to_json()) or "0.9941" in json.dumps(
        results["claims.ipynb"].claims.to_json()
    )


@pytest.mark.slow
def test_constructor_calls_are_reported(results):
    assert results["needs_argument.py"].calls == ("Net(10)",)


def check(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "under20k", "check", *arguments, "--trust"]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "code"),
    [("plain.py", 0), ("no_norm.py", 1), ("needs_package.py", 1), ("imports_local.ipynb", 0)],
)
def test_the_command_agrees_with_the_function(results, tmp_path, name, code):
    (case,) = [case for case in CASES if case.name == name]
    path = case.write(tmp_path)
    done = check(path.parent, path.name, "--json")
    assert done.returncode == code, done.stderr
    printed = json.loads(done.stdout)
    assert printed["result"] == results[name].word
    assert printed.get("parameters") == case.parameters


@pytest.mark.slow
def test_all_models_of_a_notebook(tmp_path):
    (case,) = [case for case in CASES if case.name == "two_nets.ipynb"]
    path = case.write(tmp_path)
    done = check(path.parent, path.name, "--all", "--json")
    assert done.returncode == 1, done.stderr  # Net2 drops nothing
    rows = json.loads(done.stdout)["results"]
    assert [row["model"] for row in rows] == ["Net", "Net2"]
    assert [row["result"] for row in rows] == ["passed", "failed"]


@pytest.mark.slow
def test_files_without_a_model_are_left_out_of_a_folder_and_counted(tmp_path):
    for case in CASES:
        if case.name in ("plain.py", "helpers.py", "train.py"):
            (tmp_path / "class" / "anna").mkdir(parents=True, exist_ok=True)
            (tmp_path / "class" / "anna" / case.name).write_text(case.text)
    done = check(tmp_path, "class", "--csv", "class.csv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1 passed" in done.stdout
    assert "2 files without a model" in done.stdout
    assert "helpers" not in (tmp_path / "class.csv").read_text()
