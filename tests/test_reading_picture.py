"""The picture in docs/reading.md shows what is read."""

from tools.reading_picture import PICTURE, read_page


def test_every_digit_of_the_page_is_read():
    page, reading = read_page()
    assert len(page.digits) == 40
    assert "".join(reading.digits.text.split()) == "".join(str(digit.value) for digit in page.digits)


def test_the_picture_is_small():
    assert PICTURE.stat().st_size < 150_000
