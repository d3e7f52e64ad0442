"""The arguments of recorded calls by name."""

from __future__ import annotations

from typing import Any

from under20k.checking.graph.node import Node

_POOLING = ("input", "kernel_size", "stride", "padding")
_NAMES = {
    "conv2d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "linear": ("input", "weight", "bias"),
    "batch_norm": (
        *("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps"),
    ),
    "group_norm": ("input", "num_groups", "weight", "bias", "eps"),
    "layer_norm": ("input", "normalized_shape", "weight", "bias", "eps"),
    "instance_norm": (
        *("input", "running_mean", "running_var", "weight", "bias", "use_input_stats", "momentum", "eps"),
    ),
    "max_pool2d": (*_POOLING, "dilation", "ceil_mode", "return_indices"),
    "avg_pool2d": (*_POOLING, "ceil_mode", "count_include_pad", "divisor_override"),
    "leaky_relu": ("input", "negative_slope"),
    "elu": ("input", "alpha"),
    "gelu": ("input", "approximate"),
    "prelu": ("input", "weight"),
    "hardtanh": ("input", "min_val", "max_val"),
    "clamp": ("input", "min", "max"),
    "clip": ("input", "min", "max"),
    "clamp_max": ("input", "max"),
    "threshold": ("input", "threshold", "value"),
    "softmax": ("input", "dim"),
    "log_softmax": ("input", "dim"),
    "pad": ("input", "pad", "mode", "value"),
    "cat": ("tensors", "dim"),
    "interpolate": ("input", "size", "scale_factor", "mode"),
    "dropout": ("input", "p", "training"),
    "mean": ("input", "dim", "keepdim"),
}
_LIKE = {
    **dict.fromkeys(("concat", "concatenate"), "cat"),
    **dict.fromkeys(("feature_dropout", "dropout1d", "dropout2d", "dropout3d"), "dropout"),
    **dict.fromkeys(("sum", "amax", "max", "amin", "min"), "mean"),
    "clamp_min": "clamp",
    "max_pool2d_with_indices": "max_pool2d",
}
_OTHER_NAMES = {"axis": "dim", "mat2": "other", "self": "input", "negval": "alpha", "train": "training"}


def arguments(node: Node) -> dict[str, Any]:
    """Return the arguments of a call by the names that torch's documentation gives them."""
    assert node.call is not None
    kind = _LIKE.get(node.kind, node.kind)
    default = ("input", "output_size") if kind.startswith("adaptive") else ("input", "other")
    given = dict(zip(_NAMES.get(kind, default), node.call.args, strict=False)) | node.call.kwargs
    return {_OTHER_NAMES.get(name, name): value for name, value in given.items()}


def pair(value: Any) -> tuple[int, int]:
    """Return a number or a pair as a pair."""
    if isinstance(value, list | tuple):
        return (int(value[0]), int(value[-1]))
    return (int(value), int(value))
