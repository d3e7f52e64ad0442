"""The drawings of what was read, pixel by pixel where it matters."""

import numpy as np
import pytest
from PIL import Image

from tests.support.pictures import page
from under20k.data.images.segment import Box
from under20k.deploy.digit import Digit, Digits
from under20k.deploy.read import Reading
from under20k.errors import UserError
from under20k.report.prediction_sheets import (
    BELIEVED,
    HEIGHT,
    UNBELIEVED,
    WIDTH,
    Sheets,
    page_panel,
    single_panel,
)


def digit(value: int | None, box: Box, line: int = 0) -> Digit:
    image = np.full((28, 28), 90 if value is None else 10 * value, np.uint8)
    return Digit(value, 0.9, 1, 0.05, box, line, image, 7 if value is None else value)


@pytest.fixture(scope="module")
def paper(mnist):
    """A page of two lines, as an array, 400 wide."""
    return np.asarray(page(mnist.validation, ["947", "20"], scale=2).resize((400, 300)))


def count(picture: Image.Image, colour: tuple[int, int, int]) -> int:
    return int((np.asarray(picture) == colour).all(-1).sum())


def where(picture: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Return the rectangle that holds all pixels of a colour."""
    rows, columns = np.nonzero((np.asarray(picture) == colour).all(-1))
    return columns.min(), rows.min(), columns.max(), rows.max()


def test_a_box_is_drawn_around_a_digit(paper):
    box = Box(100, 120, 160, 200)
    panel = page_panel(Reading(paper, Digits([digit(4, box), digit(5, Box(10, 120, 60, 190))]), (400, 300)))
    picture = panel.crop((0, 24, 800, 24 + 600))  # the page is enlarged twice
    columns = np.nonzero((np.asarray(picture)[300] == BELIEVED).all(-1))[0]
    assert {20, 118, 200, 318} <= set(columns.tolist())


def test_beside_the_page_is_what_the_network_saw(paper):
    digits = Digits([digit(4, Box(100, 20, 160, 90)), digit(None, Box(200, 150, 260, 220), 1)])
    panel = page_panel(Reading(paper, digits, (400, 300)))
    beside = panel.crop((800, 0, panel.width, panel.height))
    first, second = where(beside, (40, 40, 40)), where(beside, (90, 90, 90))
    assert count(beside, (40, 40, 40)) == count(beside, (90, 90, 90)) == 56 * 56
    assert second[1] > first[1]  # lines below each other, each beside its own
    assert abs(first[1] - (24 + 40)) < 5
    assert abs(second[1] - (24 + 300)) < 5


def test_what_is_not_believed_has_its_own_colour_a_dashed_box_and_a_sign(paper):
    box = Box(100, 120, 160, 200)
    believed, doubted = (
        page_panel(Reading(paper, Digits([digit(value, box)] * 2), (400, 300))) for value in (4, None)
    )
    assert count(believed, UNBELIEVED) == count(doubted, BELIEVED) == 0
    row = slice(24 + 260, 24 + 380)
    sides = [(np.asarray(panel)[row, 200] == colour).all(-1) for panel, colour in
             ((believed, BELIEVED), (doubted, UNBELIEVED))]  # fmt: skip
    assert sides[0].all()
    assert 0.4 < sides[1].mean() < 0.6


def test_a_single_digit_and_none():
    grey = np.full((28, 28), 30, np.uint8)
    panel = single_panel(Reading(grey, Digits([digit(4, Box(4, 4, 20, 24))]), (28, 28)))
    assert count(panel, BELIEVED) > 100
    assert count(panel, (40, 40, 40)) > 80 * 80
    blank = single_panel(Reading(grey, Digits(), (28, 28)))
    assert count(blank, BELIEVED) == 0
    assert blank.size == panel.size


def test_many_pictures_continue_in_further_files(tmp_path):
    grey = np.zeros((28, 28), np.uint8)
    reading = Reading(grey, Digits([digit(4, Box(4, 4, 20, 24))]), (28, 28))
    with Sheets(tmp_path / "out.png") as sheets:
        for _ in range(500):
            sheets.add(reading)
    assert sheets.written == [tmp_path / "out.png", tmp_path / "out-2.png"]
    boxes = 0
    for path in sheets.written:
        with Image.open(path) as sheet:
            assert sheet.width <= WIDTH
            assert sheet.height <= HEIGHT
            boxes += count(sheet, (40, 40, 40))
    assert boxes == 500 * 84 * 84


def test_a_vanished_file_leaves_its_place_empty(tmp_path):
    reading = Reading(tmp_path / "gone.png", Digits([digit(4, Box(4, 4, 20, 24))]), (28, 28))
    with Sheets(tmp_path / "out.png") as sheets:
        sheets.add(reading)
    assert sheets.written


def test_nothing_is_written_where_nothing_was_read_or_the_work_failed(tmp_path):
    with Sheets(tmp_path / "out.png") as sheets:
        sheets.add(Reading("x", Digits(), (0, 0), "x is none"))
    assert list(tmp_path.iterdir()) == []

    def interrupted() -> None:
        with Sheets(tmp_path / "out.png") as sheets:
            sheets.add(Reading(np.zeros((9, 9), np.uint8), Digits(), (9, 9)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out.jpg", "out", "file/out.png", "."])
def test_what_cannot_be_written_is_refused_at_once(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(UserError):
        Sheets(tmp_path / name)
