"""Architectures as a line of text: blocks separated by commas, the head after a bar.

    8,12p,14,16p,20v,24v|3v        the assignment's minimal model

A block is its number of channels, then any of ``k1`` (1×1 kernel; 3×3 without it), ``v`` (padding 0,
"valid"; otherwise the padding keeps the size), ``s`` (shares the weights of the block before; bias and
BatchNorm are its own), ``n`` (no BatchNorm), ``u`` (no bias), ``p`` (2×2 max pooling), ``d0.05`` (dropout).
The head is ``3``, ``3v`` or ``1`` (a convolution to 10 feature maps, then global average pooling) or ``l``
(global average pooling, then a 1×1 convolution), with ``u`` for no bias.

Blocks and heads are dictionaries of the fields of ``architecture.Conv`` and ``architecture.Head``.
"""

from __future__ import annotations

import re
from typing import Any

from under20k.errors import InvalidValue

Fields = dict[str, Any]

BLOCK = re.compile(r"(\d{1,6})(k1)?(v)?(s)?(n)?(u)?(p)?(?:d(\d*\.?\d+(?:e-\d+)?))?")
HEADS = {"l": (1, 0, True), "1": (1, 0, False), "3": (3, 1, False), "3v": (3, 0, False)}
"""(kernel, padding, pool_first) of each head."""


def parse(text: str) -> tuple[list[Fields], Fields]:
    """Return the blocks and the head that ``text`` describes. Raises InvalidValue for a syntax error."""
    body, bar, head = text.replace(" ", "").partition("|")
    if not bar:
        raise InvalidValue(f"{text!r} has no head; end it with |3v, |3, |1 or |l")
    return [_parse_block(block) for block in body.split(",")], _parse_head(head)


def block_text(block: Fields) -> str:
    """Write a block, the inverse of ``parse``."""
    window = "k1" if block["kernel"] == 1 else "" if block["padding"] else "v"
    return (
        f"{block['channels']}{window}{'s' if block['shared'] else ''}"
        f"{'' if block['batch_norm'] else 'n'}{'' if block['bias'] else 'u'}{'p' if block['pool'] else ''}"
        f"{f'd{dropout!r}' if (dropout := block['dropout']) else ''}"
    )


def head_text(head: Fields) -> str:
    """Write a head, the inverse of ``parse``."""
    window = (head["kernel"], head["padding"], head["pool_first"])
    return next(text for text, known in HEADS.items() if known == window) + ("" if head["bias"] else "u")


def _parse_block(text: str) -> Fields:
    match = BLOCK.fullmatch(text)
    if match is None:
        raise InvalidValue(
            f"block {text!r}: expected the number of channels, then any of k1 v s n u p d0.05 in that order"
        )
    channels, one, valid, shared, bare, unbiased, pool, dropout = match.groups()
    return {
        "channels": int(channels),
        "kernel": 1 if one else 3,
        "padding": 0 if one or valid else 1,
        "batch_norm": not bare,
        "pool": bool(pool),
        "dropout": float(dropout or 0),
        "bias": not unbiased,
        "shared": bool(shared),
    }


def _parse_head(text: str) -> Fields:
    window = text.removesuffix("u")
    if window not in HEADS:
        raise InvalidValue(f"head {text!r}: expected 3v, 3, 1 or l, followed by u for no bias")
    kernel, padding, pool_first = HEADS[window]
    return {"kernel": kernel, "padding": padding, "pool_first": pool_first, "bias": window == text}
