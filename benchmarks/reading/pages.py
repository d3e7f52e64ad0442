"""Draw pages of handwritten digits whose boxes, values and reading order are known."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from benchmarks.reading import paper
from benchmarks.reading.writing import PENS, Pen, Writer
from under20k.data.images.segment import Box
from under20k.data.mnist import Split

KINDS = (
    *("plain", "light", "noise", "ruled", "squared", "show-through", "border", "touching", "broken"),
    *("tilted", "blackboard", "photo", "form", "postcodes", "thin", "thick"),
)
BLANKS = ("plain", "light", "noise", "ruled", "squared", "show-through", "border", "blackboard", "photo")


@dataclass(frozen=True)
class Written:
    """A digit of a page."""

    value: int
    box: Box
    line: int


@dataclass
class Page:
    """A page and what is written on it, in reading order."""

    kind: str
    picture: NDArray[np.uint8] = field(repr=False)
    """(H, W) luminance."""
    digits: list[Written]


def pages(kind: str, split: Split, amount: int, seed: int) -> Iterator[Page]:
    """Draw pages of a kind with digits of a split; equal seeds draw equal pages."""
    for number in range(amount):
        yield page(kind, split, np.random.default_rng([seed, KINDS.index(kind), number]))


def page(kind: str, split: Split, random: np.random.Generator) -> Page:
    """Draw a page of one of ``KINDS``, with digits of a split."""
    height = float(np.exp(random.uniform(np.log(20), np.log(200))))
    writer = Writer(random, split, height, _pen(kind, random))
    shape = _shape(random, height, kind)
    ink = np.zeros(shape, np.float32)
    digits = [Written(*each) for each in writer.write(ink, kind)]
    picture = _paper(kind, random, shape, height, writer)
    picture = picture * (1 - ink * _darkness(random, kind))
    picture, corners = _taken(kind, random, picture)
    if corners is not None:
        digits = [Written(each.value, _moved(each.box, corners), each.line) for each in digits]
    return Page(kind, np.clip(np.rint(picture), 0, 255).astype(np.uint8), digits)


def blank(kind: str, split: Split, seed: int) -> Page:
    """Draw a page of one of ``BLANKS`` with nothing on it."""
    random = np.random.default_rng([seed, 1000 + KINDS.index(kind)])
    height = float(np.exp(random.uniform(np.log(20), np.log(200))))
    writer = Writer(random, split, height, _pen(kind, random))
    shape = _shape(random, height, kind)
    picture, _ = _taken(kind, random, _paper(kind, random, shape, height, writer))
    return Page(kind, np.clip(np.rint(picture), 0, 255).astype(np.uint8), [])


def _pen(kind: str, random: np.random.Generator) -> Pen:
    if kind in PENS:
        return PENS[kind]
    return Pen(level=random.uniform(0.35, 0.6), grown=0)


def _shape(random: np.random.Generator, height: float, kind: str) -> tuple[int, int]:
    rows, columns = (1, 6) if kind == "postcodes" and random.random() < 0.3 else (4, 9)
    high = height * (rows * random.uniform(1.4, 2) + 1)
    wide = height * (columns * random.uniform(0.9, 1.4) + 1)
    return round(high), round(wide)


def _darkness(random: np.random.Generator, kind: str) -> float:
    return random.uniform(0.45, 0.95) if kind != "show-through" else random.uniform(0.6, 0.95)


def _paper(
    kind: str, random: np.random.Generator, shape: tuple[int, int], height: float, writer: Writer
) -> paper.Luminance:
    """Return the paper of a kind of page, whose digits are ``height`` pixels high."""
    sheet = paper.plain(random, shape)
    if kind in ("light", "photo"):
        sheet *= paper.light(random, shape)
    if kind in ("ruled", "squared"):
        pitch = height * (random.uniform(1.3, 2) if kind == "ruled" else random.uniform(0.6, 1.4))
        sheet *= paper.rules(random, shape, pitch, kind == "squared", random.uniform(0.1, 0.5))
    if kind == "show-through":
        sheet *= 1 - random.uniform(0.06, 0.22) * writer.other_side(shape)
    if kind == "border":
        sheet = paper.scan_border(random, sheet * paper.fold(random, shape), max(3, round(height * 0.35)))
    if kind == "form":
        sheet *= writer.boxes(shape)
    return sheet


def _taken(
    kind: str, random: np.random.Generator, picture: paper.Luminance
) -> tuple[paper.Luminance, NDArray[np.float64] | None]:
    """Return a page as the camera or the scanner gave it, and what takes its pixels to their new position."""
    if kind == "noise":
        return paper.specks(random, picture + paper.noise(random, picture.shape)), None
    if kind == "blackboard":
        dark = 255 - picture * random.uniform(0.75, 0.95) + random.normal(0, 4, picture.shape)
        return dark.astype(np.float32), None
    if kind != "photo":
        return ndimage.gaussian_filter(picture, random.uniform(0, 0.7)), None
    high, wide = picture.shape
    corners = np.array([(0, 0), (wide, 0), (wide, high), (0, high)], float)
    moved = corners + random.uniform(-0.03, 0.03, (4, 2)) * (wide, high)
    there, back = _homography(corners, moved), _homography(moved, corners)
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).transform(
        (wide, high),
        Image.Transform.PERSPECTIVE,
        list(back.ravel()[:8]),
        Image.Resampling.BICUBIC,
        fillcolor=round(float(np.median(picture))),
    )
    noisy = np.asarray(image, np.float32) + random.normal(0, random.uniform(2, 6), picture.shape)
    file = io.BytesIO()
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(
        file, "jpeg", quality=int(random.integers(35, 90))
    )
    return np.asarray(Image.open(file), np.float32), there


def _homography(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (3, 3) matrix that takes four points (x, y) to four others."""
    rows, values = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [(x, y, 1, 0, 0, 0, -u * x, -u * y), (0, 0, 0, x, y, 1, -v * x, -v * y)]
        values += [u, v]
    return np.append(np.linalg.solve(np.array(rows), np.array(values)), 1).reshape(3, 3)


def _moved(box: Box, matrix: NDArray[np.float64]) -> Box:
    corners = np.array([(x, y, 1) for x in (box.left, box.right) for y in (box.top, box.bottom)], float)
    points = corners @ matrix.T
    x, y = points[:, 0] / points[:, 2], points[:, 1] / points[:, 2]
    return Box(round(x.min()), round(y.min()), round(x.max()), round(y.max()))
