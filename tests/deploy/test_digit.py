import numpy as np

from under20k.data.images.segment import Box
from under20k.deploy.digit import Digit, Digits


def digit(value: int | None, line: int, likeliest: int = 7) -> Digit:
    image = np.zeros((28, 28), np.uint8)
    return Digit(value, 0.9, 1, 0.05, Box(1, 2, 3, 4), line, image, likeliest if value is None else value)


PAGE = Digits([digit(9, 0), digit(4, 0), digit(None, 2), digit(0, 2)])


def test_a_page_says_its_lines():
    assert PAGE.text == "94\n?0"
    assert [line.text for line in PAGE.lines()] == ["94", "?0"]
    assert Digits().text == ""


def test_digits_in_one_line():
    assert repr(PAGE) == "Digits('94 ?0')"
    assert repr(PAGE[0]) == "Digit(9, 90.0%, box (1, 2, 3, 4))"
    assert repr(PAGE[2]) == "Digit(?, likeliest 7, 90.0%, box (1, 2, 3, 4))"


def test_plain_values():
    assert PAGE[2].to_dict() == {
        "value": None,
        "probability": 0.9,
        "likeliest": 7,
        "runner_up": 1,
        "runner_up_probability": 0.05,
        "line": 2,
        "box": {"left": 1, "top": 2, "right": 3, "bottom": 4},
    }


def test_digits_draw_themselves_in_a_notebook():
    html = PAGE._repr_html_()
    assert html.count("<img ") == 4
    assert "likeliest" in html
    assert PAGE[0]._repr_html_().count("<img ") == 1
    assert "no digits" in Digits()._repr_html_()
