"""The arguments of a recorded call by name, whether they were passed by position or by keyword."""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from under20k.checking.graph.node import RECURRENT
from under20k.checking.graph.receptive_field import REDUCTIONS, TURNS

_RECURRENCE = (
    *("input", "hx", "weights", "bias", "num_layers", "p", "training", "bidirectional", "batch_first"),
)
_NAMES = {
    **dict.fromkeys(RECURRENT, _RECURRENCE),
    "conv1d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "conv2d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "conv3d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "conv_transpose2d": (
        *("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation"),
    ),
    "conv_transpose3d": (
        *("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation"),
    ),
    "max_pool2d": ("input", "kernel_size", "stride", "padding", "dilation"),
    "avg_pool2d": ("input", "kernel_size", "stride", "padding"),
    "max_pool3d": ("input", "kernel_size", "stride", "padding", "dilation"),
    "avg_pool3d": ("input", "kernel_size", "stride", "padding"),
    "unfold": ("input", "kernel_size", "dilation", "padding", "stride"),
    "dropout": ("input", "p", "training"),
    "interpolate": ("input", "size", "scale_factor", "mode"),
    "einsum": ("equation",),
    "softmax": ("input", "dim"),
    "log_softmax": ("input", "dim"),
    "__getitem__": ("input", "index"),
    "multi_head_attention_forward": tuple(inspect.signature(F.multi_head_attention_forward).parameters),
    "scaled_dot_product_attention": ("query", "key", "value", "attn_mask", "dropout_p"),
}


def settings(kind: str, args: Any, kwargs: Any) -> dict[str, Any]:
    """Return the arguments of a call by name, tensors left out; for convolutions the weight's shape too."""
    names = _NAMES.get("dropout" if "dropout" in kind else kind, ("input",))
    found = dict(zip(names, args, strict=False)) | kwargs
    if "conv" in kind and isinstance(weight := found.get("weight"), Tensor):
        found["kernel_size"] = tuple(weight.shape[2:])
        found["weight_shape"] = tuple(weight.shape)
    if kind in (*REDUCTIONS, *TURNS):  # x.mean(2, 3) as well as x.mean((2, 3))
        dims = [a for arg in args[1:] for a in (arg if isinstance(arg, list | tuple) else [arg])]
        named = [d for name in ("dim", "axis", "dims", "dim0", "dim1") for d in _listed(kwargs.get(name))]
        named += [d for name in ("source", "destination") for d in _listed(kwargs.get(name))]
        found["dims"] = tuple(d for d in [*dims, *named] if isinstance(d, int) and not isinstance(d, bool))
    if "train" in found:  # torch.dropout's name for it
        found["training"] = found["train"]
    if "dropout_p" in found:  # attention's name for it
        found["p"] = found["dropout_p"]
    return {name: value for name, value in found.items() if not isinstance(value, Tensor)}


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
