"""The provenance of a run: its commit, uncommitted changes and numerics."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import under20k
from under20k.runs.provenance import identity, numerics

PACKAGE = Path(under20k.__file__).parent


def test_numerics_or_the_code_of_older_runs():
    assert numerics({"numerics": 2, "code": "0123456789abcdef"}) == 2
    assert numerics({"code": "0123456789abcdef"}) == "unknown (code 0123456789abcdef)"
    assert numerics({}) == "unknown"


def test_identity_contains_only_entries_that_determine_bits():
    native = {
        "engine": "native",
        "precision": "fp32",
        "device": "cpu",
        "instruction_set": "avx2",
        "compiler": "GCC 12.2.0",
        "numerics": 1,
        "threads": 1,
        "git": "0" * 40,
        "native_build": "0123456789abcdef",
    }
    same = {"threads": 2, "git": "1" * 40, "native_build": "f" * 16, "compiler": "GCC 11.3.0"}
    assert identity(native | same) == identity(native)
    for name, other in {
        "numerics": 2,
        "instruction_set": "avx512",
        "precision": "bf16",
        "compiler": "Clang 16.0.6",
    }.items():
        assert identity(native | {name: other}) != identity(native), name
    on_torch = native | {"engine": "torch", "packages": {"torch": "2.6.0"}}
    assert identity(on_torch | {"threads": 2}) != identity(on_torch)
    assert identity(on_torch | {"packages": {"torch": "2.7.0"}}) != identity(on_torch)
    assert identity(on_torch | {"compiler": None, "instruction_set": None}) == identity(on_torch)


@pytest.mark.parametrize("compiler", [None, "", " "])
def test_a_run_may_have_recorded_no_compiler(compiler):
    assert identity({"engine": "native", "compiler": compiler})["compiler"] is None


STATE = """
import sys
# An editable install would precede the path.
sys.meta_path[:] = [each for each in sys.meta_path if not type(each).__module__.startswith("_editable")]
from under20k.runs.provenance import git_state, sources_text
print(*git_state(), sources_text(), sep="\\n")
"""
CHANGES = STATE.replace("git_state, sources_text", "committed_since, uncommitted").replace(
    'print(*git_state(), sources_text(), sep="\\n")',
    "import json, os; print(json.dumps([uncommitted(), committed_since(json.loads(os.environ['BEFORE']))]))",
)
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def checkout(tmp_path: Path) -> tuple[Path, str]:
    """Return a git checkout of the package as it is here, and its commit."""
    root = tmp_path / "checkout"
    shutil.copytree(PACKAGE, root / "src" / "under20k", ignore=shutil.ignore_patterns("__pycache__"))
    author = ("-c", "user.name=a", "-c", "user.email=a@b.example")
    for words in (("init", "-q"), ("add", "-A"), (*author, "commit", "-q", "-m", "all")):
        subprocess.run(["git", *words], cwd=root, check=True)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, check=True, capture_output=True, text=True
    )
    return root, commit.stdout.strip()


def git_state(root: Path, **variables: str) -> list[str]:
    """Return the commit, reason and line that the package in ``root`` finds."""
    return python(root, STATE, **variables).splitlines()


def python(root: Path, code: str, **variables: str) -> str:
    """Return what ``code`` prints with the package in ``root``."""
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "PYTHONDONTWRITEBYTECODE": "1"} | variables
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


@needs_git
def test_the_commit_is_that_of_the_checkout(tmp_path):
    root, commit = checkout(tmp_path)
    assert git_state(root) == [commit, "", f"source code: commit {commit}"]
    (root / "src" / "under20k" / "__main__.py").write_text("# changed\n")
    assert git_state(root)[0] == f"{commit}-dirty"


@needs_git
def test_changes_committed_later_are_recognised(tmp_path):
    root, commit = checkout(tmp_path)
    changed = root / "src" / "under20k" / "py.typed"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.example"]

    def state(before: dict[str, str]) -> list[object]:
        """Return ``uncommitted``, and ``committed_since`` for an earlier run."""
        return json.loads(python(root, CHANGES, BEFORE=json.dumps(before)))

    assert state({"git": commit}) == [{}, False]
    changed.write_text("# changed\n")
    uncommitted, _ = state({})
    run = {"git": f"{commit}-dirty", **uncommitted}
    assert len(uncommitted["git_diff"]) == 16
    assert state(run)[1] is False  # not yet
    subprocess.run([*git, "commit", "-qam", "the change"], cwd=root, check=True)
    assert state(run) == [{}, True]
    assert state({"git": run["git"]}) == [{}, False]
    (root / "notes.md").write_text("no source\n")
    subprocess.run([*git, "add", "-A"], cwd=root, check=True)
    subprocess.run([*git, "commit", "-qm", "a document"], cwd=root, check=True)
    assert state(run) == [{}, True]
    changed.write_text("# changed again\n")
    subprocess.run([*git, "commit", "-qam", "another change"], cwd=root, check=True)
    assert state(run) == [{}, False]


@needs_git
def test_a_checkout_of_another_user_has_a_commit(tmp_path):
    """Simulated by the variable that git's own tests use."""
    root, commit = checkout(tmp_path)
    other = {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    refused = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, env=os.environ | other, capture_output=True, text=True
    )
    if refused.returncode == 0:
        pytest.skip("this git asks for no owner")
    assert "dubious ownership" in refused.stderr
    assert git_state(root, **other) == [commit, "", f"source code: commit {commit}"]


@needs_git
def test_a_missing_commit_comes_with_gits_reason(tmp_path):
    root, _ = checkout(tmp_path)
    (root / ".git" / "HEAD").unlink()
    commit, reason, line = git_state(root)
    assert commit == "None"
    assert reason.startswith("git says: fatal: ")
    assert line == f"source code: no commit, so no record can be made ({reason})"
    shutil.rmtree(root / ".git")
    assert "not from a git checkout" in git_state(root)[1]


def test_a_missing_git_is_the_reason(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "checkout" / ".git").mkdir(parents=True)
    shutil.copytree(PACKAGE, tmp_path / "checkout" / "src" / "under20k")
    commit, reason, _ = git_state(tmp_path / "checkout", PATH=str(tmp_path / "bin"))
    assert (commit, reason) == ("None", "git cannot be run: No such file or directory")
