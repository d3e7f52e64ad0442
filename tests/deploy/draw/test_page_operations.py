"""Every operation of the page's networks against PyTorch in evaluation mode."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.support.page_scripts import add_network, array_of, text_of
from under20k.recipe.graph import operations as op
from under20k.recipe.graph.graph import Graph

A, B = "first", "second"
"""Two feature maps, (6, 14, 14), which the operations get."""


def conv(**fields):
    return op.Convolution("node", (A,), fields.pop("channels", 4), "node.weight", "node.bias", **fields)


def norm(*names):
    return op.BatchNorm("node", (A,), *(f"node.{name}" if name else None for name in names), "mean", "var")


NODES = {
    "conv": conv(padding=(1, 1)),
    "conv 1×1": conv(kernel=(1, 1)),
    "conv 5×2": conv(kernel=(5, 2), padding=(2, 0)),
    "conv 7×7": conv(kernel=(7, 7), padding=(3, 3)),
    "conv with strides": conv(stride=(2, 3), padding=(1, 0)),
    "dilated conv": conv(dilation=(2, 3), padding=(2, 1)),
    "conv of three groups": conv(channels=9, groups=3),
    "depthwise conv": conv(channels=12, groups=6, padding=(1, 1)),
    "conv without bias": op.Convolution("node", (A,), 4, "node.weight"),
    "batch_norm": norm("weight", "bias"),
    "plain batch_norm": norm(None, None),
    **{name: op.Activation("node", (A,), name) for name in op.FUNCTIONS if name not in ("prelu", "rsqrt")},
    "rsqrt": op.Activation("node", ("positive",), "rsqrt"),
    "steep leaky_relu": op.Activation("node", (A,), "leaky_relu", slope=0.3),
    "steep elu": op.Activation("node", (A,), "elu", slope=1.5),
    "prelu": op.Activation("node", (A,), "prelu", weight="slopes", weights_count=6),
    "prelu of one slope": op.Activation("node", (A,), "prelu", weight="slopes"),
    "max pool": op.Pool("node", (A,), "max", (2, 2), (2, 2)),
    "max pool 3×2": op.Pool("node", (A,), "max", (3, 2), (2, 3), (1, 0)),
    "max pool, ceil": op.Pool("node", (A,), "max", (3, 3), (2, 2), (1, 1), ceil=True),
    "average pool": op.Pool("node", (A,), "average", (3, 3), (2, 2), (1, 1)),
    "average pool, ceil": op.Pool("node", (A,), "average", (3, 3), (2, 2), (1, 1), ceil=True),
    "average pool of the map alone": op.Pool("node", (A,), "average", (3, 3), (2, 2), (1, 1), True, False),
    "adaptive average": op.AdaptivePool("node", (A,), "average"),
    "adaptive average 5×4": op.AdaptivePool("node", (A,), "average", (5, 4)),
    "adaptive max": op.AdaptivePool("node", (A,), "max", (3, 7)),
    "dropout": op.Dropout("node", (A,), 0.5),
    "add": op.Add("node", (A, B)),
    "add of three": op.Add("node", (A, B, A)),
    "add of one number a channel": op.Add("node", ("squeezed", A)),
    "multiply": op.Multiply("node", (A, B)),
    "square": op.Multiply("node", (A, A)),
    "multiply by one number a channel": op.Multiply("node", (A, "squeezed")),
    "concatenate": op.Concatenate("node", (A, B)),
    "scale": op.Scale("node", (A,), -1.5, 0.25),
    "reshape": op.Reshape("node", (A,), (3, 28, 14)),
    "linear": op.Linear("node", ("flat",), 7, "node.weight", "node.bias"),
    "linear without bias": op.Linear("node", ("flat",), 7, "node.weight"),
    "batch_norm of numbers": op.BatchNorm("node", ("flat",), "node.weight", "node.bias", "mean", "var"),
    "concatenate numbers": op.Concatenate("node", ("flat", "flat")),
}


def evaluated(node, inputs, tensors):
    """Return what PyTorch computes of inputs (C, H, W) or (F,)."""
    name = {field: getattr(node, field, None) for field in ("weight", "bias", "running_mean", "running_var")}
    of = SimpleNamespace(**{field: tensors.get(value) for field, value in name.items()})
    batch = [value[None] for value in inputs]
    match node:
        case op.Convolution():
            sizes = node.stride, node.padding, node.dilation, node.groups
            result = F.conv2d(batch[0], of.weight, of.bias, *sizes)
        case op.Linear():
            result = F.linear(batch[0], of.weight, of.bias)
        case op.BatchNorm():
            statistics = of.running_mean, of.running_var
            result = F.batch_norm(batch[0], *statistics, of.weight, of.bias, eps=node.eps)
        case op.Activation():
            result = activated(node, batch[0], of.weight)
        case op.Pool(kind="max"):
            result = F.max_pool2d(batch[0], node.kernel, node.stride, node.padding, ceil_mode=node.ceil)
        case op.Pool():
            sizes = node.kernel, node.stride, node.padding, node.ceil, node.count_padding
            result = F.avg_pool2d(batch[0], *sizes)
        case op.AdaptivePool(kind="max"):
            result = F.adaptive_max_pool2d(batch[0], node.size)
        case op.AdaptivePool():
            result = F.adaptive_avg_pool2d(batch[0], node.size)
        case op.Dropout():
            result = F.dropout(batch[0], node.probability, training=False)
        case op.Add():
            result = sum(batch)
        case op.Multiply():
            result = batch[0] * batch[1]
        case op.Concatenate():
            result = torch.cat(batch, 1)
        case op.Scale():
            result = node.factor * batch[0] + node.offset
        case op.Reshape():
            result = batch[0].reshape(1, *node.shape)
        case _:
            raise AssertionError(node)
    return result[0]


def activated(node, values, weight):
    """Return what PyTorch computes for an activation."""
    match node.function:
        case "leaky_relu" | "elu":
            return getattr(F, node.function)(values, node.slope)
        case "prelu":
            return F.prelu(values, weight)
        case "gelu_tanh":
            return F.gelu(values, approximate="tanh")
        case "sigmoid" | "tanh" | "rsqrt":
            return getattr(torch, node.function)(values)
        case name:
            return getattr(F, name)(values)


def around(node):
    """Return a graph of ten outputs with a node in it."""
    flat_shape = (6,)
    nodes = [
        op.Convolution(A, ("image",), 6, "a", stride=(2, 2), padding=(1, 1)),
        op.Convolution(B, ("image",), 6, "b", stride=(2, 2), padding=(1, 1)),
        op.AdaptivePool("squeezed", (B,), "average"),
        op.Reshape("flat", ("squeezed",), flat_shape),
        op.Activation("positive", (A,), "sigmoid"),
        node,
    ]
    shapes = {"image": (1, 28, 28)}
    for each in nodes:
        shapes[each.name] = each.result([shapes[name] for name in each.inputs])
    size = (int(np.prod(shapes["node"])),)
    nodes += [op.Reshape("all", ("node",), size), op.Linear("logits", ("all",), 10, "c")]
    return Graph(tuple(nodes))


def drawn(graph):
    """Return random tensors, and a random image."""
    rng = np.random.default_rng(7)
    tensors = {}
    for name, shape in graph.tensors().items():
        values = rng.normal(size=shape) / np.sqrt(np.prod(shape[1:], initial=1))
        tensors[name] = (values**2 + 0.5 if name == "var" else values).astype(np.float32)
    return tensors, rng.integers(0, 256, 784, dtype=np.uint8)


VALUES = """([name, image]) => {
  const network = networks[name];
  const { values } = network.run(bytesOf(image));
  const node = textOf(values.node.values);
  return [node, textOf(network.runQuick(bytesOf(image)))];
}"""


@pytest.mark.parametrize("name", NODES)
def test_an_operation_is_pytorchs(page, name):
    graph = around(NODES[name])
    weights, image = drawn(graph)
    add_network(page, name, graph.to_list(), weights)
    value, quick = map(array_of, page.evaluate(VALUES, [name, text_of(image, "u1")]))

    tensors = {key: torch.tensor(each, dtype=torch.float64) for key, each in weights.items()}
    pixels = (torch.tensor(image).double() / 255 - 0.1307) / 0.3081
    values = {"image": pixels.reshape(1, 28, 28)}
    for node in graph.nodes:
        values[node.name] = evaluated(node, [values[each] for each in node.inputs], tensors)

    np.testing.assert_allclose(value, values["node"].flatten(), rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(quick, values["logits"], rtol=1e-5, atol=1e-5)


ROWS = """([name, image, other, from, to]) => {
  const network = networks[name];
  const { plan, tensors } = network.quickOf(undefined);
  plan.run(bytesOf(image), tensors);
  plan.keep();
  const before = plan.values.logits.values.slice();
  plan.runRows(bytesOf(other), [from, to], tensors);
  const changed = plan.values.logits.values.slice();
  plan.restore();
  return [before, changed, plan.values.logits.values.slice(), network.runQuick(bytesOf(other))].map(textOf);
}"""


@pytest.mark.parametrize("name", NODES)
def test_changed_rows_give_what_the_whole_image_gives(page, name):
    graph = around(NODES[name])
    weights, image = drawn(graph)
    add_network(page, name, graph.to_list(), weights)
    for top in (0, 11, 25):
        other = image.reshape(28, 28).copy()
        other[top : top + 3, 5:9] ^= 255
        pictures = [text_of(each, "u1") for each in (image, other)]
        texts = page.evaluate(ROWS, [name, *pictures, top, top + 3])
        before, changed, restored, whole = map(array_of, texts)
        np.testing.assert_array_equal(changed, whole)
        np.testing.assert_array_equal(restored, before)
        assert np.any(changed != before)


def test_every_operation_is_here():
    ends = {"softmax", "log_softmax"}
    assert {node.op for node in NODES.values()} | ends == set(op.OPERATIONS)


def test_probabilities_at_the_end_do_not_change_the_logits(page):
    tensors = {"a": np.random.default_rng(3).normal(size=(10, 1, 28, 28)).astype(np.float32)}
    image = text_of(np.arange(784) % 256, "u1")
    conv_to_ten = {"name": "conv", "op": "conv", "inputs": ["image"], "channels": 10, "weight": "a"}
    sides = {"kernel": [28, 28], "stride": [1, 1], "padding": [0, 0], "dilation": [1, 1]}
    nodes = [conv_to_ten | sides | {"groups": 1, "bias": None}]
    nodes += [{"name": "flat", "op": "reshape", "inputs": ["conv"], "shape": [10]}]
    outputs = {}
    for end in ("none", "softmax", "log_softmax"):
        last = [] if end == "none" else [{"name": "end", "op": end, "inputs": ["flat"]}]
        add_network(page, end, nodes + last, tensors)
        run = """([name, image]) => {
          const { logits, probabilities, values } = networks[name].run(bytesOf(image));
          return [logits, probabilities, (values.end ?? values.flat).values].map(textOf);
        }"""
        outputs[end] = [array_of(each) for each in page.evaluate(run, [end, image])]
    logits = torch.tensor(outputs["none"][0]).double()
    for own, probabilities, _ in outputs.values():
        np.testing.assert_array_equal(own, outputs["none"][0])
        np.testing.assert_allclose(probabilities, torch.softmax(logits, 0), atol=1e-6)
    np.testing.assert_allclose(outputs["softmax"][2], torch.softmax(logits, 0), atol=1e-6)
    np.testing.assert_allclose(outputs["log_softmax"][2], torch.log_softmax(logits, 0), rtol=1e-5)
