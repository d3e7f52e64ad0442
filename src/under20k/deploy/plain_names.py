"""Names of a network's tensors in an exported PyTorch module, which numbers its layers from 1.

``blocks.0.conv.weight`` is ``conv1.weight`` there, ``blocks.0.batch_norm.bias`` is ``norm1.bias``, and
``head.conv.weight`` is ``head.weight``. The bias of a block that shares its weights is ``bias3``.
"""

from __future__ import annotations

from under20k.recipe.architecture import Architecture


def plain_names(architecture: Architecture) -> dict[str, str]:
    """Return the exported module's names of the tensors, by under20k's own."""
    return {name: _plain(architecture, name) for name in architecture.tensors()}


def _plain(architecture: Architecture, name: str) -> str:
    if name.startswith("head."):
        return name.replace("head.conv", "head")
    _, index, layer, part = name.split(".")
    number = int(index) + 1
    if layer == "batch_norm":
        return f"norm{number}.{part}"
    return f"bias{number}" if architecture.blocks[int(index)].shared else f"conv{number}.{part}"
