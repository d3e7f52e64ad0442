"""Order the blobs of a page: lines from top to bottom, left to right within."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from under20k.data.images.blobs import Blob

REACH = 5.0
"""Heights of a digit over which a digit looks for the next one of its line."""


def lines_of(blobs: list[Blob]) -> list[list[Blob]]:
    """Return the lines of a page, from top to bottom, each from left to right."""
    if not blobs:
        return []
    heights = np.array([blob.height for blob in blobs], float)
    x = np.array([blob.left + blob.width / 2 for blob in blobs])
    y = np.array([blob.top + blob.height / 2 for blob in blobs])
    level = y - _slope(x, y, heights)(x, y)
    order = level.argsort()
    lines: list[list[int]] = []
    for index in order:
        if lines:
            last = lines[-1]
            middle = float(np.median(level[last]))
            tall = float(np.median(heights[last]))
            if level[index] - middle < 0.5 * max(tall, min(heights[index], 1.5 * tall)):
                last.append(int(index))
                continue
        lines.append([int(index)])
    return [[blobs[index] for index in sorted(line, key=lambda index: x[index])] for line in lines]


class _Slope:
    """How far a line has risen or fallen at a position: its slope depends on how far down it is."""

    def __init__(self, constant: float, by_row: float) -> None:
        self.constant, self.by_row = constant, by_row

    def __call__(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        # y lies on a line that begins at y0: y = y0 + (constant + by_row · y0) · x.
        start = (y - self.constant * x) / (1 + self.by_row * x)
        drop: NDArray[np.float64] = y - start
        return drop


def _slope(x: NDArray[np.float64], y: NDArray[np.float64], heights: NDArray[np.float64]) -> _Slope:
    """Estimate the slope of the lines from each blob and its right neighbour."""
    if len(x) < 3:
        return _Slope(0, 0)
    links: dict[int, int] = {}
    for index in range(len(x)):
        right, fall = x - x[index], y - y[index]
        tall = np.maximum(heights, heights[index])
        near = (right > 0.15 * tall) & (right < REACH * tall) & (abs(fall) < 0.5 * tall)
        if near.any():
            links[index] = int(np.where(near, right + 3 * abs(fall), np.inf).argmin())
    if len(links) < 2:
        return _Slope(0, 0)
    first, second = np.array(list(links)), np.array(list(links.values()))
    slope = float(np.median((y[second] - y[first]) / (x[second] - x[first])))
    # The median of slopes is coarse; chains of neighbours, from end to end, are finer.
    ends, starts, rows, weights = [], [], [], []
    for start in sorted(set(links) - set(links.values())):
        last, steps = start, 0
        while last in links and steps < len(x):
            last, steps = links[last], steps + 1
        if steps >= 2:
            ends.append((y[last] - y[start]) / (x[last] - x[start]))
            starts.append(y[start])
            rows.append(x[start])
            weights.append(x[last] - x[start])
    if not ends:
        return _Slope(slope if abs(slope) < 0.3 else 0, 0)
    slopes, weight = np.array(ends), np.array(weights)
    order = slopes.argsort()
    cumulative = weight[order].cumsum()
    constant = float(slopes[order][np.searchsorted(cumulative, cumulative[-1] / 2)])
    by_row = 0.0
    if len(ends) >= 4:
        level = np.array(starts) - np.array(rows) * constant
        design = np.stack([np.ones_like(level), level], 1) * np.sqrt(weight)[:, None]
        fitted = np.linalg.lstsq(design, slopes * np.sqrt(weight), rcond=None)[0]
        if abs(fitted[1]) * np.ptp(level) < 0.25:
            constant, by_row = float(fitted[0]), float(fitted[1])
    return _Slope(constant, by_row)
