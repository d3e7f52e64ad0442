"""The workflows parse, name what exists, and run what their comments say."""

import re
import shlex

import pytest
import yaml

from tests.support import ROOT
from tools import variants

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow(path):
    workflow = yaml.safe_load(path.read_text("utf-8"))
    assert workflow[True]  # "on", which YAML 1.1 reads as true
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"]
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            for tool in re.findall(r"(?:^|\s)(\.ci/\w+|tests/\S+)", step.get("run", "")):
                assert (ROOT / tool).exists(), tool
            for names in re.findall(r"-m tools\.variants (.+)", step.get("run", "")):
                assert set(shlex.split(names)) <= variants.VARIANTS.keys()


def test_every_system_is_tested():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    systems = workflow["jobs"]["portable"]["strategy"]["matrix"]["os"]
    assert systems == ["ubuntu-latest", "macos-latest", "windows-latest"]
    assert [name for name, job in workflow["jobs"].items() if job.get("continue-on-error")] == [
        "windows-native"
    ]


@pytest.mark.parametrize("name", variants.VARIANTS)
def test_a_variant_names_tests_that_exist(name):
    for test in variants.VARIANTS[name].tests:
        assert (ROOT / test).exists(), test


def test_ci_runs_the_variants():
    assert "make test-variants" in (ROOT / ".ci" / "run").read_text("utf-8")
    assert re.search(
        r"^test-variants:.*\n\t.*-m tools\.variants$", (ROOT / "Makefile").read_text("utf-8"), re.M
    )


def test_a_test_that_fails_in_a_variant_fails_it(tmp_path, monkeypatch):
    (tmp_path / "test_it.py").write_text(
        "import os\n"
        "def test_home(): assert 'HOME' not in os.environ\n"
        "def test_encoding(): assert os.environ['PYTHONIOENCODING'] == 'cp1252'\n"
    )
    tests = [str(tmp_path / "test_it.py")]
    both = {"HOME": None, "PYTHONIOENCODING": "cp1252"}
    assert variants.run(variants.Variant("both", tests, both), []) == 0
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    assert variants.run(variants.Variant("one", tests, {"HOME": None}), []) == 1
