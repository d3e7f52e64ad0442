"""The workflows parse, name what exists, and run what their comments say."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from typing import Any

import pytest
import yaml

from tests.support import ROOT
from tools import variants
from under20k.engine import isa

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text("utf-8"))
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
}
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
PYTHONS = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the steps of all jobs of a workflow."""
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def scripts() -> list[str]:
    """Return every script that a workflow, CI or the action runs."""
    action = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
    runs = [step["run"] for step in action["runs"]["steps"] if "run" in step]
    runs += [step["run"] for workflow in WORKFLOWS.values() for step in steps(workflow) if "run" in step]
    return [*runs, (ROOT / ".ci" / "run").read_text("utf-8")]


def matrix(workflow: str, job: str) -> dict[str, list[str]]:
    return WORKFLOWS[workflow]["jobs"][job]["strategy"]["matrix"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow(name):
    workflow = WORKFLOWS[name]
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


def test_every_target_of_make_exists():
    called = [name for script in scripts() for name in re.findall(r"\bmake ([a-z-]+)", script)]
    assert {"check", "test", "test-all", "records", "test-lowest", "sanitize"} <= set(called)
    assert set(called) <= TARGETS


@pytest.mark.skipif(not shutil.which("bash") or sys.platform == "win32", reason="needs bash")
def test_every_script_is_bash():
    for script in scripts():
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_every_line_of_python_imports_what_exists():
    lines = [line for script in scripts() for line in re.findall(r"from under20k\S* import \w+", script)]
    assert lines
    for line in lines:
        exec(line, {})


def test_an_action_is_pinned_to_a_major_version():
    uses = [step["uses"] for workflow in WORKFLOWS.values() for step in steps(workflow) if "uses" in step]
    assert len(uses) > 10
    assert [action for action in uses if not re.fullmatch(r"actions/[a-z-]+@v\d+", action)] == []
    # Two majors of one action would be two behaviours.
    assert len(set(uses)) == len({action.partition("@")[0] for action in uses})


def test_no_workflow_reads_a_secret():
    texts = [path.read_text("utf-8") for path in (ROOT / ".github" / "workflows").glob("*.yml")]
    assert [text for text in texts if "secrets." in text or "id-token" in text] == []


def test_every_supported_python_is_tested():
    assert matrix("ci", "quick") == {"os": ["ubuntu-latest", "macos-latest"], "python": PYTHONS}
    for workflow in WORKFLOWS.values():
        for job in workflow["jobs"].values():
            pythons = job.get("strategy", {}).get("matrix", {}).get("python", [])
            fixed = [step.get("with", {}).get("python-version", "matrix") for step in job["steps"]]
            assert {*pythons, *(text for text in fixed if "matrix" not in text)} <= set(PYTHONS)


def test_every_system_is_tested():
    assert matrix("ci", "portable")["os"] == ["ubuntu-latest", "macos-latest", "windows-latest"]
    failing = [name for name, job in WORKFLOWS["ci"]["jobs"].items() if job.get("continue-on-error")]
    assert failing == ["windows-native"]


def test_wheels_are_built_for_tags_and_by_hand():
    assert WORKFLOWS["wheels"][True] == {"push": {"tags": ["v*"]}, "workflow_dispatch": None}
    assert matrix("wheels", "wheels")["os"] == ["ubuntu-latest", "ubuntu-24.04-arm", "macos-latest"]
    settings = PROJECT["tool"]["cibuildwheel"]
    assert settings["macos"]["archs"] == ["arm64"]
    assert settings["linux"]["archs"] == ["native"]


@pytest.mark.skipif(isa.unavailable() is not None, reason="needs the native engine")
def test_a_wheel_s_test_passes_here(tmp_path):
    """The commands that cibuildwheel runs on each wheel, on what is installed here."""
    bin = f"{sys.prefix}/bin"
    for command in PROJECT["tool"]["cibuildwheel"]["test-command"]:
        words = shlex.split(command)
        assert words[0] == "under20k"
        done = subprocess.run([f"{bin}/{words[0]}", *words[1:]], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    assert '"engine": "native"' in (run / "environment.json").read_text("utf-8")


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
