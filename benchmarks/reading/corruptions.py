"""The fifteen corruptions of MNIST's robustness benchmark, MNIST-C (Mu & Gilmer, arXiv:1906.02337).

Written from the descriptions in that paper. The strengths are our own: figures are comparable with each
other, not with other tables. Each function takes images (N, 28, 28) in 0–1 and a generator.
"""

from __future__ import annotations

from collections.abc import Callable
from zlib import crc32

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

Images = NDArray[np.floating]
SIDE = 28
PHOTONS = 5
"""That a white pixel receives, in shot noise."""
FLIPPED = 0.15
"""The fraction of pixels that impulse noise makes black or white."""
DISPLACED = 1
"""Pixels by which glass moves light."""
MOTION = 7
"""Pixels over which motion smears."""
SHEAR = 0.4
SCALE = 0.5, 0.75
ROTATION_DEGREES = 20.0, 40.0
BRIGHTER = 0.5
TRANSLATION = 2.0, 4.0
"""Pixels, in each direction."""
STRIPE = 5
"""Columns."""
FOG = 0.8
"""Of the fog where it is thickest, relative to white."""
SPATTERED = 0.1
"""The fraction of the image that splotches cover."""
LINE_WIDTH = 1.0


def shot_noise(images: Images, rng: Generator) -> Images:
    """Count photons."""
    return (rng.poisson(images * PHOTONS) / PHOTONS).astype(np.float32)


def impulse_noise(images: Images, rng: Generator) -> Images:
    """Make pixels black or white, at random."""
    flipped = rng.random(images.shape) < FLIPPED
    return np.where(flipped, rng.integers(0, 2, images.shape), images).astype(np.float32)


def glass_blur(images: Images, rng: Generator) -> Images:
    """Let each pixel show one nearby, after and before a slight blur."""
    blurred = ndimage.gaussian_filter(images, (0, 0.7, 0.7))
    index = np.indices(images.shape)
    for axis in (1, 2):
        moved = index[axis] + rng.integers(-DISPLACED, DISPLACED + 1, images.shape)
        index[axis] = np.clip(moved, 0, SIDE - 1)
    return np.asarray(ndimage.gaussian_filter(blurred[tuple(index)], (0, 0.5, 0.5)))


def motion_blur(images: Images, rng: Generator) -> Images:
    """Average along a line through each pixel, in a direction of the image's own."""
    angles = rng.uniform(0, np.pi, len(images))
    steps = np.arange(MOTION) - MOTION // 2
    smeared = [
        sum(ndimage.shift(image, (step * np.sin(angle), step * np.cos(angle)), order=1) for step in steps)
        for image, angle in zip(images, angles, strict=True)
    ]
    return np.stack(smeared) / MOTION


def shear(images: Images, rng: Generator) -> Images:
    """Slant to the left or right."""
    slants = SHEAR * _signs(rng, len(images))
    return _affine(images, np.stack([_matrix(1, 0, slant, 1) for slant in slants]))


def scale(images: Images, rng: Generator) -> Images:
    """Shrink."""
    factors = rng.uniform(*SCALE, len(images))
    return _affine(images, np.stack([_matrix(1 / factor, 0, 0, 1 / factor) for factor in factors]))


def rotate(images: Images, rng: Generator) -> Images:
    """Rotate to the left or right."""
    angles = np.radians(rng.uniform(*ROTATION_DEGREES, len(images))) * _signs(rng, len(images))
    cosines, sines = np.cos(angles), np.sin(angles)
    return _affine(images, np.stack([_matrix(c, s, -s, c) for c, s in zip(cosines, sines, strict=True)]))


def brightness(images: Images, rng: Generator) -> Images:
    """Brighten everything, the ink up to white."""
    return images + np.float32(BRIGHTER)


def translate(images: Images, rng: Generator) -> Images:
    """Move along both axes."""
    size = len(images), 2
    return _affine(
        images, np.tile(np.eye(2), (len(images), 1, 1)), rng.uniform(*TRANSLATION, size) * _signs(rng, *size)
    )


def stripe(images: Images, rng: Generator) -> Images:
    """Invert a vertical stripe in the middle."""
    striped = images.copy()
    first = (SIDE - STRIPE) // 2
    striped[:, :, first : first + STRIPE] = 1 - striped[:, :, first : first + STRIPE]
    return striped


