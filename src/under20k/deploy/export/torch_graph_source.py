"""A model of the user's own as the source of a plain PyTorch module: one line for each operation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from under20k.deploy.export.torch_source import FORWARD, HEADER, SourceLine, aligned
from under20k.deploy.plain_names import plain_names
from under20k.engine.base import MEAN, STANDARD_DEVIATION
from under20k.recipe.graph.graph import IMAGE
from under20k.recipe.graph.node import Node, Shape
from under20k.recipe.graph.operations import (
    Activation,
    AdaptivePool,
    Add,
    BatchNorm,
    Concatenate,
    Convolution,
    Dropout,
    Linear,
    LogSoftmax,
    Multiply,
    Pool,
    Reshape,
    Scale,
    Softmax,
)
from under20k.recipe.own_model import OwnModel

FUNCTIONS = {
    "relu": "F.relu({x})",
    "relu6": "F.relu6({x})",
    "leaky_relu": "F.leaky_relu({x}, {slope!r})",
    "prelu": "F.prelu({x}, self.{weight})",
    "gelu": "F.gelu({x})",
    "gelu_tanh": 'F.gelu({x}, approximate="tanh")',
    "silu": "F.silu({x})",
    "hardswish": "F.hardswish({x})",
    "hardsigmoid": "F.hardsigmoid({x})",
    "sigmoid": "torch.sigmoid({x})",
    "tanh": "torch.tanh({x})",
    "elu": "F.elu({x}, {slope!r})",
    "rsqrt": "torch.rsqrt({x})",
}


def torch_graph_source(model: OwnModel) -> str:
    """Return the text of a module with the class ``Net``, whose ``state_dict`` has ``plain_names``."""
    header = HEADER.format(parameters=model.parameters, mean=MEAN, sd=STANDARD_DEVIATION)
    names = plain_names(model)
    made = "".join(f"        {line}\n" for line in _constructor(model, names))
    return header + made + FORWARD + aligned(_forward(model, names))


def _constructor(model: OwnModel, names: dict[str, str]) -> Iterator[str]:
    for name, shape in model.tensor_shapes:
        empty = f"torch.empty({_pair(shape)})" if shape else "torch.empty(())"
        if name in model.trained_names:
            yield f"self.{names[name]} = nn.Parameter({empty})"
        else:
            yield f'self.register_buffer("{names[name]}", {empty})'


def _forward(model: OwnModel, names: dict[str, str]) -> Iterator[SourceLine]:
    """Yield a line for each operation; a value that only the next line takes is called x."""
    assert model.graph is not None
    nodes = [node for node in model.graph.nodes if not isinstance(node, Softmax | LogSoftmax)]
    shapes = model.graph.shapes()
    called = _called(nodes)
    for node in nodes:
        code = _code(node, [called[source] for source in node.inputs], names, shapes)
        result = ", ".join(map(str, shapes[node.name]))
        yield SourceLine(f"{called[node.name]} = {code}", f"({result}{',' * (len(shapes[node.name]) == 1)})")
    yield SourceLine(f"return {called[nodes[-1].name]}")


def _called(nodes: Sequence[Node]) -> dict[str, str]:
    """Return the variable that holds each value: x where the next line alone takes it, else x1, x2, …"""
    takers: dict[str, list[int]] = {}
    for number, node in enumerate(nodes):
        for source in node.inputs:
            takers.setdefault(source, []).append(number)
    called = {IMAGE: "x"}
    kept_image = takers[IMAGE] != [0]
    for number, node in enumerate(nodes):
        # The image stays x where several lines take it, and all else has a number.
        plain = takers.get(node.name, [number + 1]) == [number + 1] and not kept_image
        called[node.name] = "x" if plain else f"x{number + 1}"
    return called


def _code(node: Node, inputs: list[str], names: dict[str, str], shapes: dict[str, Shape]) -> str:
    x = inputs[0]

    def own(name: str | None) -> str:
        return f"self.{names[name]}" if name else "None"

    if isinstance(node, Convolution):
        options = _options(stride=(node.stride, (1, 1)), padding=(node.padding, (0, 0)))
        options += _options(dilation=(node.dilation, (1, 1)), groups=(node.groups, 1))
        weight = own(node.weight)
        if node.weight_shape is not None:
            weight += f".view({_pair(node.kernel_shape(shapes[node.inputs[0]][0]))})"
        return f"F.conv2d({x}, {weight}, {own(node.bias)}{options})"
    if isinstance(node, Linear):
        return f"F.linear({x}, {own(node.weight)}, {own(node.bias)})"
    if isinstance(node, BatchNorm):
        statistics = f"{own(node.running_mean)}, {own(node.running_var)}"
        options = _options(momentum=(node.momentum or 0.1, 0.1), eps=(node.eps, 1e-5))
        weights = f"{own(node.weight)}, {own(node.bias)}"
        return f"F.batch_norm({x}, {statistics}, {weights}, self.training{options})"
    if isinstance(node, Activation):
        weight = names[node.weight] if node.weight else ""
        return FUNCTIONS[node.function].format(x=x, slope=node.slope, weight=weight)
    if isinstance(node, Pool):
        return _pool(node, x)
    if isinstance(node, AdaptivePool):
        return f"F.adaptive_{'max' if node.kind == 'max' else 'avg'}_pool2d({x}, {_size(node.size)})"
    if isinstance(node, Dropout):
        name = "dropout2d" if node.channels else "dropout"
        return f"F.{name}({x}, {node.probability!r}, self.training)"
    if isinstance(node, Add | Multiply):
        return (" + " if isinstance(node, Add) else " * ").join(inputs)
    if isinstance(node, Concatenate):
        return f"torch.cat([{', '.join(inputs)}], dim=1)"
    if isinstance(node, Scale):
        offset = f" + {node.offset!r}" if node.offset else ""
        return f"{node.factor!r} * {x}{offset}"
    assert isinstance(node, Reshape)
    return f"{x}.flatten(1)" if len(node.shape) == 1 else f"{x}.reshape(-1, {_pair(node.shape)})"


def _pool(node: Pool, x: str) -> str:
    options = _options(stride=(node.stride, node.kernel), padding=(node.padding, (0, 0)))
    options += _options(ceil_mode=(node.ceil, False))
    if node.kind == "max":
        return f"F.max_pool2d({x}, {_size(node.kernel)}{options})"
    options += _options(count_include_pad=(node.count_padding, True))
    return f"F.avg_pool2d({x}, {_size(node.kernel)}{options})"


def _options(**values: tuple[Any, Any]) -> str:
    """Return keyword arguments whose values are not the defaults, after a comma."""
    return "".join(
        f", {name}={_size(value)}" for name, (value, default) in values.items() if value != default
    )


def _size(value: Any) -> str:
    """Return a pair as one number where both are equal."""
    return str(value[0]) if isinstance(value, tuple) and len(set(value)) == 1 else repr(value)


def _pair(shape: Sequence[int]) -> str:
    return ", ".join(map(str, shape))
