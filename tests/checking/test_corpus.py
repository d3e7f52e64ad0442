"""The corpus against its table, and its figures against torch's own counter, hooks and perturbed pixels."""

import pytest
import torch
from corpus import CORPUS
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from under20k.checking.judge import judge_model
from under20k.checking.profiles import load_profile
from under20k.checking.trace import trace

BRIEF = load_profile("brief")


@pytest.mark.parametrize("name", CORPUS)
def test_verdicts_are_those_of_the_table(name):
    build, missed, field = CORPUS[name]
    result = judge_model(build(), BRIEF)
    found = {f["rule"]: f for f in result["findings"]}
    assert {rule for rule, f in found.items() if f["status"] != "passed"} == missed, found
    assert found["receptive_field"]["evidence"].startswith(f"{field}×{field} ")
    assert result["passed"] == (not missed - {"softmax"})


@pytest.mark.parametrize("name", CORPUS)
def test_counts_and_shapes_agree_with_torch(name):
    model = CORPUS[name][0]()
    result = judge_model(model, BRIEF)
    shapes: dict[str, list[tuple[int, ...]]] = {}
    leaves = {n: m for n, m in model.named_modules() if not list(m.children()) and n}
    for module_name, module in leaves.items():
        module.register_forward_hook(
            lambda m, a, out, n=module_name: shapes.setdefault(n, []).append(tuple(out.shape[1:]))
        )
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.randn(2, 1, 28, 28))
    assert result["macs"] * 2 * 2 == counter.get_total_flops()
    assert result["parameters"] == len(nn.utils.parameters_to_vector(model.parameters()))
    of_leaves: dict[str, list[tuple[int, ...]]] = {}
    for row in result["layers"]:
        if row["name"] in leaves:
            of_leaves.setdefault(row["name"], []).append(tuple(row["shape"]))
    assert of_leaves
    for module_name, found in of_leaves.items():
        assert found == shapes[module_name]


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Conv2d(1, 1, 3)],
        [nn.Conv2d(1, 1, 3, 2), nn.Conv2d(1, 1, 3, dilation=2)],
        [nn.AvgPool2d(2), nn.Conv2d(1, 1, 3), nn.AvgPool2d(3, 1)],
        [nn.Conv2d(1, 1, 2, 2), nn.ConvTranspose2d(1, 1, 2, 2), nn.Conv2d(1, 1, 3)],
        [nn.Conv2d(1, 1, 2, 2), nn.ConvTranspose2d(1, 1, 4, 2, 1)],
        [nn.Conv2d(1, 1, 2, 2), nn.ConvTranspose2d(1, 1, 3, 1, 1)],
        [nn.AvgPool2d(2), nn.Upsample(scale_factor=2, mode="bilinear")],
        [nn.AvgPool2d(4), nn.Upsample(scale_factor=2, mode="nearest")],
    ],
    ids=str,
)
def test_receptive_field_is_the_pixels_that_change_an_output(layers):
    model = nn.Sequential(*layers).double()
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.5)
    nodes, shape = trace(nn.Sequential(*layers).float(), training=False)
    model.double()
    image = torch.zeros(1, 1, 28, 28, dtype=torch.float64, requires_grad=True)
    out = model(image)
    assert out.shape[1:] == shape[1:]
    row = out.shape[2] // 2
    (gradient,) = torch.autograd.grad(out[0, 0, row, row], image)
    rows = torch.nonzero(gradient[0, 0].abs().sum(1)).flatten()
    assert nodes[-1].receptive_field == int(rows.max() - rows.min()) + 1
