"""The rules on small networks with obvious verdicts."""

import pytest
from torch import nn

from tests.support.small_models import GRAPHS, LARGE_KERNELS
from under20k.checking.profiles import RULES, load_profile
from under20k.checking.rules.judge import judge_model
from under20k.engine.module import build
from under20k.recipe.architecture import Architecture
from under20k.recipe.named import MINIMAL, REGULARIZED


def verdicts(model: nn.Module, epochs: int = 8) -> dict[str, tuple[bool, str]]:
    found = judge_model(model, load_profile("brief"), epochs=epochs).findings
    names = [finding.rule for finding in found]
    assert names == [rule for rule in RULES if rule in names]
    assert set(RULES) - set(names) <= {"batch_norm_order"}  # where there is no BatchNorm after a convolution
    return {finding.rule: (finding.status == "passed", finding.evidence) for finding in found}


def verdict(model: nn.Module, rule: str) -> tuple[bool, str]:
    return verdicts(model)[rule]


def test_the_default_profile_has_the_assignments_limits():
    limits = load_profile("brief").limits
    assert limits == {"parameters": 20_000, "epochs": 20, "receptive_field": 28}


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
    assert evidence == "after 2 of 3 convolutions before the last, 8; none after 3"


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        ([nn.BatchNorm2d(4)], (True, "after 1 of 1 convolution, the only one")),
        ([], (False, "after 0 of 1 convolution, the only one; none after 0")),
    ],
)
def test_a_single_convolution_needs_batch_norm(norm, expected):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), *norm, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
    assert verdict(model, "batch_norm") == expected


def findings(model: nn.Module) -> dict[str, dict[str, str]]:
    return {f.rule: f for f in judge_model(model, load_profile("brief")).findings}


@pytest.mark.parametrize(
    "between", [[nn.GroupNorm(2, 4)], [nn.InstanceNorm2d(4)], [nn.LocalResponseNorm(2)], []]
)
def test_other_normalisations_are_not_batch_norm(between):
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), *between, nn.ReLU(), *block(4, 4), *head())
    passed, evidence = verdict(model, "batch_norm")
    assert not passed
    assert evidence == f"after 1 of 2 convolutions before the last, {len(between) + 5}; none after 0"
    fix = findings(model)["batch_norm"].fix
    total = sum(p.numel() for p in model.parameters())
    assert fix == f"add nn.BatchNorm2d(4) after layer 0: 8 parameters, {total + 8:,} then"


@pytest.mark.parametrize(
    ("between", "late"),
    [
        ([nn.ReLU()], "relu"),
        ([nn.ReLU(), nn.MaxPool2d(1)], "relu"),
        ([nn.MaxPool2d(1), nn.ReLU()], "relu"),
        ([nn.LeakyReLU()], "leaky_relu"),
        ([nn.Dropout(0.1)], "dropout"),
        ([nn.Dropout(0.0)], None),
        ([nn.MaxPool2d(1)], None),
        ([nn.GroupNorm(2, 4)], None),
        ([], None),
    ],
)
def test_late_batch_norm_counts_and_its_order_is_a_separate_rule(between, late):
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), *between, nn.BatchNorm2d(4), *block(4, 4), *head())
    found = findings(model)
    assert found["batch_norm"].status == "passed"
    usual = "the usual order is convolution → BatchNorm → ReLU"
    assert found["batch_norm"].remark == (usual if late else "")
    order = found["batch_norm_order"]
    assert order.status == ("warning" if late else "passed")
    if late:
        assert order.evidence == f"after {late}: {1 + len(between)}"
        assert order.fix == f"call before {late}: layer {1 + len(between)}; no parameters"


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
    assert "; none after shared (test_judge.py:" in evidence


@pytest.mark.parametrize("model", [nn.Sequential(nn.Conv2d(1, 10, 28)), nn.Sequential(nn.ReLU())])
def test_batch_norm_needs_a_convolution(model):
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
    passed, found = verdict(network(*then), "head")
    assert passed == (evidence is not None)
    if evidence:
        assert found == evidence
    else:
        assert found.startswith("neither is computed: 9 ")


def test_an_average_of_a_part_is_explained():
    model = network(nn.Conv2d(4, 10, 1), nn.AvgPool2d(6), nn.Flatten())
    assert verdict(model, "head") == (False, "neither is computed: 9 averages 6×6 of the 7×7 map")
    fix = "make layer 9, nn.AdaptiveAvgPool2d(1) or nn.AvgPool2d(7): no parameters"
    assert findings(model)["head"].fix == fix


