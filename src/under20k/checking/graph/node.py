"""One call of a torch function in a model's computation.

Shapes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from torch import nn

from under20k.recipe.architecture import IMAGE_SIDE

CONVOLUTIONS = (*("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),)
CONTRACTIONS = ("inner", "tensordot", "dot", "vdot", "mv")
"""Products of two operands that sum over shared axes."""
PRODUCTS = (
    *("linear", "matmul", "mm", "bmm", "addmm", "baddbmm", "__matmul__", "__rmatmul__", "einsum"),
    *("bilinear", *CONTRACTIONS),
)
ATTENTION = ("scaled_dot_product_attention", "multi_head_attention_forward")
RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")
RESHAPING = ("flatten", "reshape", "view", "permute", "transpose", "contiguous", "squeeze", "unsqueeze")
MULTIPLICATIONS = ("mul", "__mul__", "__rmul__", "__imul__", "multiply")
RANDOM = (
    *("rand", "randn", "randint", "rand_like", "randn_like", "randint_like", "randperm", "bernoulli"),
    *("normal", "uniform", "exponential", "multinomial", "poisson", "rrelu", "gumbel_softmax", "random"),
    *("alpha_dropout", "feature_alpha_dropout"),
)
"""Functions that draw random numbers, beside dropout."""


@dataclass(frozen=True, eq=False)
class Operand:
    """A tensor among the arguments of a call."""

    node: Node | None
    """The call that gave it; None for a tensor that no call made."""
    part: int
    """Which of the tensors that this call gave."""
    name: str
    """Its first name in the model's ``state_dict``, empty if it has none."""
    parameter: bool
    """Whether it is trained."""
    number: float | None
    """Its value, if it has one element and does not depend on the image."""


@dataclass(frozen=True, eq=False)
class Call:
    """A call as it was made; its tensors are ``Operand``s."""

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    module: nn.Module | None
    """The innermost module that runs."""
    owner: nn.Module | None
    """The innermost module that is not one of torch's own layers."""
    batch: int | None
    """The first side of the result."""
    dropouts: int
    """Number of calls of active dropout before it."""


@dataclass(eq=False)
class Node:
    """One call that the output depends on."""

    name: str
    """The calling module's name, or the function's."""
    kind: str
    inputs: list[Node]
    input_shape: tuple[int, ...]
    """Shape of the first input that depends on the image, without N."""
    shape: tuple[int, ...]
    """Shape of the result, without N."""
    source: str
    """``file:line`` in the model's code, empty if only torch's own modules call."""
    settings: dict[str, Any] = field(default_factory=dict)
    attribute: str = ""
    """The layer as the model's code names it, ``self.f[0]``, or the function if it belongs to no layer."""
    weighted: bool = False
    """Whether it is a convolution, or a product of image-dependent values with others."""
    parameters: int = 0
    """Number of parameters that it takes and no earlier node took."""
    outside: int = 0
    """Number of weights that it takes and that are not parameters."""
    macs: int = 0
    """Multiply-accumulates for one image, of convolutions and products."""
    sees_image: bool = True
    fields: tuple[Fraction, Fraction] = (Fraction(1), Fraction(1))
    jumps: tuple[Fraction, Fraction] = (Fraction(1), Fraction(1))
    sides: tuple[int, int] = (IMAGE_SIDE, IMAGE_SIDE)
    """Rows and columns of the map that its elements lie on; flattening does not change them."""
    channels_last: bool = False
    """Whether the map's rows and columns come before its channels."""
    averaged: frozenset[int] = frozenset()
    """The axes, 0 for rows and 1 for columns, over which a mean or a sum was taken."""
    call: Call | None = None
    """None for the image."""

    @property
    def receptive_field(self) -> int:
        """Side in pixels of the largest square that an output element depends on, padding counted."""
        return int(min(self.fields))

    @property
    def positions(self) -> int:
        """Number of positions on its map."""
        return self.sides[0] * self.sides[1]

    @property
    def is_layer(self) -> bool:
        """Whether it has weights that mix its inputs, unlike a scale, an activation or a normalisation."""
        return self.weighted or (
            self.sees_image and self.kind in ("multi_head_attention_forward", *RECURRENT)
        )

    @property
    def images(self) -> list[Node]:
        """The inputs that depend on the image."""
        return [source for source in self.inputs if source.sees_image]

    def made_of(self) -> Iterator[Node]:
        """Yield the node and all that its result is computed from."""
        left, seen = [self], set()
        while left:
            node = left.pop()
            if id(node) not in seen:
                seen.add(id(node))
                left += node.inputs
                yield node
