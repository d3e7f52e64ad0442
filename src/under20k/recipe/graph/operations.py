"""The operations of a graph, each as PyTorch defines it.

Shapes: C channels, H rows, W columns of one image's values; F features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from under20k.recipe.graph.node import MAX_SIZE, Node, Pair, Shape

FUNCTIONS = (
    *("relu", "relu6", "leaky_relu", "prelu", "gelu", "gelu_tanh", "silu", "hardswish", "hardsigmoid"),
    *("sigmoid", "tanh", "elu", "rsqrt"),
)
"""Of ``Activation``; rsqrt is 1/√x of numbers above 0."""
MAX_KERNEL = 7
MAX_SCALE = 1e30
MAX_POOLED_SIDE = 1024
"""Of what adaptive pooling gives, along an axis that it pools."""
MAX_KEPT_SIDE = 784 * 1024
"""Along an axis that it keeps: a mean over channels has all that is not averaged side by side."""


@dataclass(frozen=True, slots=True)
class Convolution(Node):
    """``conv2d``: (C, H, W) → (channels, H', W')."""

    op: ClassVar[str] = "conv"
    channels: int
    weight: str
    bias: str | None = None
    kernel: Pair = (3, 3)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    weight_shape: Shape | None = None
    """Of the weight in the model, where it is no kernel but a scale: the same elements in another shape."""

    def __post_init__(self) -> None:
        self.check_whole("channels", 1, MAX_SIZE)
        if self.weight_shape is not None:
            self.check_shape("weight_shape")
        for field, low in (("kernel", 1), ("stride", 1), ("padding", 0), ("dilation", 1)):
            self.check_pair(field, low, 28)
        self.check_whole("groups", 1, self.channels)

    def result(self, shapes: Sequence[Shape]) -> Shape:
        channels, height, width = self.only(shapes, 3)
        if channels % self.groups or self.channels % self.groups:
            raise self.refuse(
                f"{self.groups} groups of {channels} channels to {self.channels}; expected a number that "
                "divides both"
            )
        sides = tuple(
            (side + 2 * padding - reach) // stride + 1
            for side, padding, reach, stride in zip(
                (height, width), self.padding, self.window(shapes)[0], self.stride, strict=True
            )
        )
        if min(sides) < 1:
            rows, columns = self.kernel
            padding = self.padding[0] if self.padding[0] == self.padding[1] else self.padding
            raise self.refuse(
                f"a {rows}×{columns} kernel with padding {padding} does not fit a feature map of "
                f"{height}×{width}; pool less or pad more"
            )
        return (self.channels, *sides)

    def weights(self, shapes: Sequence[Shape]) -> dict[str, Shape]:
        shape = self.kernel_shape(shapes[0][0])
        if self.weight_shape is not None:
            if math.prod(self.weight_shape) != math.prod(shape):
                raise self.refuse(f"weight_shape {self.weight_shape}; expected as many elements as {shape}")
            shape = self.weight_shape
        return {self.weight: shape} | ({self.bias: (self.channels,)} if self.bias else {})

    def kernel_shape(self, channels: int) -> Shape:
        """Return the kernel's shape: channels, those of a group's input, rows, columns."""
        return (self.channels, channels // self.groups, *self.kernel)

    def macs(self, shapes: Sequence[Shape]) -> int:
        return math.prod(self.weights(shapes)[self.weight]) * math.prod(self.result(shapes)[1:])

    def window(self, shapes: Sequence[Shape]) -> tuple[Pair, Pair]:
        rows, columns = (d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True))
        return (rows, columns), self.stride


@dataclass(frozen=True, slots=True)
class Linear(Node):
    """``linear``: (F,) → (features,)."""

    op: ClassVar[str] = "linear"
    features: int
    weight: str
    bias: str | None = None

    def __post_init__(self) -> None:
        self.check_whole("features", 1, MAX_SIZE)

    def result(self, shapes: Sequence[Shape]) -> Shape:
        self.only(shapes, 1)
        return (self.features,)

    def weights(self, shapes: Sequence[Shape]) -> dict[str, Shape]:
        matrix = {self.weight: (self.features, *shapes[0])}
        return matrix | ({self.bias: (self.features,)} if self.bias else {})

    def macs(self, shapes: Sequence[Shape]) -> int:
        return self.features * shapes[0][0]


@dataclass(frozen=True, slots=True)
class BatchNorm(Node):
    """``batch_norm`` of each channel, (C, H, W), or feature, (F,)."""

    op: ClassVar[str] = "batch_norm"
    weight: str | None
    bias: str | None
    running_mean: str
    running_var: str
    momentum: float | None = 0.1
    """Weight of a batch in the running statistics; None for the mean over all batches so far."""
    eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.momentum is not None:
            self.check_number("momentum", 0, 1)
        self.check_number("eps", 0, 1e6)

    def weights(self, shapes: Sequence[Shape]) -> dict[str, Shape]:
        return {name: (shapes[0][0],) for name in (self.weight, self.bias) if name}

    def statistics(self, shapes: Sequence[Shape]) -> dict[str, Shape]:
        return dict.fromkeys((self.running_mean, self.running_var), (shapes[0][0],))


@dataclass(frozen=True, slots=True)
class Activation(Node):
    """A function of each element, one of ``FUNCTIONS``."""

    op: ClassVar[str] = "activation"
    function: str
    slope: float = 0.01
    """Of leaky_relu below 0; alpha of elu."""
    weight: str | None = None
    """Of prelu: (C,) or (1,)."""
    weights_count: int = 1
    """Of prelu: 1 or C."""

    def __post_init__(self) -> None:
        self.check_choice("function", FUNCTIONS)
        self.check_number("slope", -1e6, 1e6)
        self.check_whole("weights_count", 1, MAX_SIZE)
        if (self.function == "prelu") != (self.weight is not None):
            raise self.refuse(f"{self.function} with weight {self.weight!r}; prelu has one, all else none")

    def result(self, shapes: Sequence[Shape]) -> Shape:
        if self.weights_count not in (1, shapes[0][0]):
            raise self.refuse(f"{self.weights_count} slopes of {shapes[0][0]} channels")
        return shapes[0]

    def weights(self, shapes: Sequence[Shape]) -> dict[str, Shape]:
        return {self.weight: (self.weights_count,)} if self.weight else {}


@dataclass(frozen=True, slots=True)
class Pool(Node):
    """``max_pool2d`` or ``avg_pool2d``: (C, H, W) → (C, H', W')."""

    op: ClassVar[str] = "pool"
    kind: str
    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    ceil: bool = False
    """Whether windows may begin inside and end beyond the map."""
    count_padding: bool = True
    """Whether an average counts the padding's zeros."""

    def __post_init__(self) -> None:
        self.check_choice("kind", ("max", "average"))
        for field, low in (("kernel", 1), ("stride", 1), ("padding", 0)):
            self.check_pair(field, low, 28)
        if any(2 * padding > kernel for padding, kernel in zip(self.padding, self.kernel, strict=True)):
            raise self.refuse(f"padding {self.padding} of kernel {self.kernel}; expected at most half of it")

    def result(self, shapes: Sequence[Shape]) -> Shape:
        channels, *sides = self.only(shapes, 3)
        out = []
        for side, kernel, stride, padding in zip(sides, self.kernel, self.stride, self.padding, strict=True):
            span = side + 2 * padding - kernel
            count = (span + (stride - 1 if self.ceil else 0)) // stride + 1
            if self.ceil and (count - 1) * stride >= side + padding:
                count -= 1  # a window that would begin in the padding below is left out
            out.append(count)
        if min(out) < 1:
            window = f"{self.kernel[0]}×{self.kernel[1]}"
            raise self.refuse(
                f"{window} pooling does not fit a feature map of {sides[0]}×{sides[1]}; pool less or pad more"
            )
        return (channels, *out)

    def window(self, shapes: Sequence[Shape]) -> tuple[Pair, Pair]:
        return self.kernel, self.stride


