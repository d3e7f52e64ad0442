"""The rules on small networks whose verdicts are plain to a reader."""

import pytest
from torch import nn

from under20k.architecture import Architecture
from under20k.brief import EPOCH_LIMIT, PARAMETER_LIMIT
from under20k.checking.judge import judge_model
from under20k.checking.profiles import RULES, load_profile
from under20k.engine.network import build
from under20k.recipes import MINIMAL, REGULARIZED


def verdicts(model: nn.Module, epochs: int = 8) -> dict[str, tuple[bool, str]]:
    found = judge_model(model, load_profile("brief"), epochs=epochs)["findings"]
    assert tuple(finding["rule"] for finding in found) == RULES
    return {finding["rule"]: (finding["status"] == "passed", finding["evidence"]) for finding in found}


def verdict(model: nn.Module, rule: str) -> tuple[bool, str]:
    return verdicts(model)[rule]


def test_the_profile_has_the_limits_of_the_brief():
    limits = load_profile("brief").limits
    assert limits == {"parameters": PARAMETER_LIMIT, "epochs": EPOCH_LIMIT, "receptive_field": 28}


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
    model.register_parameter("rest", rest.weight)
    assert sum(parameter.numel() for parameter in model.parameters()) == total
    passed, evidence = verdict(model, "parameters")
    assert passed == (total == 19_999)
    assert evidence.startswith(f"{total:,}: all trainable; 100.0% of the limit")
    assert evidence.endswith(f"; {rest.weight.numel():,} of them in no layer that is used")


def test_a_shared_parameter_counts_once_and_a_frozen_one_counts():
    first, second = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
    second.weight = first.weight
    model = nn.Sequential(nn.Conv2d(1, 4, 1), first, second)
    model[0].requires_grad_(False)
    assert verdict(model, "parameters") == (
        True,
        "160: 152 trainable, 8 frozen; 0.8% of the limit; 144 shared, counted once",
    )


def test_batch_norm_after_every_convolution_but_the_last():
    assert verdict(network(*head()), "batch_norm") == (
        True,
        "after 2 of 2 convolutions before the last, 8",
    )
    bare = nn.Sequential(*block(1, 4), nn.Conv2d(4, 4, 3), nn.ReLU(), *block(4, 4), *head())
    passed, evidence = verdict(bare, "batch_norm")
    assert not passed
    assert evidence == "after 2 of 3 convolutions before the last, 8; none right after 3"


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        ([nn.BatchNorm2d(4)], (True, "after 1 of 1 convolution, the only one")),
        ([], (False, "after 0 of 1 convolution, the only one; none right after 0")),
    ],
)
def test_an_only_convolution_needs_batch_norm(norm, expected):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), *norm, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
    assert verdict(model, "batch_norm") == expected


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
    passed, evidence = verdict(model, "batch_norm")
    assert not passed
    assert evidence.endswith("; none right after 0")


def test_batch_norm_that_is_defined_but_not_used_does_not_count():
    class Bypassing(nn.Sequential):
        def forward(self, x):
            return self[2](self[0](x))

    model = Bypassing(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 10, 3))
    assert not verdict(model, "batch_norm")[0]


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

    assert verdict(Twice(nn.BatchNorm2d(4)), "batch_norm")[0]
    passed, evidence = verdict(Twice(nn.Identity()), "batch_norm")
    assert not passed
    assert evidence.startswith("after 2 of 3 convolutions before the last, head.0 (test_judge.py:")
    assert "; none right after shared (test_judge.py:" in evidence


@pytest.mark.parametrize("model", [nn.Sequential(nn.Conv2d(1, 10, 28)), nn.Sequential(nn.ReLU())])
def test_without_a_convolution_before_the_last_there_is_no_batch_norm_to_speak_of(model):
    assert not verdict(model, "batch_norm")[0]


def test_dropout_counts_where_it_drops_something():
    nothing = "nothing is dropped in training"
    assert verdict(network(*head()), "dropout") == (False, nothing)
    assert verdict(network(nn.Dropout(0.05), *head()), "dropout") == (True, "8 p = 0.05")
    assert verdict(network(nn.Dropout2d(0.1), *head()), "dropout") == (True, "8 p = 0.1")
    passed, evidence = verdict(network(nn.Dropout(0.0), *head()), "dropout")
    assert (passed, evidence) == (False, f"{nothing}; idle: 8 p = 0")
    passed, evidence = verdict(network(nn.Dropout(0.0), nn.Dropout(0.2), *head()), "dropout")
    assert (passed, evidence) == (True, "9 p = 0.2; idle: 8 p = 0")


@pytest.mark.parametrize("called", [False, True])
def test_dropout_that_the_output_does_not_pass_through_does_not_count(called):
    class Pretending(nn.Sequential):
        def forward(self, x):
            if called:
                self[0](x)  # and its result thrown away
            return self[1](x)

    assert not verdict(Pretending(nn.Dropout(0.5), nn.Conv2d(1, 10, 28)), "dropout")[0]


