"""The composite action and the example workflow, as far as they go without the service.

Both files are read as the service reads them, and the steps' scripts run under the shell that it takes.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support import ROOT
from tests.support.submissions import GOOD

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
WORKFLOW = yaml.safe_load((ROOT / "docs/examples/check-workflow.yml").read_text(encoding="utf-8"))
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"] if "name" in step}


def run(step: dict, folder: Path, inputs: dict[str, str], path: str = "") -> subprocess.CompletedProcess[str]:
    """A step's script, its environment filled in from the inputs."""
    given = {name: str(setting.get("default", "")) for name, setting in ACTION["inputs"].items()} | inputs
    values = {f"inputs.{name}": value for name, value in given.items()} | {"github.action_path": str(ROOT)}
    environment = {
        name: re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda found: values[found[1]], text)
        for name, text in step["env"].items()
    }
    assert "${{" not in step["run"], "what a stranger chose would be pasted into the script"
    environment |= {"GITHUB_STEP_SUMMARY": "summary.md", "PATH": f"{path}{os.pathsep}{os.environ['PATH']}"}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    return subprocess.run(command, cwd=folder, env=os.environ | environment, capture_output=True, text=True)


def test_the_parts_fit_each_other():
    assert ACTION["runs"]["using"] == "composite"
    for step in STEPS.values():
        assert step["shell"] == "bash"
        assert set(re.findall(r"inputs\.([\w-]+)", str(step["env"]))) <= ACTION["inputs"].keys()
    (job,) = WORKFLOW["jobs"].values()
    assert job["permissions"] == {"contents": "read"}
    (use,) = [step for step in job["steps"] if "under20k" in step["uses"]]
    assert use["with"].keys() <= ACTION["inputs"].keys()
    assert {name for name, setting in ACTION["inputs"].items() if setting.get("required")} <= use[
        "with"
    ].keys()
    assert len(yaml.safe_dump(use).splitlines()) == 3, "three lines are all that a course needs"


@pytest.mark.parametrize("options", ["", "--index-url https://example.org/cpu --no-cache-dir"])
def test_the_install_step_installs_the_actions_own_folder(tmp_path, options):
    (tmp_path / "bin").mkdir()
    stub = tmp_path / "bin" / "python"
    stub.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > asked\n')
    stub.chmod(0o755)
    done = run(STEPS["Install"], tmp_path, {"pip-options": options}, str(tmp_path / "bin"))
    assert (done.returncode, done.stderr) == (0, "")
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == ["-m", "pip", "install", "--quiet", *options.split(), str(ROOT)]


@pytest.mark.slow
def test_the_check_step_runs_the_check(tmp_path):
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "bad model.py").write_text(GOOD.replace("0.1, self.training", "0.0, self.training"))
    path = str(Path(sys.executable).parent)
    for model, code in (("good.py:Net", 0), ("bad model.py:Net", 1), ("none.py:Net", 2)):
        for name in ("under20k.md", "under20k.xml"):
            (tmp_path / name).unlink(missing_ok=True)
        assert run(STEPS["Check"], tmp_path, {"model": model}, path).returncode == code
        assert (tmp_path / "under20k.xml").exists() == (code < 2)
    summary = (tmp_path / "summary.md").read_text()
    assert re.findall(r"^### (.*)$", summary, re.MULTILINE) == [
        "good.py:Net: passed",
        "bad model.py:Net: failed",
    ]
    for inputs, code in (
        ({"model": "good.py:Net", "profile": "under-9k"}, 2),
        ({"model": ".", "options": "--class --arg width=5"}, 1),
    ):
        assert run(STEPS["Check"], tmp_path, inputs, path).returncode == code
    folder = (tmp_path / "summary.md").read_text().removeprefix(summary)
    assert "**1 of 2 passed; missed: dropout 1**" in folder
    assert re.findall(r"^\| (\S+ \S+)\.py \| ", folder, re.MULTILINE) == ["bad model"]
    assert "| good.py | passed | Net | 7,405 |" in re.sub(" +", " ", folder)