@dataclass(frozen=True, slots=True)
class AdaptivePool(Node):
    """``adaptive_max_pool2d`` or ``adaptive_avg_pool2d``: (C, H, W) → (C, *size)."""

    op: ClassVar[str] = "adaptive_pool"
    kind: str
    size: Pair = (1, 1)

    def __post_init__(self) -> None:
        self.check_choice("kind", ("max", "average"))
        self.check_pair("size", 1, MAX_KEPT_SIDE)

    def result(self, shapes: Sequence[Shape]) -> Shape:
        for side, outputs in zip(self.only(shapes, 3)[1:], self.size, strict=True):
            if outputs > MAX_POOLED_SIDE and outputs != side:
                raise self.refuse(
                    f"size {self.size} of {side}; expected at most {MAX_POOLED_SIDE} of another"
                )
        return (self.only(shapes, 3)[0], *self.size)

    def window(self, shapes: Sequence[Shape]) -> tuple[Pair, Pair]:
        (high, down), (wide, right) = map(_adaptive_window, shapes[0][1:], self.size)
        return (high, wide), (down, right)


@dataclass(frozen=True, slots=True)
class Dropout(Node):
    """Dropout of elements or, with ``channels``, of whole channels, by the plan's masks."""

    op: ClassVar[str] = "dropout"
    probability: float
    channels: bool = False
    stream: int = 0
    """Number of the dropout layer: layers of different numbers have different masks."""

    def __post_init__(self) -> None:
        self.check_number("probability", 0, 1)
        if self.probability == 1:
            raise self.refuse("dropout of everything; expected a probability below 1")
        self.check_whole("stream", 0, 2**31 - 1)


