"""Operators, with what they give for tensors without data."""

import torch
from torch import Tensor

LIBRARY = torch.library.Library("torchvision", "DEF")
LIBRARY.define("nms(Tensor boxes, Tensor scores, float threshold) -> Tensor")


@torch.library.impl(LIBRARY, "nms", "CPU")
def _nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    kept: list[int] = []
    for index in scores.argsort(descending=True).tolist():
        box = boxes[index]
        if all(_overlap(box, boxes[other]) <= threshold for other in kept):
            kept.append(index)
    return torch.tensor(kept)


def _overlap(a: Tensor, b: Tensor) -> float:
    low, high = torch.maximum(a[:2], b[:2]), torch.minimum(a[2:], b[2:])
    both = (high - low).clamp(min=0).prod()
    return float(both / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - both))


@torch.library.register_fake("torchvision::nms")
def _fake_nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    context = torch.library.get_ctx()
    return boxes.new_empty(context.new_dynamic_size(), dtype=torch.long)


@torch.library.custom_op("torchvision::flip", mutates_args=())
def flip(image: Tensor) -> Tensor:
    """Left and right exchanged."""
    return image.flip(-1).clone()
