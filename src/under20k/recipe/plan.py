"""The random choices of one epoch, all drawn before it starts.

This makes an epoch a pure function of (weights, optimiser state, data, plan): a run resumes at any epoch to
the same bits, and two engines can be compared step by step.

Shapes: N images of the epoch, S steps, E elements of one image's activations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from under20k.errors import InvalidValue
from under20k.recipe.filters import draw_filters
from under20k.recipe.recipe import Recipe
from under20k.recipe.seeds import check_seed
from under20k.recipe.transforms import draw_grids, draw_matrices


@dataclass(frozen=True)
class EpochPlan:
    """Everything an engine needs to train an epoch, except weights and data."""

    epoch: int
    """Counted from 1."""
    batch_size: int
    order: NDArray[np.int32]
    """(N,) The image at each position of the epoch. Batch b starts at b · batch_size.

    A permutation of MNIST's training images; but where the recipe trains on drawn digits, the last positions
    of each batch have some of those, which follow MNIST's images.
    """
    matrices: NDArray[np.int32] | None
    """(N, 2, 3) Affine matrix, output to input, for each position; None if images are not transformed.

    In 16.16 fixed point: the centre of output pixel (x, y) comes from input point
    (m00·x + m01·y + m02, m10·x + m11·y + m12) / 65536, where pixel (i, j) covers [i, i+1) × [j, j+1).
    Nearest sampling takes the pixel that covers the point; bilinear sampling the four whose centres
    surround it; outside the image is background, 0. Integers make every engine land on the same pixel;
    Pillow rotates by the same ones.
    """
    grids: NDArray[np.int16] | None
    """(N, 2, 8, 8) Control grid of the elastic deformation for each position; None if there is none.

    ``transforms.displacements`` of it is added to the input point that the matrix gives.
    """
    filters: NDArray[np.int16] | None
    """(N, 3) What ``filters.filtered`` does to the image at each position after that; None for nothing.

    Change of the stroke width in 1/256 pixel; side of the low resolution in pixels, or 0 for none;
    ``BITMAP_FIRST`` or ``BITMAP_LOW`` for black and white, or 0. Filters take whole grey levels: with them,
    bilinear sampling cuts its fractions to 8 bits and rounds to whole levels, all in integers.
    """
    bilinear: bool
    learning_rates: NDArray[np.float64]
    """(S,) Learning rate of each step."""
    dropout_seed: int
    """32-bit seed from which ``dropout_keep`` computes every mask of the epoch."""

    @property
    def steps(self) -> int:
        """Count the batches, a shorter last one included."""
        return len(self.learning_rates)


def epoch_plan(recipe: Recipe, seed: int, epoch: int, images: int, drawn: int = 0) -> EpochPlan:
    """Draw the plan of one epoch.

    Args:
        recipe: supplies batch size, augmentation and learning rates.
        seed: the run's seed.
        epoch: counted from 1.
        images: MNIST's training images; N.
        drawn: drawn digits, which follow them; above 0 if the recipe trains on any.

    Raises:
        InvalidValue: where a batch would be too small for the architecture's BatchNorm.
    """
    if recipe.drawn_share and drawn <= 0:
        raise ValueError(f"{recipe.name} trains on drawn digits, but the plan has none to choose from")
    check_batches(recipe, images)
    # One stream each, so that the order of the images does not depend on the augmentation: runs of two
    # recipes with the same seed are paired.
    streams = np.random.SeedSequence([check_seed(seed), epoch]).spawn(6)
    order, transforms, dropout, elastic, filters, bank = map(np.random.default_rng, streams)
    augmentation = recipe.augmentation.in_epoch(epoch, recipe.epochs)
    steps = -(-images // recipe.batch_size)
    first = (epoch - 1) * steps
    chosen = order.permutation(images).astype(np.int32)
    if recipe.drawn_share:
        positions = drawn_positions(recipe, images)
        chosen[positions] = images + _passes(drawn, len(positions), bank)
    return EpochPlan(
        epoch=epoch,
        batch_size=recipe.batch_size,
        order=chosen,
        matrices=draw_matrices(augmentation, images, transforms),
        grids=draw_grids(augmentation.elastic_px, images, elastic) if augmentation.elastic_px else None,
        filters=draw_filters(augmentation, images, filters),
        bilinear=augmentation.interpolation == "bilinear",
        learning_rates=np.array(
            [recipe.learning_rate_at(first + step, steps) for step in range(steps)], np.float64
        ),
        dropout_seed=int(dropout.integers(2**32)),
    )


def drawn_positions(recipe: Recipe, images: int) -> NDArray[np.intp]:
    """Return the positions of an epoch of so many images that have drawn digits: the last of each batch.

    Every batch has its fraction, up to rounding, and so has the epoch.
    """
    ends = np.minimum(np.arange(0, images + recipe.batch_size, recipe.batch_size), images)
    counts = np.diff(np.floor(ends * recipe.drawn_share)).astype(np.intp)
    return np.concatenate([np.arange(end - n, end) for end, n in zip(ends[1:], counts, strict=True)])


def _passes(size: int, count: int, generator: np.random.Generator) -> NDArray[np.int32]:
    """Return ``count`` numbers below ``size``: shuffled passes over all of them, the last cut short."""
    passes = [generator.permutation(size) for _ in range(-(-count // size))]
    return np.concatenate([np.empty(0, np.int32), *passes])[:count].astype(np.int32)


def check_batches(recipe: Recipe, images: int) -> None:
    """Raise InvalidValue where a batch of one image leaves BatchNorm a single value per channel."""
    if (images % recipe.batch_size or recipe.batch_size) > 1:
        return
    for layer in recipe.architecture.layers():
        if layer.kind.startswith("BatchNorm") and layer.shape[1:] in ((1, 1), ()):
            what = "a 1×1 feature map" if len(layer.shape) == 3 else "features"
            raise InvalidValue(
                f"batch_size: {recipe.batch_size} leaves a batch of one out of {images} images, and "
                f"{layer.name} cannot normalise {what} over one image; choose another --batch-size"
            )


def dropout_keep(
    dropout_seed: int, layer: int, positions: NDArray[np.integer], elements: int, probability: float
) -> NDArray[np.bool_]:
    """Return the dropout mask, True for elements that are kept, (n, E).

    This defines the masks; engines compute the same ones with their own arithmetic.

    Args:
        dropout_seed: the plan's.
        layer: index of the block.
        positions: (n,) positions of the images in the epoch.
        elements: E, the number of an image's activations, counted in C, H, W order.
        probability: of dropping an element.
    """
    key = _mix(_mix(np.uint32(dropout_seed) ^ np.uint32(layer)) ^ positions.astype(np.uint32))
    element = _mix(np.arange(elements, dtype=np.uint32))
    return _mix(key[:, None] ^ element) >= np.uint32(dropout_threshold(probability))


def dropout_threshold(probability: float) -> int:
    """Return the 32-bit threshold below which a hash drops its element."""
    return min(round(probability * 2**32), 2**32 - 1)


MIX_FIRST, MIX_SECOND = 0x7FEB352D, 0x846CA68B


def _mix(value: NDArray[np.uint32] | np.uint32) -> NDArray[np.uint32]:
    """Hash 32-bit integers with little bias, by the constants "lowbias32" of C. Wellons' hash prospector.

    The final shift is omitted: only comparisons follow, and the high bits decide those.
    """
    mixed = np.atleast_1d(np.asarray(value, np.uint32))
    mixed = (mixed ^ (mixed >> np.uint32(16))) * np.uint32(MIX_FIRST)
    return (mixed ^ (mixed >> np.uint32(15))) * np.uint32(MIX_SECOND)
