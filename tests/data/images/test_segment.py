import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from tests.support.drawn_pages import Sheet
from under20k.data.images import segment as segment_module
from under20k.data.images.segment import Box, segments


def lefts(found):
    return [segment.box.left for segment in found]


def numbers(*, height=40, tilt=0.0, lines=3, digits=6, paper=255, ink=0):
    """Lines of digits, and their corners in reading order."""
    sheet = Sheet(round(lines * height * 1.8 + 40), digits * height + 40, paper)
    corners = []
    for line in range(lines):
        for number in range(digits):
            left, top = 20 + number * height, 20 + line * height * 1.8 + tilt * number * height
            sheet.digit((5, 2, 7, 4, 0, 1)[(line + number) % 6], left, top, height, ink=ink)
            corners.append((left, top))
    return sheet.grey, corners


@pytest.mark.parametrize("side", [8, 12, 16, 28, 32, 48])
@pytest.mark.parametrize("inverted", [False, True])
def test_a_small_picture_is_one_digit(side, inverted):
    sheet = Sheet(side, side)
    sheet.digit(5, side * 0.2, side * 0.1, side * 0.75, max(1, side // 10))
    grey = 255 - sheet.grey if inverted else sheet.grey
    (found,) = segments(grey)
    assert found.line == 0
    assert found.parts is None
    assert found.ink.max() > 200


@given(arrays(np.uint8, st.tuples(st.integers(8, 48), st.integers(8, 48))))
def test_a_small_picture_gives_one_segment_inside_it_if_it_is_not_blank(grey):
    high, wide = grey.shape
    if wide <= 1.5 * high:
        found = segments(grey.astype(np.float32))
        contrast = np.ptp(grey)
        assert len(found) == 1 if contrast > 40 else len(found) <= (contrast >= 8)
        assert all(0 <= each.box.left < each.box.right <= wide for each in found)


def test_parts_of_one_digit_in_8_by_8_stay_together():
    grey = np.full((8, 8), 255, np.float32)
    grey[1, 2:6] = grey[3:7, 3] = grey[6, 5:7] = 0
    assert len(segments(grey)) == 1


def test_an_enlarged_digit_with_its_bar_off_is_one():
    sheet = Sheet(280, 280)
    sheet.stroke([(100, 70), (95, 140), (170, 150), (175, 220), (120, 240), (80, 230)], 14)
    sheet.stroke([(125, 50), (190, 42)], 14)
    assert len(segments(sheet.grey)) == 1


def test_digits_are_in_reading_order():
    grey, corners = numbers()
    found = segments(grey)
    assert [(segment.line, round(segment.box.left, -1)) for segment in found] == [
        (line, pytest.approx(left, abs=12))
        for line, left in zip(np.repeat(range(3), 6), [x for x, _ in corners], strict=True)
    ]


@pytest.mark.parametrize("tilt", [-0.08, -0.03, 0.03, 0.08])
def test_a_slightly_tilted_line_is_one_line(tilt):
    grey, corners = numbers(tilt=tilt, digits=12)
    found = segments(np.pad(grey, 60, constant_values=255))
    assert [segment.line for segment in found] == np.repeat(range(3), 12).tolist()
    assert lefts(found) == [pytest.approx(left + 60, abs=16) for left, _ in corners]


@pytest.mark.parametrize(("paper", "ink"), [(255, 0), (200, 90), (30, 220), (0, 255), (120, 20)])
def test_ink_is_found_dark_on_light_and_light_on_dark(paper, ink):
    grey, corners = numbers(paper=paper, ink=ink)
    assert len(segments(grey)) == len(corners)


def test_the_ink_of_a_segment_is_its_own_alone():
    sheet = Sheet(100, 200)
    sheet.digit(7, 40, 30, 40)
    sheet.digit(4, 64, 42, 40)
    first, second = segments(sheet.grey)
    assert first.box.right > second.box.left
    inked = [segment.ink > 100 for segment in (first, second)]
    assert all(ndimage.label(each, np.ones((3, 3)))[1] <= 2 for each in inked)
    assert sum(each.sum() for each in inked) == pytest.approx((sheet.grey < 128).sum(), rel=0.15)


def test_a_strip_of_28_pixels_is_a_page():
    sheet = Sheet(28, 150)
    for number, value in enumerate((5, 0, 2, 7, 1)):
        sheet.digit(value, 8 + 28 * number, 4, 20, 2)
    found = segments(sheet.grey)
    assert len(found) == 5
    assert lefts(found) == sorted(lefts(found))


@pytest.mark.parametrize("pen", [1, 3, 12, 40, 60])
@pytest.mark.parametrize("value", [0, 1, 4, 5, 7])
def test_a_large_picture_of_one_digit_gives_one_segment(value, pen):
    sheet = Sheet(280, 280, 240)
    sheet.digit(value, 80, 45, 190, pen, 20)
    (found,) = segments(sheet.grey)
    assert found.parts is None
    assert found.box.bottom - found.box.top > 180


def test_a_picture_cropped_to_its_digit_gives_one_segment():
    sheet = Sheet(120, 100)
    sheet.digit(0, 2, 2, 116, 8)
    assert len(segments(sheet.grey[:, 2:92])) == 1


def test_a_digit_of_a_photograph_of_12_megapixels_is_found():
    sheet = Sheet(3000, 4000, 200)
    sheet.digit(5, 1500, 700, 1500, 220, 40)
    (found,) = segments(sheet.grey)
    assert 1400 < found.box.bottom - found.box.top < 1800


@pytest.mark.parametrize("shape", [(200, 300), (64, 900), (900, 60), (50, 50)])
@pytest.mark.parametrize("level", [0, 90, 255])
def test_an_even_page_is_blank(shape, level):
    assert segments(np.full(shape, level, np.float32)) == []


@pytest.mark.parametrize("distribution", ["normal", "laplace", "uniform", "poisson", "salt"])
def test_a_page_of_noise_is_blank(distribution):
    random = np.random.default_rng(3)
    grey = np.full((300, 400), 210.0)
    if distribution == "salt":
        grey[random.random(grey.shape) < 0.01] = 0
    elif distribution == "uniform":
        grey += random.uniform(-30, 30, grey.shape)
    elif distribution == "poisson":
        grey = random.poisson(60, grey.shape) * 3.5
    else:
        grey += getattr(random, distribution)(0, 12, grey.shape)
    assert segments(np.clip(grey, 0, 255).astype(np.float32)) == []


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 160), st.integers(1, 160), st.sampled_from([0.3, 1, 4, 12]))
def test_noise_never_raises_and_gives_boxes_inside_the_picture(seed, high, wide, grain):
    random = np.random.default_rng(seed)
    grey = ndimage.gaussian_filter(random.normal(0, 1, (high, wide)), grain)
    grey = 127 + 120 * grey / max(abs(grey).max(), 1e-9)
    for segment in segments(grey.astype(np.float32)):
        assert isinstance(segment.box, Box)
        assert 0 <= segment.box.left < segment.box.right <= wide
        assert 0 <= segment.box.top < segment.box.bottom <= high
        assert segment.ink.dtype == np.float32
        assert segment.ink.min() >= 0
        assert segment.ink.max() <= 255
        assert segment.ink.shape == (
            segment.box.bottom - segment.box.top,
            segment.box.right - segment.box.left,
        )


def test_a_page_of_noise_is_not_cut_into_ever_more_parts(monkeypatch):
    random = np.random.default_rng(0)
    blotches = ndimage.gaussian_filter(random.normal(size=(600, 800)), 4)
    page = np.where(blotches > 1.2 * blotches.std(), 20, 240).astype(np.float32)
    parts = [segment.parts is not None for segment in segments(page)]
    monkeypatch.setattr(segment_module, "MOST_PARTS", 100)
    limited = [segment.parts is not None for segment in segments(page)]
    assert 0 < sum(limited) < sum(parts) / 2
    assert not any(limited[len(limited) // 2 :])