connected = "fully connected, a convolution over the whole map of"
averaged = f"8: global average of 4×7×7, 9: {connected} 4×1×1"
whole = f"{connected} 4×7×7"
LINEAR = [nn.Flatten(), nn.Linear(4 * 7 * 7, 10)]


@pytest.mark.parametrize(
    ("then", "evidence"),
    [
        (head(), f"8: {whole}, 9: global average of 10×1×1, each its own average"),
        ([nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 10, 1)], averaged),
        ([nn.AvgPool2d(7), nn.Conv2d(4, 10, 1)], averaged),
        ([nn.AvgPool2d((7, 7)), nn.Conv2d(4, 10, 1)], averaged),
        (LINEAR, "9: fully connected, of 196"),
        ([nn.Conv2d(4, 10, 7), nn.Flatten()], f"8: {whole}"),
        ([nn.AdaptiveMaxPool2d(1), nn.Conv2d(4, 10, 1)], f"9: {connected} 4×1×1"),
        ([nn.Conv2d(4, 10, 1), nn.MaxPool2d(7)], None),
        ([nn.Conv2d(4, 10, 1), nn.AvgPool2d(4)], None),  # 1×1, but of 4×4 pixels of 7×7
        ([nn.Conv2d(4, 10, 1), nn.AvgPool2d((7, 4))], None),
        ([nn.AdaptiveAvgPool2d(2), nn.Conv2d(4, 10, 2)], f"9: {connected} 4×2×2"),
    ],
)
def test_global_average_pooling_or_fully_connected(then, evidence):
    expected = (True, evidence) if evidence else (False, "neither is computed")
    assert verdict(network(*then), "head") == expected


def test_the_receptive_field_is_that_of_the_last_layer_with_weights():
    # 3, 4 after pooling, 8, 10 after pooling; a 7×7 kernel on every fourth pixel adds 24.
    assert verdict(network(*head()), "receptive_field") == (True, "34×34 at 8")
    assert verdict(network(*LINEAR), "receptive_field") == (True, "34×34 at 9")
    assert verdict(network(nn.Conv2d(4, 10, 5), nn.AdaptiveAvgPool2d(1)), "receptive_field") == (
        False,
        "26×26 at 8",
    )
    # Averaging 1×1 features sees the image, but nothing with weights does: the same features anywhere.
    small = nn.Sequential(nn.Conv2d(1, 10, 1), nn.AdaptiveAvgPool2d(1))
    assert verdict(small, "receptive_field") == (False, "1×1 at 0")
    assert verdict(nn.Sequential(nn.Conv2d(1, 10, 28)), "receptive_field") == (True, "28×28 at 0")
    assert verdict(nn.Sequential(nn.ReLU()), "receptive_field") == (False, "no layer with weights")


@pytest.mark.parametrize(("epochs", "passed"), [(1, True), (19, True), (20, False), (100, False)])
def test_fewer_than_20_epochs(epochs, passed):
    assert verdicts(network(*head()), epochs)["epochs"] == (passed, str(epochs))


def test_epochs_that_are_not_known_are_not_judged():
    found = judge_model(network(*head()), load_profile("brief"))["findings"]
    assert tuple(finding["rule"] for finding in found) == tuple(rule for rule in RULES if rule != "epochs")


def test_the_specifications_models():
    regularized = verdicts(build(REGULARIZED.architecture), REGULARIZED.epochs)
    assert all(passed for passed, _ in regularized.values())
    minimal = verdicts(build(MINIMAL.architecture), MINIMAL.epochs)
    assert [rule for rule, (passed, _) in minimal.items() if not passed] == ["dropout"]
    for found in (regularized, minimal):
        assert found["batch_norm"][1].startswith("after 6 of 6 convolutions")
        assert found["receptive_field"][1] == "40×40 at head.conv"


SHARED = Architecture.parse("5,5,5sp,5vs|3v")


@pytest.mark.parametrize("architecture", [REGULARIZED.architecture, MINIMAL.architecture, SHARED], ids=str)
def test_layers_are_those_that_the_architecture_counts(architecture):
    judgement = judge_model(build(architecture), load_profile("brief"))
    (parameters,) = (found for found in judgement["findings"] if found["rule"] == "parameters")
    assert parameters["evidence"].startswith(f"{architecture.parameters:,}: all trainable")
    rows, counted = judgement["layers"], list(architecture.layers())
    by_name = {row["name"]: row for row in rows}
    for layer in counted:
        row = by_name[layer.name]
        assert (tuple(row["shape"]), row["parameters"], row["macs"]) == (
            layer.shape,
            layer.parameters,
            layer.macs,
        )
        assert (row["receptive_field"], row["jump"]) == (layer.receptive_field, layer.jump)
