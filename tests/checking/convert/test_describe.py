"""What is said of a model that is trained, but not quite as its author wrote it."""

import pytest
from torch import nn

from tests.support.own_models import ZOO, Odd
from under20k.checking.convert.describe import describe
from under20k.checking.findings import ModelError


def notes(make) -> str:
    described = describe(make(), "Net")
    assert described.model.graph is not None, described.model.why
    return "\n".join(described.notes)


def test_dropout_that_stays_on_is_said():
    found = notes(ZOO["dropout always"])
    assert found.startswith(
        "Net: dropout stays on at evaluation; under20k evaluates without it: use nn.Dropout"
    )
    assert "own_models.py:" in found
    assert notes(ZOO["plain net"]) == ""


def test_maps_of_one_pixel_are_trained_and_said():
    assert notes(ZOO["train of its own"]) == (
        "Net returns (N, 10, 1, 1), trained as (N, 10): add x.flatten(1) at the end of forward: no parameters"
    )


@pytest.mark.parametrize(("out", "shape"), [(11, "(N, 11)"), (20, "(N, 20)")])
def test_another_number_of_outputs_is_refused(out, shape):
    model = Odd(lambda m, x: x)
    model.fc = nn.Linear(6, out)
    with pytest.raises(ModelError, match=r"expected \(N, 10\)") as error:
        describe(model, "Net")
    assert str(error.value).startswith(f"returns {shape}")
