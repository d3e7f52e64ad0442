import numpy as np
import pytest
from PIL import Image, ImageDraw

from under20k.data.images.frames import without_frames


def boxes(tilt=0.0, rows=1, gap=0):
    """A row of six boxes of 60 by 70 pixels."""
    picture = Image.new("L", (520, 60 + 90 * rows))
    draw = ImageDraw.Draw(picture)
    for row in range(rows):
        for number in range(6):
            left, top = 40 + number * (60 + gap), 30 + row * 90
            draw.rectangle((left, top, left + 60, top + 70), outline=255, width=3)
    return np.asarray(picture.rotate(tilt, Image.Resampling.BICUBIC)) > 127


def digits(shape):
    """A ring and a bar in the first two boxes, a bar through the wall below the third."""
    picture = Image.new("L", shape[::-1])
    draw = ImageDraw.Draw(picture)
    draw.ellipse((52, 42, 88, 90), outline=255, width=5)
    draw.line((130, 40, 130, 92), fill=255, width=6)
    draw.line((190, 50, 190, 118), fill=255, width=7)
    return np.asarray(picture) > 127


@pytest.mark.parametrize("tilt", [0, 1.5, -2])
@pytest.mark.parametrize("gap", [0, 8])
def test_boxes_go_and_what_is_written_in_them_stays(tilt, gap):
    frame = boxes(tilt, gap=gap)
    ink = digits(frame.shape)
    rest = without_frames(frame | ink)
    assert (rest & ~ink).sum() < 0.03 * frame.sum()
    assert (rest & ink).sum() > 0.97 * ink.sum()


def test_a_comb_goes_and_what_is_written_over_it_stays():
    picture = Image.new("L", (520, 130))
    draw = ImageDraw.Draw(picture)
    draw.line((40, 110, 400, 110), fill=255, width=3)
    for left in range(40, 401, 60):
        draw.line((left, 85, left, 110), fill=255, width=3)
    comb, ink = np.asarray(picture) > 127, digits((130, 520))
    rest = without_frames(comb | ink)
    assert (rest & ~ink).sum() < 0.03 * comb.sum()
    assert (rest & ink).sum() > 0.97 * ink.sum()


def test_digits_are_no_frames(mnist):
    for image in mnist.validation.images[:300]:
        ink = np.asarray(Image.fromarray(np.pad(image, 4)).resize((144, 144), Image.Resampling.BICUBIC)) > 127
        assert (without_frames(ink) == ink).all()
