"""The step from ink to 28×28, written a second time from docs/digit-image.md alone, in plain loops."""

import itertools
import math

import numpy as np


def plain_digit_image(ink):
    """Return the image, a list of 28 lists of 28 integers, of ink given as any (H, W)."""
    source = [[float(value) for value in row] for row in ink]
    if not source or not source[0] or highest(source) <= 0:
        return [[0] * 28 for _ in range(28)]
    source = crop(source, 0.1)
    if longer(source) < 20:
        source = crop(enlarge(source), 0.15)
    small = reduce_to_20(source)
    source, small = narrow(source, small)
    small = thin(source, small)
    return centre(darken(small))


def highest(plane):
    return max(max(row) for row in plane)


def longer(plane):
    return max(len(plane), len(plane[0]))


def crop(plane, fraction):
    limit = fraction * highest(plane)
    rows = [y for y, row in enumerate(plane) if any(value > limit for value in row)]
    columns = [x for x in range(len(plane[0])) if any(row[x] > limit for row in plane)]
    return [row[columns[0] : columns[-1] + 1] for row in plane[rows[0] : rows[-1] + 1]]


def fitted(plane, side):
    long = longer(plane)
    return [max(1, math.floor((2 * n * side + long) / (2 * long))) for n in (len(plane), len(plane[0]))]


def average(plane, height, width):
    def along(lines, outputs):
        inputs = len(lines)
        if inputs == outputs:
            return lines
        result = []
        for i in range(outputs):
            low, high = i * inputs / outputs, (i + 1) * inputs / outputs
            total = [0.0] * len(lines[0])
            for j in range(math.floor(low), min(inputs, math.ceil(high))):
                part = max(0.0, min(high, j + 1) - max(low, j))
                total = [t + part * value for t, value in zip(total, lines[j], strict=True)]
            result.append([t * outputs / inputs for t in total])
        return result

    return transpose(along(transpose(along(plane, height)), width))


def transpose(plane):
    return [list(line) for line in zip(*plane, strict=True)]


def enlarge(plane):
    factor = math.ceil(100 / longer(plane))
    width = len(plane[0]) + 6
    blank = [0.0] * width
    plane = [blank] * 3 + [[0.0] * 3 + row + [0.0] * 3 for row in plane] + [blank] * 3

    def lanczos(x):
        if x == 0:
            return 1.0
        if abs(x) >= 3:
            return 0.0
        return 3 * math.sin(math.pi * x) * math.sin(math.pi * x / 3) / (math.pi * x) ** 2

    def along(lines):
        result = []
        for i in range(len(lines) * factor):
            middle = (i + 0.5) / factor
            near = range(max(0, math.floor(middle - 3)), min(len(lines), math.ceil(middle + 3)))
            weights = [lanczos(j + 0.5 - middle) for j in near]
            total = sum(weights)
            terms = [[w / total * value for value in lines[j]] for w, j in zip(weights, near, strict=True)]
            result.append([sum(values) for values in zip(*terms, strict=True)])
        return result

    large = transpose(along(transpose(along(plane))))
    return [[max(value, 0.0) for value in row] for row in large]


def reduce_to_20(plane):
    small = average(plane, *fitted(plane, 20))
    most = highest(small)
    return [[value * (255 / most) for value in row] for row in small]


def frame(plane):
    blank = [[0.0] * (len(plane[0]) + 2)]
    return blank + [[0.0, *row, 0.0] for row in plane] + blank


def total_of(plane):
    return sum(sum(row) for row in plane)


def narrow(source, small):
    height, width = len(small), len(small[0])
    if height < 20 or width < 0.78 * height:
        return source, small
    framed = frame(small)
    across = sum(abs(b - a) for row in framed for a, b in itertools.pairwise(row)) / 510
    columns = transpose(framed)
    down = sum(abs(b - a) for row in columns for a, b in itertools.pairwise(row)) / 510
    run = total_of(small) / 255 / across
    if across / height * (down / width) >= 1.12 or run <= 5:
        return source, small
    source = average(source, len(source), max(1, math.floor(len(source[0]) * 5 / run + 0.5)))
    return source, reduce_to_20(source)


def stroke_width(small):
    framed = frame(small)
    length = 0.0
    for y in range(len(framed) - 1):
        for x in range(len(framed[0]) - 1):
            here = framed[y][x]
            length += math.hypot(framed[y + 1][x] - here, framed[y][x + 1] - here)
    return 2 * total_of(small) / length


def thin(source, small):
    for _ in range(2):
        width = stroke_width(small)
        if width <= 5:
            break
        if longer(source) < 100:
            source = crop(enlarge(source), 0.15)
        source = average(source, *fitted(source, 100))
        most = highest(source)
        depth = distances(frame([[1 if value > 0.5 * most else 0 for value in row] for row in source]))
        reach = min(100 * (width - 5) / (2 * (20 - 5)), 0.6 * highest(depth))
        source = crop([[min(max(d - reach, 0), 1) * 255 for d in row] for row in depth], 0.5)
        small = reduce_to_20(source)
    return small


def distances(ink):
    """Distance of every ink pixel to the nearest pixel without, by trying all of them."""
    background = np.array([(y, x) for y, row in enumerate(ink) for x, value in enumerate(row) if not value])
    result = [[0.0] * len(ink[0]) for _ in ink]
    for y, row in enumerate(ink):
        for x, value in enumerate(row):
            if value:
                result[y][x] = math.sqrt(((background - (y, x)) ** 2).sum(1).min())
    return result


def darken(small):
    framed = frame(small)
    weighted = 0.0
    for y, row in enumerate(small):
        for x, value in enumerate(row):
            weighted += value * max(max(line[x : x + 3]) for line in framed[y : y + 3])
    gain = max(240 / (weighted / total_of(small)), 1)
    return [[min(value * gain, 255) for value in row] for row in small]


def centre(small):
    total = total_of(small)
    corner = []
    for lines in (small, transpose(small)):
        middle = sum(sum(line) * (i + 0.5) for i, line in enumerate(lines)) / total
        corner.append(min(max(14 - math.floor(middle + 1e-6), 0), 28 - len(lines)))
    image = [[0] * 28 for _ in range(28)]
    for y, row in enumerate(small):
        for x, value in enumerate(row):
            image[corner[0] + y][corner[1] + x] = math.floor(value + 0.5)
    return image
