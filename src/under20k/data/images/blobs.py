"""Connected ink of a page, and which of it may be digits or parts of digits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from under20k.data.images.page_ink import Mask, PageInk

FAINTEST_PAGE = 0.18
"""Darkness of the ink of a page at least."""
SOFT_PAGE, SOFT = 0.4, 3.5
"""Ink that is fainter than the first and whose edges are softer than so many pixels shows through."""

SOFT_EDGE = 0.06
"""Or softer than this fraction of a digit's height, in a picture that was enlarged."""
SMALLEST_DISC = 12
"""Pixels; anything that is smaller may look like a disc."""
NEAR, CRUMB = 4, 0.3
"""Ink of which more than the second fraction is no more pixels than the first from no paper is none."""

SHADE, BLURRED = 0.25, 0.1
"""Ink that is higher than the first fraction of the page is a shade if its edges are softer than the second
fraction of its height."""


@dataclass(frozen=True, eq=False)
class Blob:
    """Ink that belongs together; positions are pixels of the working size."""

    top: int
    left: int
    mask: Mask
    """(h, w): which pixels of the box belong to it."""
    level: float
    """Darkness of its ink."""

    @property
    def height(self) -> int:
        return len(self.mask)

    @property
    def width(self) -> int:
        return int(self.mask.shape[1])

    @property
    def bottom(self) -> int:
        return self.top + self.height

    @property
    def right(self) -> int:
        return self.left + self.width

    @property
    def area(self) -> int:
        return int(self.mask.sum())

    @property
    def size(self) -> int:
        return max(self.height, self.width)


