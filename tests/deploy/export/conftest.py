"""A model that has learnt something."""

from pathlib import Path

import pytest

from under20k.data import Mnist
from under20k.deploy.model import Model, load
from under20k.engine.base import Compute
from under20k.runs.places import Places
from under20k.runs.train import train


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, mnist: Mnist) -> Model:
    """*minimal-plus* after one epoch, in seconds."""
    runs = Places(runs=tmp_path_factory.mktemp("runs"))
    run = train("minimal-plus", 0, places=runs, epochs=1, compute=Compute(threads=1))
    assert run.metrics()[-1].validation_accuracy > 0.97
    return load(Path(run.path))
