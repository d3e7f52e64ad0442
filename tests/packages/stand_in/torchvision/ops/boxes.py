"""Boxes, as (left, top, right, bottom)."""

import torch
from torch import Tensor

__all__ = [
    *("box_area", "box_convert", "box_iou", "complete_box_iou", "distance_box_iou", "generalized_box_iou"),
]


def box_area(boxes: Tensor) -> Tensor:
    """Of each."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def box_convert(boxes: Tensor, in_fmt: str, out_fmt: str) -> Tensor:
    """From a corner and sides to two corners."""
    if in_fmt == out_fmt:
        return boxes
    if (in_fmt, out_fmt) != ("xywh", "xyxy"):
        raise ValueError(f"{in_fmt} to {out_fmt}")
    return torch.cat((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), 1)


def box_iou(a: Tensor, b: Tensor) -> Tensor:
    """Of each of one with each of the other."""
    low, high = torch.maximum(a[:, None, :2], b[:, :2]), torch.minimum(a[:, None, 2:], b[:, 2:])
    both = (high - low).clamp(min=0).prod(2)
    return both / (box_area(a)[:, None] + box_area(b) - both)


generalized_box_iou = complete_box_iou = distance_box_iou = box_iou
