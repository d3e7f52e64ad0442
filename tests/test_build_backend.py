"""An editable install beside which other projects' ``pytest -W error`` runs."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.support import ROOT

DIGESTS = """
import base64, hashlib
from importlib.metadata import files
(file,) = [file for file in files("under20k") if file.name.startswith("_editable_") and file.suffix == ".py"]
digest = base64.urlsafe_b64encode(hashlib.sha256(file.read_binary()).digest()).rstrip(b"=").decode()
print(file.hash.value == digest and file.size == len(file.read_binary()))
"""


def python(folder: Path) -> str:
    return str(folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))


@pytest.mark.slow
def test_other_projects_tests_run_where_warnings_are_errors(tmp_path):
    """Installed as ``make`` does, without the packages that the plugin's import does not need."""
    venv.create(tmp_path / "venv", with_pip=True)
    own = python(tmp_path / "venv")
    for packages in (
        ["pytest"],
        ["--no-deps", "-C", "wheel.cmake=false", "-C", f"build-dir={tmp_path / 'build'}", "-e", str(ROOT)],
    ):
        done = subprocess.run([own, "-m", "pip", "install", *packages], capture_output=True, text=True)
        if "No matching distribution" in done.stderr or "ConnectionError" in done.stderr:
            pytest.skip("no package index")
        assert done.returncode == 0, done.stderr
    (tmp_path / "test_theirs.py").write_text("def test_one():\n    assert 1 + 1 == 2\n")
    tests = [own, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", "test_theirs.py"]
    done = subprocess.run(tests, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    # The plugin is loaded, and what pip has noted of the files is true.
    listed = subprocess.run([*tests, "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert "--under20k" in listed.stdout
    done = subprocess.run([own, "-c", DIGESTS], capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr
