"""The digits that the page finds in a picture and among strokes, against those that the package reads."""

import numpy as np
import pytest

from benchmarks.reading import pages
from tests.support.drawn_pages import Sheet
from tests.support.page_scripts import add_model, text_of
from under20k import load_mnist
from under20k.deploy.model import load
from under20k.deploy.read import read

READ = """([name, kind, levels, height, width]) => {
  const grey = { values: Float32Array.from(bytesOf(levels)), height, width };
  const network = networks[name];
  const data = new Uint8ClampedArray(4 * grey.values.length).fill(255);
  grey.values.forEach((level, i) => data.fill(level, 4 * i, 4 * i + 3));
  const drawn = { data, height, width };
  const found = kind === "strokes" ? drawnSegments(drawn, network) : segments(grey, network);
  return found.map(({ box, ink, line, image }) => {
    const seen = digitImage(ink);
    if (image && image.join() !== seen.join()) throw new Error("the image is not that of the ink");
    const logits = network.runQuick(seen);
    return [logits.indexOf(Math.max(...logits)), line, box.left, box.top, box.right, box.bottom];
  });
}"""


@pytest.fixture(scope="module")
def model(page):
    """The model that reads, a network of the page, too."""
    loaded = load("regularized-plus")
    add_model(page, loaded)
    return loaded


def found_in(page, model, picture, kind="picture"):
    """Return what the page finds: (value, line, box) of each digit, in reading order."""
    digits = page.evaluate(READ, [model.name, kind, text_of(picture, "u1"), *picture.shape])
    return [(value, line, box) for value, line, *box in digits]


def lines_in(found):
    """Return the values of each line as text."""
    lines = {}
    for value, line, _ in found:
        lines[line] = lines.get(line, "") + str(value)
    return list(lines.values())


def overlap(one, other):
    """Return the intersection of two boxes as a fraction of their union."""
    sides = [min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in (0, 1)]
    if min(sides) <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return sides[0] * sides[1] / (sum(areas) - sides[0] * sides[1])


def agreement(page, model, picture):
    """Return how many digits the package reads, and how many of them the page finds, and reads the same."""
    expected, found = read(picture, model), found_in(page, model, picture)
    pairs = [
        (digit, max(found, key=lambda each: overlap(each[2], digit.box), default=(None, 0, (0, 0, 0, 0))))
        for digit in expected
    ]
    there = [(digit, each) for digit, each in pairs if overlap(each[2], digit.box) > 0.5]
    return np.array([len(pairs), len(there), sum(each[0] == digit.likeliest for digit, each in there)])


def sheet_of(rows, paper=255, ink=0):
    """Return a picture with rows of digits, far enough apart not to touch, uint8 (H, W)."""
    sheet = Sheet(40 + 110 * len(rows), 40 + 90 * max(map(len, rows)), paper)
    for row, values in enumerate(rows):
        for column, value in enumerate(values):
            sheet.digit(int(value), 35 + 90 * column, 30 + 110 * row + 4 * (column % 2), 70, pen=6, ink=ink)
    return sheet.grey.astype(np.uint8)


PICTURES = {
    "a digit": (["5"], sheet_of(["5"])),
    "a light digit": (["2"], sheet_of(["2"], paper=20, ink=230)),
    "a number": (["2504"], sheet_of(["2504"])),
    "lines": (["254", "70", "1452"], sheet_of(["254", "70", "1452"])),
    "a blackboard": (["2547"], sheet_of(["2547"], paper=40, ink=220)),
}


@pytest.mark.parametrize("name", PICTURES)
def test_digits_are_read_line_by_line(page, model, name):
    lines, picture = PICTURES[name]
    found = found_in(page, model, picture)
    assert lines_in(found) == lines
    assert list(agreement(page, model, picture)) == [len("".join(lines))] * 3


@pytest.mark.parametrize("rows", [["254", "704"], ["25", "70"], ["25", "70", "24"]], ids="-".join)
def test_short_lines_are_not_one_digit(page, model, rows):
    picture = sheet_of(rows, paper=40, ink=220)
    assert lines_in(found_in(page, model, picture)) == rows
    assert read(picture, model).text.split("\n") == rows


def test_uneven_light_changes_nothing(page, model):
    picture = sheet_of(["2504", "7125"])
    light = np.linspace(0.35, 1, picture.shape[1])[None] * np.linspace(0.8, 1, picture.shape[0])[:, None]
    noise = np.random.default_rng(1).normal(0, 3, picture.shape)
    assert lines_in(found_in(page, model, np.clip(picture * light + noise, 0, 255))) == ["2504", "7125"]


@pytest.mark.parametrize("kind", ["picture", "strokes"])
def test_digits_that_touch_are_cut(page, model, kind):
    sheet = Sheet(140, 260)
    for value, left in ((2, 30), (5, 83), (7, 130)):
        sheet.digit(value, left, 30, 80, pen=7)
    picture = sheet.grey.astype(np.uint8)
    assert lines_in(found_in(page, model, picture, kind)) == ["257"]


def test_nothing_is_found_on_an_empty_page(page, model):
    for shape in ((28, 28), (100, 100), (300, 700)):
        assert found_in(page, model, np.full(shape, 180)) == []
    assert found_in(page, model, np.full((60, 60), 255), "strokes") == []


def test_mnists_own_images_are_found_whole(page, model):
    for image in load_mnist().validation.images[:20]:
        ((value, _, _),) = found_in(page, model, image)
        assert value == model.predict(image[None])[0]


@pytest.mark.parametrize("height", [16, 60, 200])
def test_a_digit_is_found_anywhere_among_strokes(page, model, height):
    for left, top in ((4, 4), (150, 80), (300 - 0.7 * height, 260 - height)):
        sheet = Sheet(270, 310)
        sheet.digit(5, left, top, height, pen=max(2, height // 12))
        assert lines_in(found_in(page, model, sheet.grey.astype(np.uint8), "strokes")) == ["5"]


@pytest.mark.parametrize("kind", ["ruled", "squared"])
def test_lines_of_the_paper_are_no_ink(page, model, kind):
    picture = sheet_of(["2504", "7125"])
    lines = np.zeros(picture.shape, bool)
    lines[25::44] = lines[26::44] = True
    if kind == "squared":
        lines[:, 20::44] = True
    assert lines_in(found_in(page, model, np.where(lines, picture * 0.6, picture))) == ["2504", "7125"]


@pytest.mark.slow
def test_pages_are_read_as_by_the_package(page, model):
    split, total = load_mnist().validation, np.zeros(3, int)
    for kind in pages.KINDS:
        (drawn,) = pages.pages(kind, split, 1, seed=3)
        total += agreement(page, model, drawn.picture)
    read_there, found, same = total
    assert found >= 0.97 * read_there
    assert same >= 0.95 * read_there
