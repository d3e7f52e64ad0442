"""Scripts and weights as text, small: ``page/unpack.js`` and ``page/weights.js`` decode it.

A text is bytes, deflated, in base 85. Those of weights are whole numbers, by planes: the lowest byte of each
number, then the next one of each, so that deflate finds the upper bytes alike. Signs go to the lowest bit.

Weights are whole numbers of steps. A step is a power of two for each row of a tensor: for the weights of one
output channel, 2¹⁸ steps are about their root mean square, so that a logit moves by less than 1e-4; a vector
(biases, BatchNorm) is one row, with 2³⁰ steps to its largest value, about the precision of float32. The
exponents of the steps come first, a byte each.

A film is the differences from epoch to epoch, from the last one backwards, in larger steps: of kernels 2¹³
times, of vectors 2²⁰. That moves logits by 0.05 (bfloat16: by 0.02), in a third of bfloat16's size. Its own
exponents come first, too.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from under20k.recipe.weights import Tensors

STEPS, VECTOR_STEPS = 18, 30
"""Steps to a row's root mean square, and to a vector's largest value, as powers of two."""
COARSER, VECTOR_COARSER = 13, 20
"""By which powers of two a film's steps are larger."""
EXPONENTS = (-128, 127)
PLANES = 4
UNSAFE = "\"$%&'<>\\`"
"""Printable characters that mean something in HTML, JSON or JavaScript; the other 85 are the digits."""
DIGITS = "".join(chr(code) for code in range(33, 127) if chr(code) not in UNSAFE)
# Python's alphabet of base 85.
STANDARD = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"

END = b"\x03\x00"
"""An empty block of deflate, the last one."""

Integers = NDArray[np.int64]


def encoded_text(text: str) -> str:
    """Return a text deflated."""
    return _text([text.encode()])


def decoded_text(text: str) -> str:
    """Invert ``encoded_text``. Raises ValueError or zlib.error for anything else."""
    deflated = base64.b85decode(text.translate(str.maketrans(DIGITS, STANDARD)))
    return zlib.decompress(deflated, -zlib.MAX_WBITS).decode()


def encoded_json(value: Any) -> str:
    """Return plain values as text."""
    return encoded_text(json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False))


def encoded_weights(weights: Tensors) -> str:
    """Return weights as text, one tensor after the other."""
    exponents = _exponents(weights)
    return _text([_bytes(exponents), *_planes(_steps(weights, exponents))])


def encoded_film(last: Tensors, epochs: Sequence[Tensors]) -> str:
    """Return the weights of the epochs before the last one as text, the latest first."""
    exponents = _exponents(last)
    coarse = [
        min(exponent + (VECTOR_COARSER if vector else COARSER), EXPONENTS[1])
        for exponent, (_, vector) in zip(exponents, _rows(last), strict=True)
    ]
    following = _steps(_rounded(last, exponents), coarse)
    parts = [_bytes(coarse)]
    for weights in reversed(epochs):
        steps = _steps({name: weights[name] for name in last}, coarse)
        parts += _planes(steps - following)
        following = steps
    return _text(parts)


def _rows(weights: Tensors) -> Iterator[tuple[NDArray[np.float64], bool]]:
    """Yield the rows of all tensors, and whether each is a vector."""
    for value in weights.values():
        vector = value.ndim < 2
        for row in value.reshape(1 if vector else len(value), -1):
            yield row.astype(np.float64), vector


def _exponents(weights: Tensors) -> list[int]:
    return [_exponent(row, vector) for row, vector in _rows(weights)]


def _exponent(row: NDArray[np.float64], vector: bool) -> int:
    size = float(np.abs(row).max() if vector else np.sqrt((row**2).mean()))
    if not size:
        return 0
    # frexp's exponent is that of the power of two above.
    exponent = math.frexp(size)[1] - (VECTOR_STEPS if vector else STEPS + 1)
    return min(max(exponent, EXPONENTS[0]), EXPONENTS[1])


def _bytes(exponents: Sequence[int]) -> bytes:
    return np.array(exponents, np.int8).tobytes()


def _steps(weights: Tensors, exponents: Sequence[int]) -> Integers:
    """Return weights in steps, (N,). They are rounded as JavaScript's ``Math.round`` does."""
    rows = zip(_rows(weights), exponents, strict=True)
    steps = [np.floor(np.ldexp(row, -exponent) + 0.5) for (row, _), exponent in rows]
    return np.concatenate(steps).astype(np.int64)


def _rounded(weights: Tensors, exponents: Sequence[int]) -> Tensors:
    """Return the weights as the page decodes them, in float32."""
    rounded: Tensors = {}
    ends = iter(exponents)
    for name, value in weights.items():
        rows = value.reshape(1 if value.ndim < 2 else len(value), -1).astype(np.float64)
        decoded = [np.ldexp(np.floor(np.ldexp(row, -e) + 0.5), e) for row in rows for e in [next(ends)]]
        rounded[name] = np.stack(decoded).astype(np.float32).reshape(value.shape)
    return rounded


def _planes(numbers: Integers) -> list[bytes]:
    folded = ((numbers << 1) ^ (numbers >> 63)).astype("<u4")
    return [plane.tobytes() for plane in folded.view(np.uint8).reshape(-1, PLANES).T]


def _text(parts: Sequence[bytes]) -> str:
    """Return bytes deflated, in base 85, in ``DIGITS``."""
    # Each part is deflated by itself, so that it has a Huffman code of its own, up to a flush.
    deflated = b"".join(map(_deflated, parts)) + END
    return base64.b85encode(deflated).decode().translate(str.maketrans(STANDARD, DIGITS))


def _deflated(part: bytes) -> bytes:
    """Return blocks of deflate, none of them the last, by the strategy that makes them smallest."""
    found = []
    for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE):
        deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9, strategy)
        found.append(deflate.compress(part) + deflate.flush(zlib.Z_FULL_FLUSH))
    return min(found, key=len)
