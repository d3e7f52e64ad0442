"""What tells trainings apart: the digest of the sources knows of all that decides a bit."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import under20k
from under20k.runs.provenance import CODE

PACKAGE = Path(under20k.__file__).parent
# What they import to read files, to say what is wrong, and to time, keep and compare what was trained; MNIST
# is verified by a digest.
DECIDES_NOTHING = {
    *("environment.py", "errors.py", "files.py", "machine.py", "metrics.py", "plausible.py", "run.py"),
    "data/__init__.py",
}


def imported(file: Path) -> set[str]:
    """The modules of this package that a file imports, as paths within it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):  # a module of a package, or a name in it
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        for name in names:
            first, *rest = name.split(".")
            path = PACKAGE.joinpath(*rest)
            if first == "under20k" and rest:
                if path.with_suffix(".py").is_file():
                    found.add(path.with_suffix(".py").relative_to(PACKAGE).as_posix())
                elif (path / "__init__.py").is_file():
                    found.add(f"{path.relative_to(PACKAGE).as_posix()}/__init__.py")
    return found


def test_the_digest_of_the_code_knows_all_that_its_files_import():
    files = [file for name in CODE for file in sorted((PACKAGE / name).glob("*.py")) or [PACKAGE / name]]
    known = {file.relative_to(PACKAGE).as_posix() for file in files}
    needed = set().union(*map(imported, files))
    assert {"elastic.py", "engine/augment.py", "metrics.py"} <= needed
    assert needed - DECIDES_NOTHING <= known


STATE = """
import sys
# Else an editable install goes before the path.
sys.meta_path[:] = [each for each in sys.meta_path if not type(each).__module__.startswith("_editable")]
from under20k.runs.provenance import git_state, sources_text
print(*git_state(), sources_text(), sep="\\n")
"""
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def checkout(tmp_path: Path) -> tuple[Path, str]:
    """A git checkout of the package as it is here, and its commit."""
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
    """Commit, reason and line that the package in ``root`` finds."""
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "PYTHONDONTWRITEBYTECODE": "1"} | variables
    done = subprocess.run(
        [sys.executable, "-c", STATE], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


@needs_git
def test_the_commit_of_the_checkout(tmp_path):
    root, commit = checkout(tmp_path)
    assert git_state(root) == [commit, "", f"sources: {commit}"]
    (root / "src" / "under20k" / "tracks.py").write_text("# changed\n")
    assert git_state(root)[0] == f"{commit}-dirty"


@needs_git
def test_a_checkout_of_another_user(tmp_path):
    """As git has tests of its own ask it to see one."""
    root, commit = checkout(tmp_path)
    other = {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    refused = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, env=os.environ | other, capture_output=True, text=True
    )
    if refused.returncode == 0:
        pytest.skip("this git asks for no owner")
    assert "dubious ownership" in refused.stderr
    assert git_state(root, **other) == [commit, "", f"sources: {commit}"]


@needs_git
def test_what_git_said_where_there_is_no_commit(tmp_path):
    root, _ = checkout(tmp_path)
    (root / ".git" / "HEAD").unlink()
    commit, reason, line = git_state(root)
    assert commit == "None"
    assert reason.startswith("git says: fatal: ")
    assert line == f"sources: no commit, so that no record can be made ({reason})"
    shutil.rmtree(root / ".git")
    assert "not from a git checkout" in git_state(root)[1]


def test_without_git(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "checkout" / ".git").mkdir(parents=True)
    shutil.copytree(PACKAGE, tmp_path / "checkout" / "src" / "under20k")
    commit, reason, _ = git_state(tmp_path / "checkout", PATH=str(tmp_path / "bin"))
    assert (commit, reason) == ("None", "git cannot be run: No such file or directory")
