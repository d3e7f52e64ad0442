"""A finished run for the tests of models."""

import shutil
from pathlib import Path

import pytest

from under20k.runs.places import Places
from under20k.runs.run import Run
from under20k.runs.train import train


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Run:
    """A run of one epoch, not to be changed."""
    places = Places(tmp_path_factory.mktemp("runs"))
    return train("minimal", architecture="4p,6p|l", epochs=1, seed=3, places=places)


@pytest.fixture
def small(trained, tmp_path, monkeypatch) -> Path:
    """A copy of it, at runs/small below the current folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(trained.path, tmp_path / "runs" / "small"))
