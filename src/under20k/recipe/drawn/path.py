"""From the knots of a form to straight pieces, for many digits at once.

Pixels must come out the same on every machine, so only operations that IEEE 754 rounds exactly may decide
them, element by element: + − × ÷ √ min max. Sums over an axis are of integers.

Shapes: N digits, K knots of a stroke, P pieces of all strokes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from under20k.recipe.drawn.form import Form, Stroke

Values = NDArray[np.float64]

FIELD_SIDE = 4
"""Points along each axis of the random field that displaces knots, so that neighbours move together."""
FIELD, OWN, BOW = 13.0, 4.0, 0.1
"""± displacement by the field and of each knot, in hundredths, and of a straight line's middle per length."""
LEAN = 0.06
"""± tangent of half the rotation: 7°."""
CURVED, STRAIGHT = 5, 2
"""Pieces from knot to knot."""


class Pieces(NamedTuple):
    """Straight pieces of a digit's strokes, in the order in which they are drawn."""

    start: Values
    """(2, N, P) x and y."""
    end: Values
    """(2, N, P)"""
    first: tuple[bool, ...]
    """(P,) Whether a stroke begins with the piece."""
    last: tuple[bool, ...]
    """(P,) Whether a stroke ends with it."""


def draw_pieces(form: Form, digits: int, generator: np.random.Generator) -> Pieces:
    """Draw ``digits`` digits of a form, in hundredths of their height."""
    field = FIELD * _bell(generator, (2, FIELD_SIDE, FIELD_SIDE, digits)) * form.noise
    lean = _within(generator, (-LEAN, LEAN), digits)
    width = _within(generator, form.width, digits)
    slant = (_within(generator, form.slant, digits) + _within(generator, form.slant, digits)) / 2
    starts, ends, first, last = [], [], [], []
    for stroke in form.strokes:
        knots = _displaced(stroke, form.noise, field, generator)
        points = _turned(
            _line(stroke, knots, form.noise, generator), width, slant, lean
        )  # (2, pieces + 1, N)
        pieces = points.shape[1] - 1
        starts.append(points[:, :-1])
        ends.append(points[:, 1:])
        first += [piece == 0 for piece in range(pieces)]
        last += [piece == pieces - 1 for piece in range(pieces)]
    start, end = (np.concatenate(parts, 1).transpose(0, 2, 1) for parts in (starts, ends))
    return Pieces(start, end, tuple(first), tuple(last))


def _within(generator: np.random.Generator, span: tuple[float, float], digits: int) -> Values:
    return span[0] + (span[1] - span[0]) * generator.random(digits)


def _bell(generator: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """Draw numbers from −1 to 1, most of them near 0."""
    return generator.random(shape) + generator.random(shape) - 1


def _displaced(stroke: Stroke, noise: float, field: Values, generator: np.random.Generator) -> Values:
    """Return the knots (2, K, N), displaced by the field (2, side, side, N) and each by itself."""
    digits = field.shape[-1]
    knots = stroke.knots.T[..., None] + np.zeros(digits)
    shape = knots.shape
    knots += noise * OWN * _bell(generator, shape)
    knots += stroke.spread.T[..., None] * (2 * generator.random(shape) - 1)
    for index, (x, y) in enumerate(stroke.knots):
        (column, right), (row, below) = (
            divmod(min(max(value / 100, 0), 0.999) * (FIELD_SIDE - 1), 1) for value in (x, y)
        )
        for down, vertical in ((0, 1 - below), (1, below)):
            for along, horizontal in ((0, 1 - right), (1, right)):
                corner = field[:, int(row) + down, int(column) + along]
                knots[:, index] += vertical * horizontal * corner
    return knots


def _line(stroke: Stroke, knots: Values, noise: float, generator: np.random.Generator) -> Values:
    """Return the points (2, pieces + 1, N) of smooth curves through the knots (2, K, N)."""
    points = [knots[:, 0]]
    for index in range(knots.shape[1] - 1):
        here, there = knots[:, index], knots[:, index + 1]
        chord = there - here
        length = np.sqrt(chord[0] * chord[0] + chord[1] * chord[1])
        bend = BOW * noise * _bell(generator, length.shape) * np.stack([-chord[1], chord[0]])
        leaves, arrives = stroke.corners[index], stroke.corners[index + 1]
        if leaves and arrives:
            out, into = here + chord / 3 + bend, there - chord / 3 + bend
        elif leaves:  # from a corner, a curve starts towards its other handle
            into = there - _tangent(knots, index + 1) * (length / 3)
            out = here + (into - here) * 0.5
        elif arrives:
            out = here + _tangent(knots, index) * (length / 3)
            into = there + (out - there) * 0.5
        else:
            out = here + _tangent(knots, index) * (length / 3)
            into = there - _tangent(knots, index + 1) * (length / 3)
        count = STRAIGHT if leaves and arrives else CURVED
        for step in range(1, count + 1):
            u = step / count
            v = 1 - u
            points.append(v * v * v * here + 3 * v * v * u * out + 3 * v * u * u * into + u * u * u * there)
    return np.stack(points, 1)


def _tangent(knots: Values, index: int) -> Values:
    """Return the direction (2, N), of length 1, in which the pen passes a smooth knot."""
    chord = knots[:, index + 1] - knots[:, index - 1]
    tangent: Values = chord / np.sqrt(chord[0] * chord[0] + chord[1] * chord[1] + 1e-9)
    return tangent


def _turned(points: Values, width: Values, slant: Values, lean: Values) -> Values:
    """Return points (2, P, N) scaled in x, slanted and rotated; width, slant and lean are (N,)."""
    x, y = points
    x = x * width - y * slant
    # Cosine and sine of twice an angle, by its tangent: exact on every machine.
    norm = 1 + lean * lean
    cosine, sine = (1 - lean * lean) / norm, 2 * lean / norm
    return np.stack([cosine * x - sine * y, sine * x + cosine * y])
