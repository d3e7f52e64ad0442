"""Any graph in C computes what PyTorch does."""

import numpy as np
import pytest

from tests.support.c_programs import SANITIZED, scores
from tests.support.own_graphs import GRAPHS, expected_logits, own_model
from under20k.data import Mnist
from under20k.deploy.export.c_graph import write_graph


@pytest.mark.parametrize("name", GRAPHS)
def test_the_logits_are_pytorchs(name, mnist: Mnist, tmp_path):
    model = own_model(GRAPHS[name], temperature=1.3)
    write_graph(model, tmp_path, None)
    images = mnist.validation.images[:5]
    found = scores(tmp_path, images, *SANITIZED)
    expected = expected_logits(model, images)
    assert np.abs(found[:, :10] - expected).max() < 2e-6 * max(1, np.ptp(expected))
