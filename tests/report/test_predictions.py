import numpy as np

from under20k.data.images.segment import Box
from under20k.deploy.digit import Digit, Digits
from under20k.deploy.read import Reading
from under20k.report.predictions import HEADER, csv_rows, digits_table, is_page, page_text, plain, tally

IMAGE = np.zeros((28, 28), np.uint8)


def digit(value: int | None, line: int = 0) -> Digit:
    return Digit(value, 0.987, 1, 0.0061, Box(10, 20, 40, 60), line, IMAGE, 7 if value is None else value)


PAGE = Reading("page.png", Digits([digit(9), digit(None), digit(0, 1)]), (300, 200))
SINGLE = Reading("one.png", Digits([digit(3)]), (28, 28))
BLANK = Reading(b"data", Digits(), (60, 60))


def test_a_page_alone_needs_no_name():
    assert [is_page(reading) for reading in (PAGE, SINGLE, BLANK)] == [True, False, False]
    text = page_text(PAGE, None, alone=True)
    assert text.splitlines() == [
        "9?",
        "0",
        "",
        "Line  Digit  Probability  Runner-up  Left, top   Size",
        "────  ─────  ───────────  ─────────  ─────────  ─────",
        "   1  9            98.7%  1 (0.6%)      10, 20  30×40",
        "   1  ? (7)        98.7%  1 (0.6%)      10, 20  30×40",
        "   2  0            98.7%  1 (0.6%)      10, 20  30×40",
        "────  ─────  ───────────  ─────────  ─────────  ─────",
        "?: found, but not believed to be a digit; the likeliest in brackets",
    ]
    assert page_text(PAGE, None, alone=False).startswith("page.png\n  9?\n  0\n\nLine")


def test_a_table_of_single_digits():
    lines = digits_table([SINGLE, BLANK], with_name=True).text().splitlines()
    assert [line.split() for line in lines[2:]] == [
        ["one.png", "3", "98.7%", "1", "(0.6%)", "10,", "20", "30×40"],
        ["standard", "input", "none", *"––––"],
    ]


def test_the_table_fits_a_terminal():
    name = "a very long name " * 9 + ".png"
    reading = Reading(name, SINGLE.digits, (28, 28))
    lines = digits_table([reading], with_name=True).text(80).splitlines()
    assert max(map(len, lines)) <= 80
    assert any("98.7%" in line for line in lines)


def test_control_characters_of_a_name_are_escaped():
    reading = Reading("a\x1b[31m.png", SINGLE.digits, (28, 28))
    assert "\x1b" not in digits_table([reading], with_name=True).text()


def test_csv_and_plain_values_have_the_same_figures():
    rows = [dict(zip(HEADER, row, strict=True)) for row in csv_rows(PAGE)]
    assert [row["digit"] for row in rows] == ["9", "?", "0"]
    assert [row["line"] for row in rows] == [0, 0, 1]
    for row, values in zip(rows, plain(PAGE)["digits"], strict=True):
        assert float(row["probability"]) == values["probability"]
        assert row["line"] == values["line"]
        assert {side: row[side] for side in values["box"]} == values["box"]
    assert list(csv_rows(BLANK)) == [("standard input", *[""] * 10)]
    assert plain(Reading("x", Digits(), (0, 0), "x is none")) == {"file": "x", "error": "x is none"}


def test_the_tally():
    assert tally(1, 1, 0, 0) == "1 digit in 1 picture"
    assert tally(2000, 1234, 5, 1) == (
        "1,234 digits in 2,000 pictures; 5 of them not believed (?); 1 picture not read"
    )
