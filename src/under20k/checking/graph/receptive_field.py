"""The position of a node's elements on the image: receptive field, jump, and the sides of the map.

After Araujo, Norris and Sim (2019, https://distill.pub/2019/computing-receptive-fields). Normalisations
over a map (GroupNorm) count as they do there: not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from under20k.checking.graph.node import ATTENTION, CONVOLUTIONS, PRODUCTS, RECURRENT, Node

AVERAGES = ("mean", "sum")
REDUCTIONS = (*AVERAGES, "amax", "amin", "max", "min", "logsumexp", "norm", "std", "var")
TURNS = ("permute", "transpose", "swapaxes", "movedim", "moveaxis")
WINDOWED = ("avg_pool2d", "max_pool2d", "avg_pool3d", "max_pool3d")
ADAPTIVE = tuple(f"adaptive_{kind}_pool{rank}d" for kind in ("avg", "max") for rank in (2, 3))
REACHES = {"bilinear": 2, "bicubic": 4}
"""Pixels per side that an interpolated pixel is made from."""


def locate(node: Node) -> None:
    """Fill in the node's fields, jumps and sides from those of its inputs."""
    sources = [source for source in node.inputs if source.sees_image]
    if not sources:
        return
    first = sources[0]
    node.channels_last = _turned(node, first) if node.kind in TURNS else first.channels_last
    reduced = _reduced(node, first)
    node.sides = _sides(node, first, reduced)
    fields, jumps = [], []
    for axis in (0, 1):
        jump = max(source.jumps[axis] for source in sources)
        size = max(source.fields[axis] for source in sources)
        steps, stride = _window(node, first, axis, reduced)
        fields.append(size + (steps - 1) * jump)
        jumps.append(jump * stride)
    node.fields, node.jumps = (fields[0], fields[1]), (jumps[0], jumps[1])
    if node.kind in AVERAGES or (_covers_map(node) and "avg" in node.kind):
        node.averaged = first.averaged | reduced
    elif node.sides == first.sides:
        node.averaged = first.averaged


def averages_whole_map(node: Node) -> bool:
    """Return whether the node completes global average pooling, however it is written."""
    averages = node.kind in AVERAGES or "avg_pool" in node.kind
    return averages and node.averaged == {0, 1} and bool(node.input_shape)


def pools_whole_map(node: Node) -> bool:
    """Return whether the node is global pooling: it reduces a map to one position, without weights."""
    if node.weighted or node.sides != (1, 1) or not any(source.positions > 1 for source in node.images):
        return False
    return node.kind in REDUCTIONS or _covers_map(node)


def _sides(node: Node, first: Node, reduced: frozenset[int]) -> tuple[int, int]:
    if node.kind == "unfold" and (grid := _grid(node, first)):
        return grid
    if node.weighted and node.kind in PRODUCTS and reduced:
        return (1, 1)
    if len(node.shape) in (3, 4) and node.kind not in ATTENTION:  # C×H×W, or C×D×H×W
        return (node.shape[0], node.shape[1]) if node.channels_last else (node.shape[-2], node.shape[-1])
    # A gate multiplies a map: the product lies on that map.
    first = max(node.images, key=lambda source: source.positions)
    return (1 if 0 in reduced else first.sides[0], 1 if 1 in reduced else first.sides[1])


def _reduced(node: Node, first: Node) -> frozenset[int]:
    """Return the axes of the map that the node reduces."""
    both = frozenset({0, 1})
    if node.kind in (*ATTENTION, *RECURRENT) or (node.kind in PRODUCTS and not node.weighted):
        return both  # every position sees every other
    if _covers_map(node):
        return both
    shape = node.input_shape
    if node.weighted and (node.kind in PRODUCTS or len(shape) < 3) and node.kind not in CONVOLUTIONS:
        return frozenset() if _keeps_positions(node, first) else both
    if node.kind == "conv1d":
        return both if node.shape[-1:] == (1,) else frozenset()
    if node.kind not in REDUCTIONS:
        return frozenset()
    dims = {d % (len(shape) + 1) for d in node.settings["dims"]}
    if len(shape) in (3, 4):
        rows = 1 if node.channels_last else len(shape) - 1
        return frozenset(d - rows for d in dims if d in (rows, rows + 1))
    if any(0 < d <= len(shape) and shape[d - 1] == first.positions for d in dims):
        # One axis holds the positions that are left: a mean over columns leaves only rows.
        return both if first.positions == 1 else frozenset(a for a in (0, 1) if first.sides[a] > 1)
    return frozenset()


def _keeps_positions(node: Node, first: Node) -> bool:
    """Return whether a product with weights works position by position, as a 1×1 convolution does."""
    if first.positions == 1 or len(node.shape) < 2:
        return False
    if len(node.shape) == 3:
        return node.channels_last or (node.kind == "einsum" and node.shape[1:] == first.sides)
    # (positions, channels) keeps its first axis under x @ w, (channels, positions) its second under w @ x.
    axis = 0 if node.kind == "linear" or node.input_shape[0] == first.positions else 1
    return node.shape[axis] == node.input_shape[axis] == first.positions


