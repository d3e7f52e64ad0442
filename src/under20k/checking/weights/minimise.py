"""Searches for the mean and the standard deviation that fit best."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from under20k.checking.weights.normalisation import Normalisation


def least_squares(
    residuals: Callable[[float, float], NDArray[np.float64]], mean: float, std: float
) -> tuple[float, float]:
    """Return mean and std near the given ones with the least squares of residuals (Levenberg–Marquardt)."""

    def at(scale: float, offset: float) -> NDArray[np.float64]:
        # As a·x + b, in which the inputs are linear: a = ±exp(scale), b = offset·a.
        std = math.copysign(math.exp(-scale), sign)
        # If a channel is far off, only the direction matters.
        return np.clip(residuals(-offset, std), -20, 20)

    sign, damping = std, 1e-2
    point = np.array([-math.log(abs(std)), -mean])
    here = at(*point)
    for _ in range(12):
        steps = np.array([1e-3, 1e-3])
        jacobian = np.stack(
            [(at(*(point + step)) - here) / step.sum() for step in np.diag(steps)], axis=1
        )  # (2·C, 2)
        square, slope = jacobian.T @ jacobian, jacobian.T @ here
        while damping < 1e3:
            move = np.linalg.solve(square + damping * np.diag(np.diag(square) + 1e-12), slope)
            there = at(*(point - np.clip(move, -1, 1)))
            if (there**2).sum() < (here**2).sum():
                break
            damping *= 10
        else:
            break
        gain = 1 - (there**2).sum() / (here**2).sum()
        point, here, damping = point - np.clip(move, -1, 1), there, damping / 10
        if gain < 1e-4:
            break
    return -float(point[1]), math.copysign(math.exp(-float(point[0])), sign)


def downhill(loss: Callable[[Normalisation], float], start: Normalisation) -> Normalisation:
    """Return the normalisation near ``start`` of the least loss, by a search in ever smaller steps."""
    best, step = (loss(start), start), 0.5
    while step > 0.1:
        mean, std = best[1].mean, best[1].std
        around = [
            Normalisation(*pair, start.inputs)
            for pair in (
                (mean, std * (1 + step)),
                (mean, std / (1 + step)),
                (mean + step * abs(std), std),
                (mean - step * abs(std), std),
            )
        ]
        found = min(((loss(each), each) for each in around), key=lambda pair: pair[0])
        if found[0] < best[0] * 0.99:
            best = found
        else:
            step /= 2
    return best[1]
