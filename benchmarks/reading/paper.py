"""Draw paper: light, noise, lines, borders, what shows through; luminance float32 (H, W) in 0–255."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Luminance = NDArray[np.float32]
Shape = tuple[int, int]


def plain(random: np.random.Generator, shape: Shape) -> Luminance:
    """Return even paper with a slight grain."""
    paper = random.normal(random.uniform(205, 250), random.uniform(0.5, 2), shape)
    return paper.astype(np.float32)


def light(random: np.random.Generator, shape: Shape) -> Luminance:
    """Return what uneven light and the edge of a shadow leave of the brightness, a factor per pixel."""
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    angle = random.uniform(0, 2 * np.pi)
    across = np.cos(angle) * columns / shape[1] + np.sin(angle) * rows / shape[0]
    across = (across - across.min()) / np.ptp(across)
    factor = 1 - random.uniform(0.25, 0.55) * across
    angle = random.uniform(0, 2 * np.pi)
    distance = np.cos(angle) * (columns - shape[1] * random.uniform(0.3, 0.7)) + np.sin(angle) * (
        rows - shape[0] * random.uniform(0.3, 0.7)
    )
    softness = max(shape) * random.uniform(0.003, 0.04)
    shadow = 1 / (1 + np.exp(np.clip(-distance / softness, -50, 50)))
    shaded: Luminance = (factor * (1 - random.uniform(0.15, 0.45) * shadow)).astype(np.float32)
    return shaded


def noise(random: np.random.Generator, shape: Shape) -> Luminance:
    """Return noise to be added: of a normal or a heavier-tailed distribution, white or blotched."""
    sigma = random.uniform(4, 14)
    heavy = random.random() < 0.5
    drawn = random.laplace(0, sigma / 1.4, shape) if heavy else random.normal(0, sigma, shape)
    blotches = random.normal(0, 1, (shape[0] // 6 + 2, shape[1] // 6 + 2))
    blotches = ndimage.zoom(blotches, 6, order=1)[: shape[0], : shape[1]] * random.uniform(0, 3)
    both: Luminance = (drawn + blotches).astype(np.float32)
    return both


def specks(random: np.random.Generator, picture: Luminance) -> Luminance:
    """Return the picture with salt and pepper and with dust of up to a few pixels."""
    picture = picture.copy()
    fraction = random.uniform(0.0005, 0.01)
    drawn = random.random(picture.shape)
    picture[drawn < fraction] = 0
    picture[drawn > 1 - fraction] = 255
    for _ in range(random.integers(10, 60)):
        row, column = (random.integers(0, side) for side in picture.shape)
        radius = random.integers(1, 3)
        picture[row : row + radius + 1, column : column + radius] *= random.uniform(0.2, 0.6)
    return picture


def rules(random: np.random.Generator, shape: Shape, pitch: float, squared: bool, fading: float) -> Luminance:
    """Return what ruled or squared paper leaves of the brightness; lines take away ``fading`` of it."""
    factor = np.ones(shape, np.float32)
    width = max(1, round(pitch * random.uniform(0.01, 0.04)))
    tilt = random.uniform(-0.01, 0.01)
    for axis in (0, 1) if squared else (0,):
        along = np.arange(shape[1 - axis])
        for start in np.arange(pitch * random.uniform(0.3, 1), shape[axis], pitch):
            across = np.rint(start + along * tilt * (1 if axis else -1)).astype(int)
            for thick in range(width):
                inside = (across + thick >= 0) & (across + thick < shape[axis])
                where = (across[inside] + thick, along[inside])
                factor[where if axis == 0 else where[::-1]] = 1 - fading * random.uniform(0.9, 1)
    return factor


def scan_border(random: np.random.Generator, picture: Luminance, width: int) -> Luminance:
    """Return the picture with dark, ragged borders at some of its edges, at most ``width`` pixels wide."""
    picture = picture.copy()
    for edge in random.permutation(4)[: random.integers(1, 4)]:
        turned = np.rot90(picture, edge)
        ragged = width * random.uniform(0.3, 0.8) + np.cumsum(random.normal(0, 0.3, turned.shape[1]))
        dark = np.arange(turned.shape[0])[:, None] < np.clip(ragged, 1, width)
        turned[dark] = random.uniform(5, 50) + random.normal(0, 4, int(dark.sum()))
    return picture


def fold(random: np.random.Generator, shape: Shape) -> Luminance:
    """Return what a fold leaves of the brightness: a soft dark line beside a bright one."""
    axis = int(random.integers(2))
    position = np.arange(shape[axis]) - shape[axis] * random.uniform(0.3, 0.7)
    width = max(shape) * random.uniform(0.001, 0.004)
    profile = 1 - random.uniform(0.1, 0.3) * np.exp(-((position / width) ** 2))
    profile = profile + 0.05 * np.exp(-(((position - 3 * width) / width) ** 2))
    return np.broadcast_to(profile[:, None] if axis == 0 else profile[None], shape).astype(np.float32)