def _covers_map(node: Node) -> bool:
    if node.kind in ("adaptive_avg_pool1d", "adaptive_max_pool1d"):
        return node.shape[-1:] == (1,)
    if len(node.input_shape) not in (3, 4) or node.shape[-2:] != (1, 1):
        return False
    if node.kind in WINDOWED:  # a window leaves out the rows and columns that do not fit
        kernel = _whole_numbers(node.settings["kernel_size"])[-2:]
        return all(kernel[axis % len(kernel)] >= node.input_shape[axis - 2] for axis in (0, 1))
    return node.kind in ADAPTIVE


def _window(node: Node, first: Node, axis: int, reduced: frozenset[int]) -> tuple[int, Fraction]:
    """Return how many neighbouring input positions an output position sees, and the stride between two."""

    def of(name: str, default: int) -> int:
        value = _whole_numbers(node.settings.get(name))[-2:]  # of three axes, the depth does not count
        return value[axis % len(value)] if value else default

    side, outputs = first.sides[axis], node.sides[axis]
    if node.kind in ("conv2d", "conv3d", "unfold", *WINDOWED):
        kernel = of("kernel_size", 1)
        stride = of("stride", kernel if "pool" in node.kind else 1)
        return of("dilation", 1) * (kernel - 1) + 1, Fraction(stride)
    if axis in reduced:
        return side, Fraction(1)
    if node.kind in ("conv_transpose2d", "conv_transpose3d"):
        stride, reach = of("stride", 1), of("dilation", 1) * (of("kernel_size", 1) - 1) + 1
        return -(-reach // stride), Fraction(1, stride)
    if node.kind == "interpolate":
        reach = REACHES.get(node.settings.get("mode", "nearest"), 1)
        return min(reach, side), Fraction(side, outputs)
    if node.kind in ADAPTIVE:
        # Windows from ⌊i·side/outputs⌋ to ⌈(i + 1)·side/outputs⌉; where they differ, the smallest.
        spans = (-(-(i + 1) * side // outputs) - i * side // outputs for i in range(outputs))
        return min(spans), Fraction(max(1, side // outputs))
    if node.kind == "pixel_unshuffle":
        return side // outputs, Fraction(side // outputs)
    if node.kind == "pixel_shuffle":
        return 1, Fraction(side, outputs)
    if node.kind == "__getitem__" and len(node.input_shape) == len(node.shape) == 3:
        return 1, Fraction(_step(node.settings.get("index"), axis + (1 if node.channels_last else 2)))
    return 1, Fraction(1)


def _step(index: Any, axis: int) -> int:
    """Return the stride of the elements that ``x[index]`` takes along an axis."""
    index = index if isinstance(index, tuple) else (index,)
    if Ellipsis in index:
        at = index.index(Ellipsis)
        index = (*index[:at], *[slice(None)] * (5 - len(index)), *index[at + 1 :])
    part = index[axis] if axis < len(index) else None
    return int(part.step) if isinstance(part, slice) and isinstance(part.step, int) and part.step > 0 else 1


def _grid(node: Node, first: Node) -> tuple[int, int] | None:
    """Return the number of windows of ``F.unfold`` along each axis, None if it does not match the result."""
    sides = []
    for axis in (0, 1):
        values = {"kernel_size": 1, "dilation": 1, "padding": 0, "stride": 1}
        for name, default in values.items():
            given = _whole_numbers(node.settings.get(name)) or (default,)
            values[name] = given[axis % len(given)]
        reach = values["dilation"] * (values["kernel_size"] - 1) + 1
        sides.append((first.sides[axis] + 2 * values["padding"] - reach) // max(1, values["stride"]) + 1)
    return (sides[0], sides[1]) if sides[0] * sides[1] == node.shape[-1] else None


def _turned(node: Node, first: Node) -> bool:
    """Return whether the channels come last after a permutation of the axes."""
    rank = len(node.shape) + 1
    dims = [d % rank for d in node.settings["dims"]]
    if rank != 4 or len(dims) < 2:
        return first.channels_last
    before = 3 if first.channels_last else 1
    if node.kind == "permute":
        return dims.index(before) == 3 if before in dims else first.channels_last
    if node.kind in ("movedim", "moveaxis"):
        return dims[1] == 3 if dims[0] == before else first.channels_last
    return dims[1 - dims.index(before)] == 3 if before in dims[:2] else first.channels_last


def _whole_numbers(value: Any) -> Sequence[int]:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return ()
    if isinstance(value, int):
        return (value,)
    if isinstance(value, list | tuple):
        return tuple(int(part) for part in value if isinstance(part, int))
    return ()
