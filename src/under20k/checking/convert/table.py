"""The conversion of every function that graphs have, by its name in torch without a trailing underscore.

Shapes: C channels, H rows, W columns of one image's values; F features.
"""

from __future__ import annotations

from collections.abc import Callable

from under20k.checking.convert import arithmetic, layers, norms, pooling
from under20k.checking.convert.conversion import SAME, Conversion
from under20k.checking.convert.values import Value
from under20k.checking.graph.node import Node

CONVERSIONS: dict[str, Callable[[Conversion, Node], Value]] = {
    "conv2d": layers.convolution,
    "linear": layers.linear,
    "batch_norm": layers.batch_norm,
    "group_norm": norms.group_norm,
    "layer_norm": norms.layer_norm,
    "instance_norm": norms.instance_norm,
    "pad": layers.padding,
    "prelu": layers.prelu,
    **dict.fromkeys(layers.FUNCTIONS, layers.activation),
    **dict.fromkeys(("leaky_relu", "elu", "celu", "gelu"), layers.with_setting),
    "selu": layers.selu,
    **dict.fromkeys(("clamp", "clip", "clamp_min", "clamp_max", "threshold", "hardtanh"), layers.clamp),
    **dict.fromkeys(("dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout"), layers.dropout),
    **dict.fromkeys(("softmax", "log_softmax"), layers.softmax),
    "log": layers.log,
    **dict.fromkeys(("max_pool2d", "max_pool2d_with_indices", "avg_pool2d"), pooling.windowed),
    "interpolate": pooling.repeated,
    **dict.fromkeys(
        (f"adaptive_{kind}_pool{rank}d" for kind in ("avg", "max") for rank in (1, 2)), pooling.adaptive
    ),
    **dict.fromkeys(("mean", "sum", "amax", "max", "amin", "min"), pooling.reduction),
    **dict.fromkeys(("maximum", "minimum"), arithmetic.larger),
    **dict.fromkeys(("abs", "__abs__", "absolute"), arithmetic.absolute),
    **dict.fromkeys(("add", "__add__", "__radd__", "__iadd__"), arithmetic.add),
    **dict.fromkeys(("sub", "subtract", "__sub__", "__isub__"), arithmetic.subtract),
    **dict.fromkeys(("rsub", "__rsub__"), arithmetic.subtract_from),
    **dict.fromkeys(("mul", "multiply", "__mul__", "__rmul__", "__imul__"), arithmetic.multiply),
    **dict.fromkeys(
        ("div", "divide", "true_divide", "__div__", "__truediv__", "__itruediv__", "__idiv__"),
        arithmetic.divide,
    ),
    **dict.fromkeys(("matmul", "mm", "__matmul__"), arithmetic.matrix_product),
    "rsqrt": layers.activation,
    **dict.fromkeys(("neg", "negative", "__neg__"), arithmetic.negate),
    **dict.fromkeys(("pow", "__pow__", "square"), arithmetic.square),
    **dict.fromkeys(("cat", "concat", "concatenate"), arithmetic.concatenate),
    **dict.fromkeys(("expand", "expand_as", "broadcast_to"), arithmetic.expand),
    **dict.fromkeys(
        (
            *("view", "reshape", "flatten", "squeeze", "unsqueeze", "view_as", "reshape_as", "unflatten"),
            *("permute", "transpose", "swapaxes", "swapdims", "movedim", "moveaxis", "__getitem__"),
            *("ravel", "atleast_2d", *SAME),
        ),
        Conversion.moved,
    ),
}
