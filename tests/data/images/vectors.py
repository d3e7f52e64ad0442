"""Test vectors of docs/digit-image.md: ``python -m tests.data.images.vectors --write`` makes them again."""

import json
import sys
from pathlib import Path

import numpy as np
from scipy import ndimage

from under20k.data.images.digit_image import digit_image

PATH = Path(__file__).with_name("vectors.json")


def inks():
    """Return inks of many sizes and kinds, uint8 (H, W): strokes, blots, bitmaps, a lone pixel."""
    rng = np.random.default_rng(20)
    found = [np.full((1, 1), 255), np.full((20, 20), 200), np.eye(28) * 255, np.ones((8, 3)) * 16]
    for side, sigma, bitmap in [(s, b, k) for s in (8, 16, 28, 40) for b in (0.8, 1.5, 3) for k in (0, 1)]:
        field = ndimage.gaussian_filter(rng.normal(size=(side, side - rng.integers(4))), sigma)
        found.append((field > field.mean()) * 255 if bitmap else np.clip(field / field.max(), 0, 1) * 255)
    for height, width, thickness in ((40, 30, 1), (60, 60, 3), (100, 40, 12), (30, 90, 5), (110, 90, 30)):
        ink = np.zeros((height, width))
        times = np.linspace(0, 2 * np.pi, 400)
        rows = (height - 1) * (0.5 + 0.4 * np.sin(times + rng.normal()))
        columns = (width - 1) * (0.5 + 0.4 * np.sin(2 * times + rng.normal()))
        ink[rows.astype(int), columns.astype(int)] = 255
        found.append(ndimage.maximum_filter(ink, thickness))
    return [np.rint(ink).astype(np.uint8) for ink in found]


def text(plane):
    """Return rows of two hexadecimal digits a pixel."""
    return [bytes(row).hex() for row in plane.astype(np.uint8)]


def array(rows):
    """Return the plane of such text, uint8 (H, W)."""
    return np.array([list(bytes.fromhex(row)) for row in rows], np.uint8)


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    vectors = [{"ink": text(ink), "image": text(digit_image(ink))} for ink in inks()]
    PATH.write_text(json.dumps(vectors, separators=(",", ":")).replace('{"ink"', '\n{"ink"') + "\n")