def fog(images: Images, rng: Generator) -> Images:
    """Veil with clouds: noise whose amplitude falls with its frequency."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])
    frequency[0, 0] = np.inf
    noise = np.fft.rfft2(rng.standard_normal(images.shape)) / frequency**1.5
    clouds = np.fft.irfft2(noise, s=(SIDE, SIDE))
    clouds -= clouds.min((1, 2), keepdims=True)
    clouds *= FOG / clouds.max((1, 2), keepdims=True)
    return ((images + clouds) / (1 + FOG)).astype(np.float32)


def spatter(images: Images, rng: Generator) -> Images:
    """Hide small regions below splotches."""
    thickness = ndimage.gaussian_filter(rng.standard_normal(images.shape), (0, 1.2, 1.2))
    least = np.quantile(thickness, 1 - SPATTERED, (1, 2), keepdims=True)
    return np.where(thickness > least, np.float32(0.7), images)


def dotted_line(images: Images, rng: Generator) -> Images:
    """Draw a dotted line across, in any direction."""
    along, across = _axes(len(images), rng)
    dots = np.hypot((along + 1.5) % 3 - 1.5, across)
    return np.maximum(images, _drawn(dots))


def zigzag(images: Images, rng: Generator) -> Images:
    """Draw a zigzag across, in any direction."""
    along, across = _axes(len(images), rng)
    height = np.abs((along + 3) % 12 - 6) - 3  # between -3 and 3, with slopes of ±1
    return np.maximum(images, _drawn((across - height) / np.sqrt(2)))


def canny_edges(images: Images, rng: Generator) -> Images:
    """Keep edges only: Canny's detector, a blur of 1 pixel, thresholds of 0.1 and 0.2."""
    blurred = ndimage.gaussian_filter(images, (0, 1, 1))
    slopes = [ndimage.sobel(blurred, axis) / 4 for axis in (1, 2)]
    strength = np.hypot(*slopes)
    # The neighbour on either side, in the direction of the slope out of four.
    eighths = np.round(np.arctan2(*slopes) / (np.pi / 4)).astype(int) % 4
    ridge = np.zeros(images.shape, bool)
    for eighth, (down, right) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        either = [np.roll(strength, (sign * down, sign * right), (1, 2)) for sign in (1, -1)]
        ridge |= (eighths == eighth) & (strength >= either[0]) & (strength > either[1])
    weak, strong = ridge & (strength > 0.1), ridge & (strength > 0.2)
    touching = np.zeros((3, 3, 3))
    touching[1] = 1
    return np.asarray(ndimage.binary_propagation(strong, touching, weak), np.float32)


CORRUPTIONS: dict[str, Callable[[Images, Generator], Images]] = {
    "shot noise": shot_noise,
    "impulse noise": impulse_noise,
    "glass blur": glass_blur,
    "motion blur": motion_blur,
    "shear": shear,
    "scale": scale,
    "rotate": rotate,
    "brightness": brightness,
    "translate": translate,
    "stripe": stripe,
    "fog": fog,
    "spatter": spatter,
    "dotted line": dotted_line,
    "zigzag": zigzag,
    "Canny edges": canny_edges,
}


def corrupted(name: str, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return corrupted images, uint8 (N, 28, 28): the same for the same name and images."""
    changed = CORRUPTIONS[name](images.astype(np.float32) / 255, np.random.default_rng(crc32(name.encode())))
    return np.rint(np.clip(changed, 0, 1) * 255).astype(np.uint8)


def _signs(rng: Generator, *size: int) -> NDArray[np.float64]:
    return rng.choice([-1.0, 1.0], size)


def _matrix(*entries: float) -> NDArray[np.float64]:
    return np.array(entries).reshape(2, 2)


def _affine(
    images: Images, matrices: NDArray[np.float64], moves: NDArray[np.float64] | None = None
) -> Images:
    """Return images whose pixel at ``p`` shows the one at ``matrix · (p - c) + c + move``, c the centre."""
    centre = np.full(2, (SIDE - 1) / 2)
    if moves is None:
        moves = np.zeros((len(images), 2))
    return np.stack(
        [
            ndimage.affine_transform(image, matrix, centre - matrix @ centre + move, order=1)
            for image, matrix, move in zip(images, matrices, moves, strict=True)
        ]
    )


def _axes(images: int, rng: Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each pixel's position along and across a random line near the centre, both (N, 28, 28)."""
    angles = rng.uniform(0, np.pi, (images, 1, 1))
    rows, columns = np.indices((SIDE, SIDE))[:, None] - (SIDE - 1) / 2
    along = columns * np.cos(angles) + rows * np.sin(angles) + rng.uniform(0, 12, (images, 1, 1))
    across = rows * np.cos(angles) - columns * np.sin(angles) + rng.uniform(-4, 4, (images, 1, 1))
    return along, across


def _drawn(distance: NDArray[np.float64]) -> Images:
    """Return the brightness of ink at a distance in pixels from a line's middle, its edge a pixel wide."""
    return np.clip(LINE_WIDTH / 2 + 0.5 - np.abs(distance), 0, 1).astype(np.float32)
