"""Names of a network's tensors in an exported PyTorch module, which numbers its layers from 1.

``blocks.0.conv.weight`` is ``conv1.weight`` there, ``blocks.0.batch_norm.bias`` is ``norm1.bias``, and
``head.conv.weight`` is ``head.weight``. The bias of a block that shares its weights is ``bias3``.

A model of the user's own has its names with ``_`` for all that no name in Python may have.
"""

from __future__ import annotations

import keyword
import re

from under20k.recipe.architecture import Architecture
from under20k.recipe.own_model import OwnModel

TAKEN = ("training", "forward", "logits", "eval", "train")
"""Attributes of every module."""


def plain_names(network: Architecture | OwnModel) -> dict[str, str]:
    """Return the exported module's names of the tensors, by under20k's own or the user's."""
    if isinstance(network, Architecture):
        return {name: _plain(network, name) for name in network.tensors()}
    names: dict[str, str] = {}
    for name in network.tensors():
        plain = re.sub(r"\W", "_", name, flags=re.ASCII)
        if not plain.isidentifier() or keyword.iskeyword(plain) or plain in TAKEN:
            plain = f"tensor_{plain}"
        while plain in names.values():
            plain += "_"
        names[name] = plain
    return names


def _plain(architecture: Architecture, name: str) -> str:
    if name.startswith("head."):
        return name.replace("head.conv", "head")
    _, index, layer, part = name.split(".")
    number = int(index) + 1
    if layer == "batch_norm":
        return f"norm{number}.{part}"
    return f"bias{number}" if architecture.blocks[int(index)].shared else f"conv{number}.{part}"
