"""Architectures as a line of text: blocks separated by commas, the head after a bar.

    8,12p,14,16p,20v,24v|3v        the assignment's minimal model

A block is its number of channels, then any of these, in this order: ``k1`` ``k5`` ``k7`` (the kernel's side;
3×3 without it), ``/2`` (stride 2), ``g4`` (groups; ``g`` alone for one a channel: depthwise), ``v`` (padding
0, "valid"; otherwise the padding keeps the size), ``s`` (shares the weights of the block before; bias and
BatchNorm are its own), ``n`` (no BatchNorm), ``u`` (no bias), ``r`` (adds the block's input before the ReLU;
``r2`` that of the block before, and so on), ``p`` (2×2 max pooling), ``d0.05`` (dropout).
The head is ``3``, ``3v``, ``5``, ``5v``, ``7``, ``7v`` or ``1`` (a convolution to 10 feature maps, then
global average pooling) or ``l`` (global average pooling, then a 1×1 convolution), with ``u`` for no bias.

Blocks and heads are dictionaries of the fields of ``blocks.Conv`` and ``blocks.Head``.
"""

from __future__ import annotations

import re
from typing import Any

from under20k.errors import InvalidValue

Fields = dict[str, Any]

FLAGS = "k1 k5 k7 /2 g4 v s n u r p d0.05"
"""All that may follow a block's channels."""
BLOCK = re.compile(
    r"(?P<channels>\d{1,6})(?:k(?P<kernel>\d{1,2}))?(?P<stride>/2)?(?P<groups>g\d{0,6})?(?P<valid>v)?"
    r"(?P<shared>s)?(?P<bare>n)?(?P<unbiased>u)?(?P<residual>r(?:[1-9]\d?)?)?(?P<pool>p)?"
    r"(?:d(?P<dropout>\d*\.?\d+(?:e-\d+)?))?"
)
HEADS = {
    "l": (1, 0, True),
    "1": (1, 0, False),
    "3": (3, 1, False),
    "3v": (3, 0, False),
    "5": (5, 2, False),
    "5v": (5, 0, False),
    "7": (7, 3, False),
    "7v": (7, 0, False),
}
"""(kernel, padding, pool_first) of each head."""


def parse(text: str) -> tuple[list[Fields], Fields]:
    """Return the blocks and the head that ``text`` describes. Raises InvalidValue for a syntax error."""
    body, bar, head = text.replace(" ", "").partition("|")
    if not bar:
        raise InvalidValue(f"{text!r} has no head; end it with |3v, |3, |1 or |l")
    return [_parse_block(block) for block in body.split(",")], _parse_head(head)


def block_text(block: Fields) -> str:
    """Write a block, the inverse of ``parse``."""
    kernel, groups, residual = block["kernel"], block["groups"], block["residual"]
    return "".join(
        (
            str(block["channels"]),
            "" if kernel == 3 else f"k{kernel}",
            "/2" if block["stride"] == 2 else "",
            "" if groups == 1 else "g" if groups == block["channels"] else f"g{groups}",
            "v" if kernel > 1 and not block["padding"] else "",
            "s" if block["shared"] else "",
            "" if block["batch_norm"] else "n",
            "" if block["bias"] else "u",
            residual_text(residual) if residual else "",
            "p" if block["pool"] else "",
            f"d{dropout!r}" if (dropout := block["dropout"]) else "",
        )
    )


def residual_text(blocks: int) -> str:
    """Write a shortcut over so many blocks: ``r``, ``r2``."""
    return "r" if blocks == 1 else f"r{blocks}"


def head_text(head: Fields) -> str:
    """Write a head, the inverse of ``parse``."""
    window = (head["kernel"], head["padding"], head["pool_first"])
    return next(text for text, known in HEADS.items() if known == window) + ("" if head["bias"] else "u")


def _parse_block(text: str) -> Fields:
    match = BLOCK.fullmatch(text)
    if match is None:
        raise InvalidValue(
            f"block {text!r}: expected the number of channels, then any of {FLAGS} in that order"
        )
    found = match.groupdict()
    channels, kernel = int(found["channels"]), int(found["kernel"] or 3)
    return {
        "channels": channels,
        "kernel": kernel,
        "padding": 0 if found["valid"] else kernel // 2,
        "batch_norm": not found["bare"],
        "pool": bool(found["pool"]),
        "dropout": float(found["dropout"] or 0),
        "bias": not found["unbiased"],
        "shared": bool(found["shared"]),
        "stride": 2 if found["stride"] else 1,
        "groups": int(found["groups"][1:] or channels) if found["groups"] else 1,
        "residual": int(found["residual"][1:] or 1) if found["residual"] else 0,
    }


def _parse_head(text: str) -> Fields:
    window = text.removesuffix("u")
    if window not in HEADS:
        raise InvalidValue(f"head {text!r}: expected 3v, 3, 5v, 5, 7v, 7, 1 or l, followed by u for no bias")
    kernel, padding, pool_first = HEADS[window]
    return {"kernel": kernel, "padding": padding, "pool_first": pool_first, "bias": window == text}
