"""The requirement checks on small networks whose verdicts are plain to a reader."""

import pytest
from torch import nn

from under20k.engine.network import build
from under20k.recipes import MINIMAL, REGULARIZED
from under20k.rules import Verdict, judge


def verdicts(model: nn.Module, epochs: int = 8) -> dict[str, Verdict]:
    found = {verdict.rule: verdict for verdict in judge(model, epochs)}
    assert list(found) == list(RULES.values())
    return found


def verdict(model: nn.Module, rule: str) -> tuple[bool, str]:
    found = verdicts(model)[RULES[rule]]
    return found.passed, found.evidence


RULES = {
    "parameters": "Parameters",
    "batch norm": "Batch normalization",
    "dropout": "Dropout",
    "pooling": "Global average pooling or fully connected",
    "field": "Receptive field",
    "epochs": "Epochs",
}


def block(inputs: int, channels: int, *then: nn.Module) -> list[nn.Module]:
    """A convolution that keeps the size, BatchNorm and ReLU, then more."""
    return [
        nn.Conv2d(inputs, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(), *then,
    ]  # fmt: skip


def network(*then: nn.Module) -> nn.Sequential:
    """Two blocks, each halving the map, then more: (4, 7, 7) maps go in there."""
    return nn.Sequential(*block(1, 4, nn.MaxPool2d(2)), *block(4, 4, nn.MaxPool2d(2)), *then)


def head() -> list[nn.Module]:
    """Ten maps, averaged."""
    return [nn.Conv2d(4, 10, 7), nn.AdaptiveAvgPool2d(1), nn.Flatten()]


@pytest.mark.parametrize("total", [19_999, 20_000, 20_001])
def test_fewer_than_20_000_parameters(total):
    # Bias-free, so that the numbers are those of the weights: 9 for each of a convolution's maps.
    convolution = nn.Conv2d(1, 2211, 3, bias=False)
    rest = nn.PReLU(total - 9 * 2211)
    model = nn.Sequential(convolution, nn.AdaptiveAvgPool2d(1), nn.Flatten(0), nn.Unflatten(0, (2, 2211)))
    model.append(nn.Identity()).register_parameter("rest", rest.weight)
    assert sum(parameter.numel() for parameter in model.parameters()) == total
    passed, evidence = verdict(model, "parameters")
    assert passed == (total == 19_999)
    assert evidence.startswith(f"{total:,}, all of them trainable; 100.0% of the limit")


def test_a_shared_parameter_counts_once_and_a_frozen_one_counts():
    first, second = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
    second.weight = first.weight
    model = nn.Sequential(nn.Conv2d(1, 4, 1), first, second)
    model[0].requires_grad_(False)
    assert verdict(model, "parameters") == (True, "160, 152 of them trainable; 0.8% of the limit")


def test_batch_norm_after_every_convolution_but_the_last():
    assert verdict(network(*head()), "batch norm") == (
        True,
        "BatchNorm2d after 2 of 2 convolutions before the last, 8",
    )
    bare = nn.Sequential(*block(1, 4), nn.Conv2d(4, 4, 3), nn.ReLU(), *block(4, 4), *head())
    passed, evidence = verdict(bare, "batch norm")
    assert not passed
    assert evidence == "BatchNorm2d after 2 of 3 convolutions before the last, 8; none after 3"


@pytest.mark.parametrize(
    "between",
    [
        [nn.ReLU(), nn.BatchNorm2d(4)],  # normalised, but after the activation
        [nn.MaxPool2d(1), nn.BatchNorm2d(4)],
        [nn.GroupNorm(2, 4)],
        [nn.InstanceNorm2d(4)],
        [],
    ],
)
def test_batch_norm_at_another_place_or_of_another_kind_does_not_count(between):
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), *between, *block(4, 4), *head())
    passed, evidence = verdict(model, "batch norm")
    assert not passed
    assert evidence.endswith("; none after 0")


def test_batch_norm_that_is_defined_but_not_used_does_not_count():
    class Bypassing(nn.Sequential):
        def forward(self, x):
            return self[2](self[0](x))

    model = Bypassing(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 10, 3))
    assert not verdict(model, "batch norm")[0]


def test_a_shared_convolution_needs_batch_norm_at_each_place():
    class Twice(nn.Module):
        def __init__(self, second_norm: nn.Module) -> None:
            super().__init__()
            self.first, self.shared = nn.Sequential(*block(1, 4)), nn.Conv2d(4, 4, 3, padding=1)
            self.norms = nn.ModuleList([nn.BatchNorm2d(4), second_norm])
            self.head = nn.Sequential(*head())

        def forward(self, x):
            x = self.norms[0](self.shared(self.first(x)))
            return self.head(self.norms[1](self.shared(x)))

    assert verdict(Twice(nn.BatchNorm2d(4)), "batch norm")[0]
    passed, evidence = verdict(Twice(nn.Identity()), "batch norm")
    assert not passed
    assert evidence == "BatchNorm2d after 2 of 3 convolutions before the last, head.0; none after shared"


