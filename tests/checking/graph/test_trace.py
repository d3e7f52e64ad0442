"""The record of a run: receptive fields found by changing pixels, uses followed, the model unchanged."""

import pytest
import torch
from torch import nn

from under20k.checking.graph.trace import trace
from under20k.checking.profiles import load_profile
from under20k.checking.rules.judge import judge_model
from under20k.recipe.architecture import IMAGE_SIDE


def nodes_of(model: nn.Module):
    return trace(model, training=False).nodes


def conv(kernel, inputs: int = 1, **options) -> nn.Conv2d:
    """A convolution to two maps whose output rises with each of its pixels."""
    layer = nn.Conv2d(inputs, 2, kernel, dtype=torch.float64, **options)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    return layer


def rows_behind(model: nn.Module, axis: int) -> list[list[int]]:
    """For each row (axis 0) or column (axis 1) of the output's middle, those of the image that change it."""
    images = torch.rand(1, 1, IMAGE_SIDE, IMAGE_SIDE, dtype=torch.float64).repeat(IMAGE_SIDE + 1, 1, 1, 1)
    for row in range(IMAGE_SIDE):
        images[row].select(1 + axis, row).add_(100.0)
    with torch.no_grad():
        maps = model(images)[:, 0]
    line = maps[:, :, maps.shape[2] // 2] if axis == 0 else maps[:, maps.shape[1] // 2, :]
    changed = (line[:-1] - line[-1]).abs() > 1.0
    return [changed[:, place].nonzero().flatten().tolist() for place in range(line.shape[1])]


class Every(nn.Module):
    """Each second row and column."""

    def forward(self, x):
        return x[..., ::2, ::2]


GEOMETRIES = {
    "one": nn.Sequential(conv(3)),
    "padded": nn.Sequential(conv(3, padding=1), conv(5, 2, padding=2)),
    "dilated": nn.Sequential(conv(3), conv(3, 2, dilation=2), conv(3, 2, dilation=3)),
    "strided": nn.Sequential(conv(5, stride=2), conv(3, 2), conv(3, 2, stride=2)),
    "pooled": nn.Sequential(conv(3, padding=1), nn.MaxPool2d(2), conv(3, 2, padding=1), nn.MaxPool2d(2)),
    "overlapping": nn.Sequential(conv(3, stride=2), nn.MaxPool2d(3, stride=2), conv(3, 2)),
    "dilated pool": nn.Sequential(nn.MaxPool2d(3, stride=1, dilation=2), conv(3)),
    "averaged": nn.Sequential(nn.AvgPool2d(4, stride=3), conv(3)),
    "adaptive": nn.Sequential(conv(3), nn.AdaptiveAvgPool2d(13), nn.ReLU(), conv(3, 2)),
    "oblong": nn.Sequential(conv((3, 7)), conv((5, 3), 2, stride=(2, 1)), nn.MaxPool2d((1, 2))),
    "subsampled": nn.Sequential(conv(3, padding=1), Every(), conv(3, 2, padding=1)),
    "space to depth": nn.Sequential(nn.PixelUnshuffle(2), conv(3, 4)),
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_receptive_field_and_jump_match_perturbed_pixels(name):
    model = GEOMETRIES[name].eval()
    last = nodes_of(model.float())[-1]
    fields, jumps = [], []
    for axis in (0, 1):
        behind = rows_behind(model.double(), axis)
        middle = len(behind) // 2
        inside = behind[middle]
        assert 0 < inside[0] <= inside[-1] < IMAGE_SIDE - 1, "the field is not cut off by the image"
        fields.append(inside[-1] - inside[0] + 1)
        jumps.append(inside[0] - behind[middle - 1][0])
    assert (*fields,) == last.fields
    assert (*jumps,) == last.jumps
    assert last.receptive_field == min(fields)


@pytest.mark.parametrize("outputs", [1, 2, 3, 5, 27, 28])
def test_adaptive_windows_of_unequal_size_count_as_their_smallest(outputs):
    model = nn.AdaptiveAvgPool2d(outputs)
    (only,) = nodes_of(nn.Sequential(model))
    assert only.receptive_field == min(map(len, rows_behind(model.double(), 0)))


def test_a_linear_layer_sees_what_was_flattened():
    model = nn.Sequential(nn.Conv2d(1, 2, 5, stride=3), nn.Flatten(), nn.Linear(2 * 8 * 8, 10))
    first, flat, linear = nodes_of(model)
    assert (first.receptive_field, first.jumps, first.sides) == (5, (3, 3), (8, 8))
    assert (flat.shape, flat.sides, flat.receptive_field) == ((128,), (8, 8), 5)
    assert linear.sides == (1, 1)
    assert linear.receptive_field == 5 + 7 * 3 == 26  # the last two rows and columns are never read


class Shared(nn.Module):
    """One convolution at two places, the second fed by the first."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1))
        self.pool = nn.MaxPool2d(2)

    def forward(self, x):
        return self.inside(self.pool(self.inside(x)))


def test_a_module_used_twice_is_two_nodes_and_its_parameters_count_once():
    first, pool, second = nodes_of(Shared())
    assert [node.name for node in (first, pool, second)] == ["inside.0", "pool", "inside.0"]
    assert ([i.kind for i in first.inputs], pool.inputs, second.inputs) == (["image"], [first], [pool])
    assert (first.input_shape, second.input_shape) == ((1, 28, 28), (1, 14, 14))
    assert (first.receptive_field, second.receptive_field) == (3, 8)
    assert (first.parameters, second.parameters) == (10, 0)


class Discarding(nn.Module):
    """Calls a module and throws its result away."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Conv2d(1, 10, 3), nn.Dropout(0.5)

    def forward(self, x):
        self.unused(x)
        return self.used(x)


def test_operations_the_output_does_not_depend_on_are_left_out():
    assert [node.name for node in nodes_of(Discarding())] == ["used"]


class Giving(nn.Module):
    """Gives what a function makes of its maps."""

    def __init__(self, then) -> None:
        super().__init__()
        self.conv, self.batch_norm, self.then = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), then

    def forward(self, x):
        return self.then(self.batch_norm(self.conv(x)))


def broken(x):
    raise KeyError("a defect of the model's own")


REFUSED = {
    "two outputs": (
        lambda x: (x, x),
        TypeError,
        r"returns a tuple of \(N, 4, 26, 26\), \(N, 4, 26, 26\), none of shape \(N, 10\)",
    ),
    "no tensor": (lambda x: x.shape[0], TypeError, "returns int, not a tensor"),
    "a constant": (lambda x: torch.zeros(2, 10), TypeError, "does not depend on the image"),
    "through NumPy": (lambda x: torch.from_numpy(x.numpy()), TypeError, "does not depend on the image"),
    "wrong shape": (nn.Linear(5, 10), RuntimeError, "shapes cannot be multiplied"),
    "a defect": (broken, KeyError, "a defect of the model's own"),
}


@pytest.mark.parametrize("name", [*REFUSED, None])
def test_the_model_is_left_as_it_was_even_if_it_fails(name):
    then, error, words = REFUSED.get(name, (lambda x: x, None, ""))
    model = Giving(then).train()
    model.batch_norm.eval()  # frozen, as when fine-tuning
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    if error:
        with pytest.raises(error, match=words):
            judge_model(model, load_profile("brief"))
    else:
        judge_model(model, load_profile("brief"))
    assert (model.training, model.conv.training, model.batch_norm.training) == (True, True, False)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert not model.conv._forward_hooks
    assert not model.conv._forward_pre_hooks


class Everything(nn.Module):
    """It reads values, draws random numbers, writes to its weights, and drops in several ways."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.drop = nn.Linear(784, 10), nn.Linear(784, 10), nn.Dropout(0.5)
        self.b.weight = self.a.weight
        self.register_buffer("scale", torch.tensor(3.0))

    def forward(self, x):
        with torch.no_grad():
            self.b.bias.clamp_(-1, 1)
            self.a.weight.data[0] = 0
        x = torch.nn.functional.dropout(x.flatten(1), training=False)
        x = self.drop(self.drop(x))
        if float(self.scale) > 2 and torch.rand(1).item() >= 0 and x.sum().item() != 1e9:
            x = x * self.scale
        return self.b(x)


def test_operands_are_told_by_their_origin():
    nodes = {node.name: node for node in trace(Everything(), training=True).nodes}
    last, product = nodes["b"].call, nodes["mul"].call
    image, weight, bias = last.args
    assert (image.node, image.name, image.part) == (nodes["mul"], "", 0)
    assert (weight.node, weight.name, weight.parameter, weight.number) == (None, "a.weight", True, None)
    assert (bias.name, bias.parameter) == ("b.bias", True)
    assert (last.batch, last.owner.__class__, last.module.__class__) == (2, Everything, nn.Linear)
    assert (product.args[1].name, product.args[1].parameter, product.args[1].number) == ("scale", False, 3.0)


@pytest.mark.parametrize(("training", "before_the_last"), [(True, [0, 0, 1, 2, 2]), (False, [0] * 5)])
def test_active_dropout_is_counted(training, before_the_last):
    nodes = [node for node in trace(Everything(), training).nodes if node.call and node.sees_image]
    assert [node.kind for node in nodes] == ["flatten", "dropout", "dropout", "dropout", "mul", "linear"]
    assert [node.call.dropouts for node in nodes[1:]] == before_the_last


def test_reads_and_writes_are_told():
    """Neither a buffer's value nor BatchNorm's count of batches varies from call to call."""
    run = trace(Everything(), training=True)
    assert [name for name, _ in run.reads] == ["item", "item"]
    assert [name for name, _ in run.writes] == ["b.bias", "a.weight"]
    assert all(place.startswith("test_trace.py:") for _, place in (*run.reads, *run.writes))
    calm = trace(nn.Sequential(nn.BatchNorm2d(1, momentum=None), nn.ReLU(True), nn.Conv2d(1, 10, 28)), True)
    assert calm.reads == calm.writes == ()
