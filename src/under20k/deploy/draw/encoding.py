"""Scripts and weights as text, small: ``page/unpack.js`` and ``page/weights.js`` decode it.

A text is bytes, deflated, in base 85. Those of weights are whole numbers, by planes: the lowest byte of each
number, then the next one of each, so that deflate finds the upper bytes alike. Signs go to the lowest bit.

Weights are whole numbers of steps. A step is a power of two for each row of a tensor: for the weights of one
output channel, 2¹⁸ steps are about their root mean square, so that a logit moves by less than 1e-4; a vector
(biases, BatchNorm) is one row, with 2³⁰ steps to its largest value, about the precision of float32. The
exponents of the steps come first, a byte each.

A film is the differences from epoch to epoch, from the last one backwards, in larger steps: of kernels 2¹⁴
times, of vectors 2²⁰. That moves logits by 0.07 (bfloat16: by 0.02), in a quarter of bfloat16's size. Steps
are larger still where an epoch had weights beside which the last ones are tiny. Its own exponents come first,
too.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from under20k.recipe.weights import Tensors

STEPS, VECTOR_STEPS = 18, 30
"""Steps to a row's root mean square, and to a vector's largest value, as powers of two."""
COARSER, VECTOR_COARSER = 14, 20
"""By which powers of two a film's steps are larger."""
MOST_FILM_STEPS = 29
"""Of a weight, as a power of two: the difference of two, with its sign, takes 31 bits of 32."""
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
    rows = _Rows.of(weights)
    return _text([_bytes(rows.exponents), *_planes(rows.steps(rows.exponents))])


def encoded_film(last: Tensors, epochs: Sequence[Tensors]) -> str:
    """Return the weights of the epochs before the last one as text, the latest first."""
    rows = _Rows.of(last)
    earlier = [_Rows.of({name: weights[name] for name in last}) for weights in reversed(epochs)]
    largest = np.max([each.largest for each in (rows, *earlier)], axis=0)
    coarse = rows.exponents + np.where(rows.vector, VECTOR_COARSER, COARSER)
    coarse = np.maximum(coarse, np.frexp(largest)[1] - MOST_FILM_STEPS).clip(*EXPONENTS)
    parts = [_bytes(coarse)]
    following = rows.decoded().steps(coarse)
    for each in earlier:
        steps = each.steps(coarse)
        parts += _planes(steps - following)
        following = steps
    return _text(parts)


@dataclass(frozen=True, eq=False)
class _Rows:
    """Weights, and the rows that have a step of their own: R rows of N weights in all."""

    values: NDArray[np.float64]
    """(N,)."""
    sizes: Integers
    """(R,)."""
    vector: NDArray[np.bool_]
    """(R,): whether the row is a tensor of one dimension."""

    @classmethod
    def of(cls, weights: Tensors) -> _Rows:
        """Return the rows of tensors, in their order."""
        values = list(weights.values())
        counts = [1 if value.ndim < 2 else len(value) for value in values]
        sizes = [value.size // count for value, count in zip(values, counts, strict=True)]
        return cls(
            np.concatenate([value.ravel() for value in values]).astype(np.float64),
            np.repeat(sizes, counts),
            np.repeat([value.ndim < 2 for value in values], counts),
        )

    @property
    def largest(self) -> NDArray[np.float64]:
        """Return the largest size of a weight of each row, (R,)."""
        sizes: NDArray[np.float64] = np.maximum.reduceat(np.abs(self.values), self._starts)
        return sizes

    @property
    def exponents(self) -> Integers:
        """Return the exponents of the rows' steps, (R,)."""
        mean = np.sqrt(np.add.reduceat(self.values**2, self._starts) / self.sizes)
        size = np.where(self.vector, self.largest, mean)
        # frexp's exponent is that of the power of two above.
        exponents = np.frexp(size)[1] - np.where(self.vector, VECTOR_STEPS, STEPS + 1)
        clipped: Integers = np.where(size > 0, exponents.clip(*EXPONENTS), EXPONENTS[0])
        return clipped

    @property
    def _starts(self) -> Integers:
        starts: Integers = np.cumsum(self.sizes) - self.sizes
        return starts

    def steps(self, exponents: Integers) -> Integers:
        """Return the weights in steps, (N,), rounded as JavaScript's ``Math.round`` does."""
        steps = np.floor(np.ldexp(self.values, -np.repeat(exponents, self.sizes)) + 0.5)
        whole: Integers = steps.astype(np.int64)
        return whole

    def decoded(self) -> _Rows:
        """Return the weights as the page decodes them, in float32."""
        own = self.exponents
        values = np.ldexp(self.steps(own).astype(np.float64), np.repeat(own, self.sizes)).astype(np.float32)
        return replace(self, values=values.astype(np.float64))


def _bytes(exponents: Integers) -> bytes:
    return exponents.astype(np.int8).tobytes()


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