@pytest.mark.parametrize("model", [nn.Sequential(nn.Conv2d(1, 10, 28)), nn.Sequential(nn.ReLU())])
def test_without_a_convolution_before_the_last_there_is_no_batch_norm_to_speak_of(model):
    assert not verdict(model, "batch norm")[0]


def test_dropout_counts_where_it_drops_something():
    nothing = "no layer of the network drops anything, so this requirement is missed"
    assert verdict(network(*head()), "dropout") == (False, nothing)
    assert verdict(network(nn.Dropout(0.05), *head()), "dropout") == (True, "8 (p = 0.05)")
    assert verdict(network(nn.Dropout2d(0.1), *head()), "dropout") == (True, "8 (p = 0.1)")
    passed, evidence = verdict(network(nn.Dropout(0.0), *head()), "dropout")
    assert (passed, evidence) == (False, f"{nothing}; without effect: 8 (p = 0)")
    passed, evidence = verdict(network(nn.Dropout(0.0), nn.Dropout(0.2), *head()), "dropout")
    assert (passed, evidence) == (True, "9 (p = 0.2); without effect: 8 (p = 0)")


@pytest.mark.parametrize("called", [False, True])
def test_dropout_that_the_output_does_not_pass_through_does_not_count(called):
    class Pretending(nn.Sequential):
        def forward(self, x):
            if called:
                self[0](x)  # and its result thrown away
            return self[1](x)

    assert not verdict(Pretending(nn.Dropout(0.5), nn.Conv2d(1, 10, 28)), "dropout")[0]


LINEAR = [nn.Flatten(), nn.Linear(4 * 7 * 7, 10)]


@pytest.mark.parametrize(
    ("then", "evidence"),
    [
        (head(), "9 (AdaptiveAvgPool2d of 10×1×1 maps, each its own average)"),
        ([nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 10, 1)], "8 (AdaptiveAvgPool2d of 4×7×7 maps)"),
        ([nn.AvgPool2d(7), nn.Conv2d(4, 10, 1)], "8 (AvgPool2d of 4×7×7 maps)"),
        ([nn.AvgPool2d((7, 7)), nn.Conv2d(4, 10, 1)], "8 (AvgPool2d of 4×7×7 maps)"),
        (LINEAR, "9 (Linear)"),
        ([nn.Conv2d(4, 10, 7), nn.Flatten()], None),
        ([nn.AdaptiveMaxPool2d(1), nn.Conv2d(4, 10, 1)], None),
        ([nn.MaxPool2d(7), nn.Conv2d(4, 10, 1)], None),
        ([nn.AvgPool2d(4), nn.Conv2d(4, 10, 1)], None),  # 1×1, but of 4×4 pixels of 7×7
        ([nn.AvgPool2d((7, 4)), nn.Conv2d(4, 10, 1)], None),
        ([nn.AdaptiveAvgPool2d(2), nn.Conv2d(4, 10, 2)], None),
    ],
)
def test_global_average_pooling_or_fully_connected(then, evidence):
    expected = (True, evidence) if evidence else (False, "neither is in the network")
    assert verdict(network(*then), "pooling") == expected


def test_the_receptive_field_is_that_of_the_last_layer_with_weights():
    # 3, 4 after pooling, 8, 10 after pooling; a 7×7 kernel on every fourth pixel adds 24.
    assert verdict(network(*head()), "field") == (True, "34×34 at 8")
    assert verdict(network(*LINEAR), "field") == (True, "34×34 at 9")
    assert verdict(network(nn.Conv2d(4, 10, 5), nn.AdaptiveAvgPool2d(1)), "field") == (False, "26×26 at 8")
    # Averaging 1×1 features sees the image, but nothing with weights does: the same features anywhere.
    small = nn.Sequential(nn.Conv2d(1, 10, 1), nn.AdaptiveAvgPool2d(1))
    assert verdict(small, "field") == (False, "1×1 at 0")
    assert verdict(nn.Sequential(nn.Conv2d(1, 10, 28)), "field") == (True, "28×28 at 0")
    assert verdict(nn.Sequential(nn.ReLU()), "field") == (False, "no layer with weights")


@pytest.mark.parametrize(("epochs", "passed"), [(1, True), (19, True), (20, False), (100, False)])
def test_fewer_than_20_epochs(epochs, passed):
    found = verdicts(network(*head()), epochs)[RULES["epochs"]]
    assert (found.passed, found.evidence) == (passed, str(epochs))


def test_the_specifications_models():
    regularized = verdicts(build(REGULARIZED.architecture), REGULARIZED.epochs)
    assert all(found.passed for found in regularized.values())
    assert regularized["Parameters"].evidence == "19,204, all of them trainable; 96.0% of the limit"
    assert regularized["Dropout"].evidence == "blocks.1.dropout (p = 0.05), blocks.3.dropout (p = 0.05)"
    minimal = verdicts(build(MINIMAL.architecture), MINIMAL.epochs)
    assert [rule for rule, found in minimal.items() if not found.passed] == ["Dropout"]
    for found in (regularized, minimal):
        assert found["Batch normalization"].evidence.startswith("BatchNorm2d after 6 of 6 convolutions")
        assert found["Receptive field"].evidence == "40×40 at head.conv"
