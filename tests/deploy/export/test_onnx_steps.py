"""Every operation in ONNX computes what PyTorch does."""

import numpy as np
import onnxruntime
import pytest

from tests.support.own_graphs import GRAPHS, expected_logits, own_model
from under20k.data import Mnist
from under20k.deploy.export.onnx_graph import finished, for_uint8, logits_graph


@pytest.mark.parametrize("name", GRAPHS)
def test_the_logits_are_pytorchs(name: str, mnist: Mnist) -> None:
    model = own_model(GRAPHS[name])
    images = mnist.validation.images[:7]
    made = for_uint8(finished(logits_graph(model), model, None))
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    for batch in (1, 7):
        (found,) = session.run(["logits"], {"image": images[:batch, None]})
        expected = expected_logits(model, images[:batch])
        assert np.abs(found - expected).max() < 2e-6 * max(1, np.ptp(expected))
