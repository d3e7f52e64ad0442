"""The random choices of one epoch, all drawn before it starts.

An epoch is thereby a pure function of (weights, optimiser state, data, plan): a run resumes at any epoch
to the same bits, and two engines can be compared step by step.

Shapes: N images of the epoch, S steps, E elements of one image's activations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from under20k.errors import InvalidValue
from under20k.recipe.architecture import IMAGE_SIDE
from under20k.recipe.recipe import Augmentation, Recipe
from under20k.recipe.transforms import draw_grids
from under20k.recipe.weights import check_seed

FIXED_ONE = 1 << 16  # coordinates are 16.16 fixed point


@dataclass(frozen=True)
class EpochPlan:
    """What an engine needs to know of an epoch beside weights and data."""

    epoch: int
    """Counted from 1."""
    batch_size: int
    order: NDArray[np.int32]
    """(N,) A permutation: the image at each position of the epoch. Batch b takes positions b·size onwards."""
    matrices: NDArray[np.int32] | None
    """(N, 2, 3) For each position, the map from output to input pixels; None where images stay as they are.

    In 16.16 fixed point: the centre of output pixel (x, y) comes from input point
    (m00·x + m01·y + m02, m10·x + m11·y + m12) / 65536, pixel (i, j) covering [i, i+1) × [j, j+1).
    Nearest sampling takes the pixel that covers the point; bilinear sampling the four whose centres
    surround it; outside the image lies background, 0. Whole numbers make every engine land on the same
    pixel, and are what Pillow uses for a rotation.
    """
    grids: NDArray[np.int16] | None
    """(N, 2, 8, 8) For each position, the control grid of its elastic deformation; None where there is none.

    What ``elastic.displacements`` makes of it is added to the point that the matrix gives.
    """
    bilinear: bool
    learning_rates: NDArray[np.float64]
    """(S,) The learning rate of each step."""
    dropout_seed: int
    """32 bits, from which ``dropout_keep`` gives every mask of the epoch."""

    @property
    def steps(self) -> int:
        """Number of batches, a shorter last one included."""
        return len(self.learning_rates)


def epoch_plan(recipe: Recipe, seed: int, epoch: int, images: int) -> EpochPlan:
    """The plan of ``epoch`` (counted from 1) for a training set of so many ``images``.

    Raises InvalidValue where a batch would be too small for the architecture's BatchNorm.
    """
    check_batches(recipe, images)
    # A stream for each, so that the order of the images is the same with any augmentation: runs of one seed
    # under two recipes are paired.
    streams = np.random.SeedSequence([check_seed(seed), epoch]).spawn(4)
    order, transforms, dropout, elastic = map(np.random.default_rng, streams)
    augmentation = recipe.augmentation.in_epoch(epoch, recipe.epochs)
    steps = -(-images // recipe.batch_size)
    first = (epoch - 1) * steps
    return EpochPlan(
        epoch=epoch,
        batch_size=recipe.batch_size,
        order=order.permutation(images).astype(np.int32),
        matrices=draw_matrices(augmentation, images, transforms),
        grids=draw_grids(augmentation.elastic_px, images, elastic) if augmentation.elastic_px else None,
        bilinear=augmentation.interpolation == "bilinear",
        learning_rates=np.array(
            [recipe.learning_rate_at(first + step, steps) for step in range(steps)], np.float64
        ),
        dropout_seed=int(dropout.integers(2**32)),
    )


def check_batches(recipe: Recipe, images: int) -> None:
    """Raise InvalidValue where a batch of one image leaves BatchNorm one value a channel, without spread."""
    if (images % recipe.batch_size or recipe.batch_size) > 1:
        return
    for layer in recipe.architecture.layers():
        if layer.kind == "BatchNorm2d" and layer.shape[1:] == (1, 1):
            raise InvalidValue(
                f"batch_size: {recipe.batch_size} makes a batch of one of {images} images, and {layer.name} "
                "cannot normalise a 1×1 map over one image; take another --batch-size"
            )


def draw_matrices(
    augmentation: Augmentation, images: int, generator: np.random.Generator
) -> NDArray[np.int32] | None:
    """One random map for each image, (N, 2, 3) as in ``EpochPlan.matrices``, or None if none is asked for."""
    if not augmentation.active:
        return None
    # Always five draws an image: widening one range leaves the others' values where they were.
    rotation, shift_x, shift_y, scale, shear = generator.uniform(-1, 1, (5, images))
    return affine_matrices(
        rotation_deg=rotation * augmentation.rotation_deg,
        shift_x_px=shift_x * augmentation.translation_px,
        shift_y_px=shift_y * augmentation.translation_px,
        scale=1 + scale * augmentation.scale,
        shear=shear * augmentation.shear,
    )


def affine_matrices(
    rotation_deg: NDArray[np.float64],
    shift_x_px: NDArray[np.float64],
    shift_y_px: NDArray[np.float64],
    scale: NDArray[np.float64],
    shear: NDArray[np.float64],
) -> NDArray[np.int32]:
    """Output-to-input maps, (N, 2, 3) in 16.16 fixed point, of images that are scaled, then sheared, then
    rotated (counter-clockwise) about their centre, then shifted (right and down). All arguments (N,).
    """
    angle = np.deg2rad(rotation_deg)
    cosine, sine = np.cos(angle), np.sin(angle)
    # The inverse of rotation · shear · scale; rows point down, so the rotation's signs are those of an
    # image's coordinates.
    linear = (
        np.stack([cosine - shear * sine, -sine - shear * cosine, sine, cosine], axis=-1).reshape(-1, 2, 2)
        / scale[:, None, None]
    )
    centre = IMAGE_SIDE / 2
    first_pixel = np.stack([0.5 - centre - shift_x_px, 0.5 - centre - shift_y_px], axis=-1)  # (N, 2)
    offset = centre + np.einsum("nij,nj->ni", linear, first_pixel)
    matrices = np.concatenate([linear, offset[..., None]], axis=-1)
    return np.floor(matrices * FIXED_ONE + 0.5).astype(np.int32)


def dropout_keep(
    dropout_seed: int, layer: int, positions: NDArray[np.integer], elements: int, probability: float
) -> NDArray[np.bool_]:
    """Which elements survive dropout, (n, E), for the images at n ``positions`` of the epoch.

    ``layer`` is the block's index; elements count through an image's activations in C, H, W order. This
    defines the masks; engines compute the same with their own arithmetic.
    """
    key = _mix(_mix(np.uint32(dropout_seed) ^ np.uint32(layer)) ^ positions.astype(np.uint32))
    element = _mix(np.arange(elements, dtype=np.uint32))
    return _mix(key[:, None] ^ element) >= np.uint32(dropout_threshold(probability))


def dropout_threshold(probability: float) -> int:
    """The 32-bit number below which a hash drops its element."""
    return min(round(probability * 2**32), 2**32 - 1)


MIX_FIRST, MIX_SECOND = 0x7FEB352D, 0x846CA68B


def _mix(value: NDArray[np.uint32] | np.uint32) -> NDArray[np.uint32]:
    """A 32-bit integer hash with little bias: the constants are "lowbias32" of C. Wellons' prospector.

    Its last shift is left out, for only comparisons follow, which the high bits decide.
    """
    mixed = np.atleast_1d(np.asarray(value, np.uint32))
    mixed = (mixed ^ (mixed >> np.uint32(16))) * np.uint32(MIX_FIRST)
    return (mixed ^ (mixed >> np.uint32(15))) * np.uint32(MIX_SECOND)