def test_the_receptive_field_is_that_of_the_global_poolings_input():
    # 3, 4 after pooling, 8, 10 after pooling; a 5×5 kernel on every fourth pixel adds 16.
    whole = (False, "10×10 before the last layer, 8, 34×34 with it")
    assert verdict(network(*head()), "receptive_field") == whole  # an average of 1×1 is none
    assert verdict(network(nn.Conv2d(4, 10, 7), nn.Flatten()), "receptive_field") == whole
    assert verdict(network(*LINEAR), "receptive_field") == (
        False,
        "10×10 before the last layer, 9, 34×34 with it",
    )
    five = [nn.Conv2d(4, 10, 5), nn.AdaptiveAvgPool2d(1)]
    words = "before the global pooling, which sees the rest"
    assert verdict(network(*five), "receptive_field") == (False, f"26×26 {words}")
    assert verdict(network(*five, nn.Conv2d(10, 10, 1)), "receptive_field") == (False, f"26×26 {words}")
    nine = [nn.Conv2d(4, 10, 7, padding=3), nn.AdaptiveMaxPool2d(1)]
    assert verdict(network(*nine), "receptive_field") == (True, "34×34 before the global pooling")
    small = nn.Sequential(nn.Conv2d(1, 10, 1), nn.AdaptiveAvgPool2d(1))
    assert verdict(small, "receptive_field") == (False, f"1×1 {words}")
    assert verdict(nn.Sequential(nn.ReLU()), "receptive_field") == (False, "no layer with weights")


@pytest.mark.parametrize("model", [nn.Identity(), nn.Sequential(), nn.Flatten(), nn.Linear(28, 10)])
def test_degenerate_networks_are_judged(model):
    found = findings(model)
    assert {found[rule].status for rule in ("batch_norm", "dropout", "output")} == {"failed"}
    assert all(finding.fix for finding in found.values() if finding.status != "passed")


def test_a_small_receptive_field_only_warns():
    found = findings(network(nn.Dropout(0.1), *head()))
    assert found["receptive_field"].status == "warning"
    # 10 + 3 · 8 pixels; 3×3 convolutions from 4 to 4 channels have 9·16 + 4 parameters, BatchNorm 8.
    fix = (
        "pool or stride earlier, or add 3 more 3×3 convolutions before it: 8 pixels more each, 156 parameters"
    )
    assert found["receptive_field"].fix == f"{fix} with 4 channels"


@pytest.mark.parametrize(("epochs", "passed"), [(1, True), (19, True), (20, False), (100, False)])
def test_fewer_than_20_epochs(epochs, passed):
    assert verdicts(network(*head()), epochs)["epochs"] == (passed, str(epochs))


def test_unknown_epochs_are_not_judged():
    found = judge_model(network(*head()), load_profile("brief")).findings
    assert [finding.rule for finding in found] == [rule for rule in RULES if rule != "epochs"]


def test_the_assignments_models():
    regularized = verdicts(build(REGULARIZED.architecture), REGULARIZED.epochs)
    assert all(passed for passed, _ in regularized.values())
    minimal = verdicts(build(MINIMAL.architecture), MINIMAL.epochs)
    assert [rule for rule, (passed, _) in minimal.items() if not passed] == ["dropout"]
    for found in (regularized, minimal):
        assert found["batch_norm"][1].startswith("after 6 of 6 convolutions")
        assert found["receptive_field"][1] == "32×32 before the last layer, head.conv, 40×40 with it"


OTHERS = [Architecture.parse(text) for text in ("5,5,5sp,5vs|3v", *LARGE_KERNELS, *GRAPHS)]


@pytest.mark.parametrize("architecture", [REGULARIZED.architecture, MINIMAL.architecture, *OTHERS], ids=str)
def test_layers_match_the_architectures_counts(architecture):
    judgement = judge_model(build(architecture), load_profile("brief"))
    (parameters,) = (found for found in judgement.findings if found.rule == "parameters")
    assert parameters.evidence.startswith(f"{architecture.parameters:,}: all trainable")
    rows, counted = judgement.layers, list(architecture.layers())
    by_name = {row.name: row for row in rows}
    for layer in counted:
        row = by_name[layer.name]
        assert (tuple(row.shape), row.parameters, row.macs) == (
            layer.shape,
            layer.parameters,
            layer.macs,
        )
        assert (row.receptive_field, row.jump) == (layer.receptive_field, layer.jump)
