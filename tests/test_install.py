"""Installing from sources that may not be written, and what the metadata allows."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest

from tests.support import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_no_release_of_torch_is_excluded_from_above():
    (torch,) = [text for text in PROJECT["project"]["dependencies"] if text.startswith("torch")]
    assert torch == "torch>=2.6"
    assert "torch==2.13.*" in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    installs = [line for line in makefile.splitlines() if re.search(r"-m pip install|^\t\$\(PIP\)", line)]
    assert len(installs) >= 4
    assert all("--constraint " in line or "$(PIP)" in line for line in installs)


def test_the_lowest_versions_are_those_of_the_metadata():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "lowest.py"], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert "pillow==10.1" in lines
    assert not [line for line in lines if line.startswith("torch")]
    assert len(lines) == len(PROJECT["project"]["dependencies"]) - 1


DATA = (
    *("pretrained/regularized-plus.safetensors", "pretrained/films/minimal.safetensors"),
    *("draw/page/app.js", "export/html_proof.js"),
)
"""Some of the files of the package that are no Python."""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="mounts a folder read-only")
def test_read_only_sources_install(tmp_path):
    """In a namespace of its own, where a mount keeps root from writing too; without a compiler."""
    source, wheels = tmp_path / "src", tmp_path / "wheels"
    source.mkdir()
    for name in ("src", "native", "tools"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        shutil.copy(ROOT / name, source)
    mount = f"mount --bind {source} {source} && mount -o remount,ro,bind {source} {source}"
    probe = subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True)
    if probe.returncode:
        pytest.skip("no folder can be mounted read-only here")
    build = f"{sys.executable} -m pip wheel --quiet --no-deps --wheel-dir {wheels} {source}"
    command = ["unshare", "-m", "sh", "-c", f"{mount} && ! touch {source}/x && {build}"]
    environment = os.environ | {"CXX": "/bin/false", "CC": "/bin/false"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    (wheel,) = wheels.glob("under20k-*.whl")
    package = ROOT / "src" / "under20k"
    with zipfile.ZipFile(wheel) as archive:
        shipped = set(archive.namelist())
    for folder in ("deploy/pretrained", "deploy/pretrained/films", "deploy/draw/page", "deploy/export"):
        files = {path.name for path in (package / folder).iterdir() if path.is_file()}
        assert {f"under20k/{folder}/{name}" for name in files} <= shipped
    assert {f"under20k/deploy/{name}" for name in DATA} <= shipped