@dataclass(frozen=True, slots=True)
class Add(Node):
    """The sum of all inputs: of one shape, or with (C, 1, 1) beside (C, H, W)."""

    op: ClassVar[str] = "add"

    def result(self, shapes: Sequence[Shape]) -> Shape:
        return _broadcast(self, shapes)


@dataclass(frozen=True, slots=True)
class Multiply(Node):
    """The product of all inputs: of one shape, or with (C, 1, 1) beside (C, H, W)."""

    op: ClassVar[str] = "multiply"

    def result(self, shapes: Sequence[Shape]) -> Shape:
        return _broadcast(self, shapes)


@dataclass(frozen=True, slots=True)
class Concatenate(Node):
    """The channels, or features, of all inputs one after the other."""

    op: ClassVar[str] = "concatenate"

    def result(self, shapes: Sequence[Shape]) -> Shape:
        if len({shape[1:] for shape in shapes}) != 1:
            given = ", ".join(map(str, shapes))
            raise self.refuse(f"inputs of shapes {given}; expected one height and width")
        return (sum(shape[0] for shape in shapes), *shapes[0][1:])


@dataclass(frozen=True, slots=True)
class Scale(Node):
    """``factor * x + offset``."""

    op: ClassVar[str] = "scale"
    factor: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        self.check_number("factor", -MAX_SCALE, MAX_SCALE)
        self.check_number("offset", -MAX_SCALE, MAX_SCALE)


@dataclass(frozen=True, slots=True)
class Reshape(Node):
    """The same elements, row by row, in another shape."""

    op: ClassVar[str] = "reshape"
    shape: Shape

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))

    def result(self, shapes: Sequence[Shape]) -> Shape:
        if len(self.shape) not in (1, 3) or math.prod(self.shape) != math.prod(shapes[0]):
            raise self.refuse(f"{shapes[0]} cannot become {self.shape}")
        return self.shape


@dataclass(frozen=True, slots=True)
class Softmax(Node):
    """Probabilities of the classes, only at the end."""

    op: ClassVar[str] = "softmax"


@dataclass(frozen=True, slots=True)
class LogSoftmax(Node):
    """Log-probabilities of the classes, only at the end."""

    op: ClassVar[str] = "log_softmax"


OPERATIONS: dict[str, type[Node]] = {
    kind.op: kind
    for kind in (
        *(Convolution, Linear, BatchNorm, Activation, Pool, AdaptivePool, Dropout, Add, Multiply),
        *(Concatenate, Scale, Reshape, Softmax, LogSoftmax),
    )
}


def _broadcast(node: Node, shapes: Sequence[Shape]) -> Shape:
    largest = max(shapes, key=math.prod)
    if len(shapes) < 2 or any(shape not in (largest, (largest[0], 1, 1)) for shape in shapes):
        raise node.refuse(f"inputs of shapes {', '.join(map(str, shapes))}; expected one shape")
    return largest


def _adaptive_window(side: int, outputs: int) -> Pair:
    """Return the smallest window and the step of an adaptive pooling along an axis; one window has none."""
    return -(-side // outputs), max(1, side // outputs) if outputs > 1 else 1