def cropped(top: int, left: int, mask: Mask, level: float) -> Blob:
    """Return a blob without the empty rows and columns around it."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    mask = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Blob(top + int(rows[0]), left + int(columns[0]), mask, level)


def merged(blobs: list[Blob]) -> Blob:
    """Return one blob of several."""
    if len(blobs) == 1:
        return blobs[0]
    top, left = min(blob.top for blob in blobs), min(blob.left for blob in blobs)
    bottom, right = max(blob.bottom for blob in blobs), max(blob.right for blob in blobs)
    mask = np.zeros((bottom - top, right - left), bool)
    for blob in blobs:
        mask[blob.top - top : blob.bottom - top, blob.left - left : blob.right - left] |= blob.mask
    return Blob(top, left, mask, max(blob.level for blob in blobs))


def blobs_of(ink: PageInk) -> list[Blob]:
    """Return the connected ink of a page without noise, borders and what shows through."""
    labels, count = ndimage.label(ink.mask, np.ones((3, 3)))
    if not count:
        return []
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    smallest = max(3, 12 // ink.factor**2)
    near = _near(ink.outside)
    found = []
    for label, place in enumerate(ndimage.find_objects(labels), 1):
        if areas[label] < smallest or place is None:
            continue
        mask = labels[place] == label
        if ink.outside[place][mask].any() or (near is not None and near[place][mask].mean() > CRUMB):
            continue
        darkness = ink.darkness[place][mask]
        level = float(np.percentile(darkness, 80))
        found.append(Blob(place[0].start, place[1].start, mask, level))
    return found


def _near(outside: Mask) -> Mask | None:
    """Return what is up to ``NEAR`` pixels from no paper, None if all is paper."""
    if not outside.any():
        return None
    near: Mask = ndimage.maximum_filter(outside, 2 * NEAR + 1)
    return near


def without_discs(blobs: list[Blob]) -> list[Blob]:
    """Drop solid discs and squares, such as punched holes."""
    return [blob for blob in blobs if not _is_disc(blob)]


def _is_disc(blob: Blob) -> bool:
    low, high = sorted((blob.height, blob.width))
    if low < SMALLEST_DISC or high > 1.3 * low or blob.area < 0.7 * low * high:
        return False
    # The circle that fits in.
    return bool(ndimage.distance_transform_edt(np.pad(blob.mask, 1)).max() > 0.42 * low)


def typical_height(blobs: list[Blob]) -> float:
    """Return the height of a digit: the median over the ink, so that specks count for little."""
    if not blobs:
        return 0.0
    heights = np.array([blob.height for blob in blobs], float)
    order = heights.argsort()
    weights = (heights[order] ** 1.5).cumsum()
    return float(heights[order][np.searchsorted(weights, weights[-1] / 2)])


def without_borders(blobs: list[Blob], shape: tuple[int, ...]) -> list[Blob]:
    """Drop what is no digit whatever stands beside it: long lines, and large ink at an edge of the page."""
    kept = []
    thick = typical_height([blob for blob in blobs if not _is_thin(blob)]) or max(shape)
    for blob in blobs:
        edges = (
            blob.left == 0,
            blob.top == 0,
            blob.right == shape[1],
            blob.bottom == shape[0],
        )
        long = blob.size > 0.5 * max(shape) and blob.size > 60
        thin = _is_thin(blob) and blob.size > (1.1 if blob.width > blob.height else 1.6) * thick
        along = (
            (edges[0] or edges[2]) and blob.height > 3 * blob.width and blob.height > 0.25 * shape[0]
        ) or ((edges[1] or edges[3]) and blob.width > 3 * blob.height)
        if (any(edges) and (long or sum(edges) > 1)) or thin or along:
            continue
        kept.append(blob)
    inner = [blob for blob in kept if not _touches(blob, shape)]
    if inner:
        height = typical_height(inner)
        return [blob for blob in kept if not _touches(blob, shape) or 0.5 * height < blob.size < 1.6 * height]
    # Ink at the edges alone is writing only if the picture was cropped to it.
    return [blob for blob in kept if blob.height > 0.5 * shape[0]]


def _is_thin(blob: Blob) -> bool:
    return min(blob.height, blob.width) * 12 < blob.size


def _touches(blob: Blob, shape: tuple[int, ...]) -> bool:
    return blob.left == 0 or blob.top == 0 or blob.right == shape[1] or blob.bottom == shape[0]


def ends_at_edge(blob: Blob, shape: tuple[int, ...]) -> bool:
    """Tell whether a blob ends at an edge of the page as a shadow does: with its side."""
    sides = []
    if blob.left == 0:
        sides.append(blob.mask[:, 0])
    if blob.top == 0:
        sides.append(blob.mask[0])
    if blob.right == shape[1]:
        sides.append(blob.mask[:, -1])
    if blob.bottom == shape[0]:
        sides.append(blob.mask[-1])
    return any(side.mean() > 0.6 for side in sides)


def without_faint(blobs: list[Blob], ink: PageInk) -> list[Blob]:
    """Drop what is much fainter than the page's ink: the other side's, that shows through, and shades."""
    large = [blob.level for blob in blobs if blob.height * ink.factor >= 8]
    if not large:
        return []
    level = float(np.percentile(large, 85))
    soft = max(SOFT, SOFT_EDGE * typical_height(blobs))
    if level < FAINTEST_PAGE or (level < SOFT_PAGE and softness(blobs, ink) > soft):
        return []
    return [blob for blob in blobs if blob.level >= 0.45 * level and not _is_shade(blob, ink)]


def _is_shade(blob: Blob, ink: PageInk) -> bool:
    """Tell whether large ink fades out over too many pixels for any pen."""
    large = blob.height > SHADE * min(ink.mask.shape)
    return large and softness([blob], ink) > max(BLURRED * blob.height, 2 * SOFT)


def softness(blobs: list[Blob], ink: PageInk) -> float:
    """Return over how many pixels ink fades out at the edge of a stroke: the median over the blobs."""
    found = []
    for blob in blobs:
        if blob.height * ink.factor < 8:
            continue
        darkness = ink.darkness[blob.top : blob.bottom, blob.left : blob.right]
        darkness = np.pad(darkness * blob.mask, ((0, 0), (1, 1)), mode="edge")
        whole = ink.darkness[blob.top : blob.bottom, max(0, blob.left - 1) : blob.right + 1]
        if whole.shape == darkness.shape:
            darkness = whole
        steps = abs(darkness[:, 2:] - darkness[:, :-2]) / 2
        edge = blob.mask & ~ndimage.binary_erosion(blob.mask)
        found.append(blob.level / max(float(np.percentile(steps[edge], 85)), 1e-6))
    return float(np.median(found)) if found else 0.0


def without_specks(blobs: list[Blob], factor: int) -> list[Blob]:
    """Drop what is too small beside the page's digits, or too small for any."""
    height = typical_height(blobs)
    kept = []
    for blob in blobs:
        slight = blob.area < 0.006 * height**2 and blob.size < 0.35 * height
        if blob.size < 0.12 * height or slight or blob.size * factor < 3:
            continue
        kept.append(blob)
    return kept
