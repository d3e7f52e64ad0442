"""The corpus against its table, and its figures against torch's own counter, hooks and perturbed pixels."""

import contextlib

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from tests.support.corpus import CORPUS
from under20k.checking.graph.form import Form
from under20k.checking.graph.trace import trace
from under20k.checking.profiles import load_profile
from under20k.checking.rules.judge import judge_model

BRIEF = load_profile("brief")
ADVISED = {rule for rule, level in BRIEF.levels.items() if level == "advised"}
# What torch's counter does not know, by hand: for each of 64 outputs 392 products, and one more where the
# bilinear form's second input has one element; LSTM's four gates on 28 rows, from 28 and 8, and from 8 and 8.
UNCOUNTED_MACS = {
    "weights in a buffer, bilinear": 64 * (392 + 1),
    "weights in a buffer, times and sum": 64 * 392,
    "weights in a buffer, times and sum of maps": 64 * 392,
    "weights in a buffer, times, turned, mean": 64 * 392,
    "recurrent": 28 * 4 * 8 * (28 + 8 + 8 + 8),
}


@pytest.mark.parametrize("name", CORPUS)
def test_verdicts_match_the_table(name):
    build, missed, field = CORPUS[name]
    result = judge_model(build(), BRIEF)
    found = {f.rule: f for f in result.findings}
    assert {rule for rule, f in found.items() if f.status != "passed"} == missed, found
    assert found["receptive_field"].evidence.startswith(f"{field}×{field} ")
    assert result.passed == (not missed - ADVISED)


@pytest.mark.parametrize("name", CORPUS)
def test_counts_and_shapes_agree_with_torch(name, monkeypatch):
    monkeypatch.setattr(torch.backends.mha, "_is_fastpath_enabled", False)  # the counter does not know it
    model = CORPUS[name][0]()
    result = judge_model(model, BRIEF)
    shapes: dict[str, list[tuple[int, ...]]] = {}
    leaves = {n: m for n, m in model.named_modules() if not list(m.children()) and n}

    def keep(name: str, output: object) -> None:
        if isinstance(output, torch.Tensor):  # an LSTM gives its states as well
            shapes.setdefault(name, []).append(tuple(output.shape[1:]))

    for module_name, module in leaves.items():
        module.register_forward_hook(lambda m, a, out, n=module_name: keep(n, out))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.randn(2, 1, 28, 28))
    uncounted = UNCOUNTED_MACS.get(name, 0)
    assert (result.macs - uncounted) * 2 * 2 == counter.get_total_flops()
    kept_elsewhere = sum(
        buffer.numel() for buffer_name, buffer in model.named_buffers() if buffer_name == "w"
    )
    assert result.parameters == len(nn.utils.parameters_to_vector(model.parameters())) + kept_elsewhere
    of_leaves: dict[str, list[tuple[int, ...]]] = {}
    for row in result.layers:
        if row.name in leaves and row.type != "lstm":
            of_leaves.setdefault(row.name, []).append(tuple(row.shape))
    assert of_leaves
    for module_name, found in of_leaves.items():
        assert found == shapes[module_name]


class Capture(TorchFunctionMode):
    """Keeps the results of layers with weights, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.results: list[torch.Tensor] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func.__name__ in LAYERS:
            self.results.append(result.detach())
        return result


LAYERS = ("conv1d", "conv2d", "conv3d", "conv_transpose2d", "linear")


def monotone(model: nn.Module) -> nn.Module:
    """With weights of 1 and biases of 0, so that what a pixel adds is lost nowhere; in double precision."""
    model.eval()(torch.zeros(2, 1, 28, 28))  # lazy modules get their weights
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.dim() > 1:
            nn.init.ones_(tensor)
    for name, tensor in model.named_parameters():
        if "bias" in name:  # where they are large a gate is open, whatever a pixel does
            nn.init.zeros_(tensor)
    return model.double()


def behind(model: nn.Module, side: int, axis: int) -> list[int]:
    """For each layer with weights, the most rows (axis 0) or columns of the image that change one element."""
    images = torch.full((side + 1, 1, side, side), 1e-12, dtype=torch.float64)
    for line in range(side):
        images[line].select(1 + axis, line).fill_(1.0)
    with torch.no_grad(), Capture() as capture:
        model(images)
    widths = []
    for result in capture.results:
        changed = (result[:-1] - result[-1]).abs() > 1e-9 * result[-1].abs()
        lines = changed.flatten(1).long()  # (line, element)
        first, last = lines.argmax(0), side - 1 - lines.flip(0).argmax(0)
        widths.append(int(torch.where(lines.any(0), last - first + 1, 0).max()))
    return widths


@pytest.mark.parametrize("name", CORPUS)
def test_receptive_fields_are_the_pixels_that_change_an_output(name, monkeypatch):
    """On an image that cuts no field off where the model takes one, else up to the 28 pixels there are."""
    # Its statistics are of the whole map; they count as no field, as everywhere in the literature.
    monkeypatch.setattr(F, "group_norm", lambda x, *rest: x)
    monkeypatch.setattr(F, "dropout", lambda x, *rest, **options: x)
    model = monotone(CORPUS[name][0]())
    views = [(28, 0), (28, 1)]
    with contextlib.suppress(Exception):
        model(torch.zeros(1, 1, 72, 72, dtype=torch.float64))
        views.append((72, 0))
    for side, axis in views:
        nodes = trace(model.float(), False, Form(side=side)).nodes
        # In an enlarged map they depend on the place, by up to half the jump of the map before: here 4.
        slack = 2 if any(n.kind in ("interpolate", "conv_transpose2d") for n in nodes) else 0
        stated = [min(side, n.fields[axis]) for n in nodes if n.kind in LAYERS]
        found = behind(model.double(), side, axis)
        assert found == pytest.approx([float(width) for width in stated], rel=0, abs=slack), (side, axis)


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
    traced = trace(nn.Sequential(*layers).float(), training=False)
    model.double()
    image = torch.zeros(1, 1, 28, 28, dtype=torch.float64, requires_grad=True)
    out = model(image)
    assert out.shape[1:] == traced.output[1:]
    row = out.shape[2] // 2
    (gradient,) = torch.autograd.grad(out[0, 0, row, row], image)
    rows = torch.nonzero(gradient[0, 0].abs().sum(1)).flatten()
    assert traced.nodes[-1].receptive_field == int(rows.max() - rows.min()) + 1
