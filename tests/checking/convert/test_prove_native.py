"""The proof of the native engine's step, and what it says where that engine computes something else."""

import numpy as np
import pytest
import torch

from tests.support.graphs import module_weights
from tests.support.own_models import ZOO
from under20k.checking.convert import prove_native
from under20k.checking.convert.convert import convert
from under20k.checking.convert.prove import TOLERANCE, prove
from under20k.checking.convert.reasons import NotConvertible
from under20k.engine.native_engine import NativeEngine


def differing(monkeypatch: pytest.MonkeyPatch, tensor: str, by: float) -> str:
    """What the proof says where the engine's state, or its logits, are off in one tensor by a fraction."""

    class Wrong(NativeEngine):
        def state(self):
            return {name: value * (1 + by * (name == tensor)) for name, value in super().state().items()}

        def logits(self, images):
            return super().logits(images) * (1 + by * (tensor == "logits"))

    monkeypatch.setattr(prove_native, "NativeEngine", Wrong)
    torch.manual_seed(4)
    model = ZOO["norm first"]()
    try:
        prove(model, convert(model))
    except NotConvertible as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        ("momentum.head.weight", "gradient of head.weight"),
        ("momentum.conv1.1.bias", "gradient of conv1.1.bias"),
        ("conv2.1.running_var", "conv2.1.running_var after a step"),
        ("logits", "output at evaluation"),
    ],
)
def test_a_native_step_that_is_off_is_refused(monkeypatch, tensor, words):
    assert differing(monkeypatch, tensor, 1e-2) == f"NormFirst: the native engine gives another {words}"
    assert differing(monkeypatch, tensor, 1e-6) == ""


def test_without_a_native_engine_there_is_nothing_to_prove(monkeypatch):
    monkeypatch.setattr(prove_native.isa, "unavailable", lambda: "it was not built")
    model = ZOO["logistic"]()
    images, labels = np.zeros((2, 28, 28), np.uint8), np.zeros(2, np.uint8)
    monkeypatch.setattr(prove_native, "NativeEngine", None)
    weights, trained = module_weights(model), {"1.weight", "1.bias"}
    assert prove_native.native_difference(convert(model), weights, trained, images, labels, TOLERANCE) == ""
