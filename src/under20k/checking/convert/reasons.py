"""Why a model has no graph, in its author's words."""

from __future__ import annotations

from torch import nn
from torch.overrides import resolve_name

from under20k.checking.graph.node import Node


class NotConvertible(Exception):
    """The model has no graph; the message says why."""


def used(node: Node, remark: str = "") -> NotConvertible:
    """Return the error for a call that graphs do not have: ``Net.forward uses torch.fft.fft (net.py:12)``.

    ``remark`` qualifies the function: ``of dilation 2``.
    """
    attends = node.call is not None and isinstance(node.call.module, nn.MultiheadAttention)
    return refused(node, f"uses {words(node)}" + (f" {remark}" if remark and not attends else ""))


def refused(node: Node, what: str) -> NotConvertible:
    """Return the error for a call, ``Net.forward`` before ``what`` and its line after."""
    at = f" ({node.source})" if node.source else ""
    return NotConvertible(f"{owner(node)} {what}{at}")


def owner(node: Node) -> str:
    """Return whose code makes the call: ``Net.forward``, or ``the model`` if it is all torch's own."""
    module = node.call.owner if node.call else None
    return "the model" if module is None else f"{type(module).__name__}.forward"


def words(node: Node) -> str:
    """Return the function as code names it: ``nn.GroupNorm``, ``F.group_norm``, ``torch.fft.fft``."""
    assert node.call is not None
    module = node.call.module
    if module is not None and type(module).__module__.startswith("torch.nn.") and _is_leaf(module):
        return f"nn.{type(module).__name__}"
    name = resolve_name(node.call.function) or node.kind
    return name.replace("torch.nn.functional.", "F.").replace("torch.Tensor.", "Tensor.")


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None or isinstance(module, nn.MultiheadAttention)
