"""Places for the labels of points, so that none lies on another, on a point or on a line.

A search over places around each point, near ones first: in several orders, of which the best is taken. All
lengths are in points; a box is (left, bottom, right, top), a segment (x, y, x, y).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DISTANCES = (4.0, 6.0, 9.0, 12.0, 16.0, 20.0, 25.0, 30.0, 36.0, 42.0, 50.0, 60.0, 72.0, 90.0)
"""Of a label from its point."""
DIRECTIONS = 24
LEADER = 9.0  # a label farther away has a line to its point
PADDING = 1.5  # about a label
CROSSING = 60.0  # the cost of two leaders that cross, in points of distance
TOUCHING = 1.0  # points this near to each other are one
AMBIGUOUS = (
    20.0  # the cost of a label that is nearer to another point than to its own, and has a line to that
)
UNPLACED = 1e4  # the cost of a label without a place
FAR = 40.0  # a distance that costs twice as much as it is long
SIDEWAYS = 3.0  # the cost of a place above or below rather than beside


@dataclass(frozen=True)
class Obstacles:
    """What labels must not cover."""

    bounds: tuple[float, float, float, float]
    """A box that every label lies in."""
    boxes: Sequence[tuple[float, float, float, float]] = ()
    """Markers and other texts."""
    segments: Sequence[tuple[float, float, float, float]] = ()
    """Lines."""


@dataclass
class _Board:
    """What is taken: by the obstacles, and by the labels placed so far."""

    boxes: Floats
    segments: Floats
    placed: list[int] = field(default_factory=list)
    labels: list[Floats] = field(default_factory=list)
    leaders: list[Floats] = field(default_factory=list)
    cost: float = 0.0


def place(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    obstacles: Obstacles,
    reaches: Sequence[float] | None = None,
) -> list[tuple[float, float] | None]:
    """Return the centre of each point's label, or None for a label that finds no place.

    Args:
        points: One for each label.
        sizes: Width and height of each label.
        obstacles: What labels stay away from.
        reaches: Of each label, the greatest distance from its point; those that may go far are placed first.
    """
    if not points:
        return []
    reaches = reaches or [DISTANCES[-1]] * len(points)
    at, extent = np.array(points, float), np.array(sizes, float)
    crowd = [int((np.abs(at - point).max(axis=1) < DISTANCES[-1] / 2).sum()) for point in at]
    count = range(len(points))
    orders = [
        sorted(count, key=lambda i: (-crowd[i], -at[i, 1])),
        sorted(count, key=lambda i: (crowd[i], at[i, 1])),
        sorted(count, key=lambda i: at[i, 1]),
        sorted(count, key=lambda i: -at[i, 1]),
        sorted(count, key=lambda i: at[i, 0]),
        sorted(count, key=lambda i: -at[i, 0]),
    ]
    boards = [
        _filled(sorted(order, key=lambda i: -reaches[i]), at, extent, obstacles, reaches) for order in orders
    ]
    best = min(boards, key=lambda board: board.cost)
    centres: list[tuple[float, float] | None] = [None] * len(points)
    for index, box in zip(best.placed, best.labels, strict=True):
        centres[index] = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    return centres


def leader(
    point: tuple[float, float], centre: tuple[float, float], size: tuple[float, float]
) -> tuple[float, float, float, float] | None:
    """Return the line from a point to the nearest end of its label; None for a label close by."""
    box = _around(np.array([centre]), np.array(size))
    (line,) = _leaders(np.array(point), box)
    near = math.hypot(line[2] - line[0], line[3] - line[1]) < LEADER
    return None if near else (float(line[0]), float(line[1]), float(line[2]), float(line[3]))


def overlaps(boxes: Floats, others: Floats) -> NDArray[np.bool_]:
    """Return whether each of (N, 4) boxes overlaps each of (M, 4), as (N, M)."""
    one, other = boxes[:, None], others[None]
    return np.asarray(
        (one[..., 0] < other[..., 2]) & (other[..., 0] < one[..., 2])
        & (one[..., 1] < other[..., 3]) & (other[..., 1] < one[..., 3])
    )  # fmt: skip


def cut(boxes: Floats, segments: Floats) -> NDArray[np.bool_]:
    """Return whether each of (N, 4) boxes is cut by each of (M, 4) segments, as (N, M): separating axes."""
    half = ((boxes[:, 2:] - boxes[:, :2]) / 2)[:, None]
    middle = (segments[:, :2] + segments[:, 2:]) / 2 - ((boxes[:, :2] + boxes[:, 2:]) / 2)[:, None]
    along = ((segments[:, 2:] - segments[:, :2]) / 2)[None]
    inside = (np.abs(middle) <= half + np.abs(along)).all(axis=-1)
    across = np.abs(middle[..., 0] * along[..., 1] - middle[..., 1] * along[..., 0])
    reach = half[..., 0] * np.abs(along[..., 1]) + half[..., 1] * np.abs(along[..., 0])
    return np.asarray(inside & (across <= reach))


def _filled(
    order: Sequence[int], points: Floats, sizes: Floats, obstacles: Obstacles, reaches: Sequence[float]
) -> _Board:
    """Place the labels in an order, each at the cheapest free place."""
    board = _Board(
        np.array(obstacles.boxes, float).reshape(-1, 4), np.array(obstacles.segments, float).reshape(-1, 4)
    )
    for index in order:
        point, size = points[index], sizes[index]
        centres, costs = _candidates(point, size, reaches[index])
        boxes = _around(centres, size)
        lines = _leaders(point, boxes)
        costs = costs + _taken(board, point, boxes, lines, obstacles.bounds)
        chosen = int(costs.argmin())
        if costs[chosen] >= UNPLACED:
            board.cost += UNPLACED
            continue
        board.cost += float(costs[chosen])
        board.placed.append(index)
        board.labels.append(boxes[chosen])
        board.leaders.append(lines[chosen])
    return board


def _taken(
    board: _Board, point: Floats, boxes: Floats, lines: Floats, bounds: tuple[float, float, float, float]
) -> Floats:
    """Return what is added to the cost of each candidate: ``UNPLACED`` where it lies on something."""
    padded = boxes + PADDING * np.array([-1, -1, 1, 1])
    labels, leaders = np.array(board.labels).reshape(-1, 4), np.array(board.leaders).reshape(-1, 4)
    outside = (boxes[:, :2] < bounds[:2]).any(axis=1) | (boxes[:, 2:] > bounds[2:]).any(axis=1)
    covers = (
        overlaps(padded, board.boxes).any(axis=1)
        | overlaps(padded, labels).any(axis=1)
        | cut(padded, np.concatenate([board.segments, leaders])).any(axis=1)
    )
    # A leader starts in its own point's marker, and passes through no other one and no label.
    own = (board.boxes[:, :2] <= point).all(axis=1) & (point <= board.boxes[:, 2:]).all(axis=1)
    struck = cut(np.concatenate([board.boxes[~own], labels]), lines).any(axis=0)
    soft = CROSSING * _crossing(lines, leaders).sum(axis=1)
    others = (board.boxes[~own, :2] + board.boxes[~own, 2:]) / 2
    away = _distances(boxes, point[None])
    astray = (_distances(boxes, others) < away - TOUCHING).any(axis=1)
    unclear = astray & (away[:, 0] < LEADER)
    return np.where(outside | covers | struck | unclear, UNPLACED, soft + AMBIGUOUS * astray)


def _candidates(point: Floats, size: Floats, reach: float) -> tuple[Floats, Floats]:
    """Return centres of labels about a point, and their costs: near ones first, beside before above."""
    angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    way = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    distance = np.array([each for each in DISTANCES if each <= reach])[:, None]
    # Stretched, so that the label's edge, not its centre, keeps the distance.
    stretch = size / 2 / np.maximum(np.abs(way).max(axis=1, keepdims=True), 1e-9)
    centres = point + (way * stretch)[None] + way[None] * distance[..., None]
    costs = distance + distance**2 / FAR + SIDEWAYS * np.abs(way[:, 1])[None] + 0.5 * (way[:, 0] < 0)[None]
    return centres.reshape(-1, 2), np.broadcast_to(costs, (len(distance), DIRECTIONS)).reshape(-1)


def _around(centres: Floats, size: Floats) -> Floats:
    return np.concatenate([centres - size / 2, centres + size / 2], axis=1)


def _leaders(point: Floats, boxes: Floats) -> Floats:
    """Return the segment from a point to the nearest point of each box."""
    ends = np.clip(point, boxes[:, :2], boxes[:, 2:])
    return np.concatenate([np.broadcast_to(point, ends.shape), ends], axis=1)


def _distances(boxes: Floats, points: Floats) -> Floats:
    """Return the distance of each of (N, 4) boxes from each of (M, 2) points, as (N, M)."""
    nearest = np.clip(points[None], boxes[:, None, :2], boxes[:, None, 2:])
    return np.asarray(np.linalg.norm(nearest - points[None], axis=-1))


def _crossing(lines: Floats, others: Floats) -> NDArray[np.bool_]:
    """Return whether each of (N, 4) segments crosses each of (M, 4), as (N, M)."""

    def side(first: Floats, second: Floats, of: Floats) -> Floats:
        return (second[..., 0] - first[..., 0]) * (of[..., 1] - first[..., 1]) - (
            second[..., 1] - first[..., 1]
        ) * (of[..., 0] - first[..., 0])

    a, b = lines[:, None, :2], lines[:, None, 2:]
    c, d = others[None, :, :2], others[None, :, 2:]
    return np.asarray((side(a, b, c) * side(a, b, d) < 0) & (side(c, d, a) * side(c, d, b) < 0))
