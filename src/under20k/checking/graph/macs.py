"""Multiply-accumulates of a node, from the shapes alone."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt, prod

from under20k.checking.graph.node import CONTRACTIONS, CONVOLUTIONS, PRODUCTS, RECURRENT, Node

Shape = tuple[int, ...]


def macs(node: Node, taken: Sequence[Shape], result: Shape, batch: int) -> int:
    """Return the multiply-accumulates for one image, of convolutions, products and attention.

    Args:
        node: the call.
        taken: shapes of the tensors that it takes, with N.
        result: shape of its result, with N.
        batch: number of images.
    """
    total = 0
    if node.kind in CONVOLUTIONS and (weight := node.settings.get("weight_shape")):
        total = prod(weight[1:]) * prod(taken[0] if "transpose" in node.kind else result)
    elif node.kind == "scaled_dot_product_attention":
        query, key, value = taken[:3]
        total = prod(query[:-1]) * key[-2] * (query[-1] + value[-1])
    elif node.kind == "multi_head_attention_forward" and len(taken) > 1 and len(taken[0]) == 3:
        (queries, images, width), keys = taken[0], taken[1][0]
        total = images * (2 * (queries + keys) * width * width + 2 * queries * keys * width)
    elif node.kind in RECURRENT:  # every matrix once per step
        total = prod(taken[0][:-1]) * sum(prod(shape) for shape in taken[1:] if len(shape) == 2)
    elif node.kind == "einsum":
        total = _einsum(str(node.settings.get("equation")), taken)
    elif node.kind == "bilinear" and len(taken) > 2:
        # For each output and element of the second input: one per element of the first, and one more.
        outputs, first, second = taken[2]
        total = prod(result[:-1]) * outputs * second * (first + 1)
    elif node.kind in ("sum", "mean") and node.weighted:  # sums a multiplication with weights
        total = prod(taken[0])
    elif node.kind in CONTRACTIONS and len(taken) > 1:
        # Operands of F·K and K·G elements, a result of F·G: the root of their product is F·K·G. Those of
        # weights alone, such as spectral norm's, do not depend on the image.
        total = isqrt(prod(taken[0]) * prod(taken[1]) * prod(result)) if node.sees_image else 0
    elif node.kind in PRODUCTS and len(taken) > 1:
        left = taken[1] if node.kind in ("addmm", "baddbmm", "linear") else taken[0]
        total = left[-1] * prod(result)
    return int(total) // batch


def _einsum(equation: str, taken: Sequence[Shape]) -> int:
    """Count every combination of the indices of two operands once."""
    letters = equation.replace(" ", "").partition("->")[0].split(",")
    if len(letters) != 2 or len(taken) != 2 or "." in equation:
        return 0
    return prod(dict(zip("".join(letters), [*taken[0], *taken[1]], strict=False)).values())
