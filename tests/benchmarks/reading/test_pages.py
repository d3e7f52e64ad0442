import numpy as np
import pytest

from benchmarks.reading.page_score import PageScore, score
from benchmarks.reading.pages import BLANKS, KINDS, Page, Written, blank, page, pages
from benchmarks.reading.pages_part import measured
from under20k.data.images.segment import APART, Box, segments
from under20k.deploy.model import load


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_draw_equal_pages(mnist, kind):
    first, second = (next(pages(kind, mnist.validation, 1, 5)) for _ in range(2))
    assert (first.picture == second.picture).all()
    assert first.digits == second.digits
    high, wide = first.picture.shape
    assert all(0 <= each.box.left < each.box.right <= wide for each in first.digits)
    assert all(0 <= each.box.top < each.box.bottom <= high for each in first.digits)
    lines = [each.line for each in first.digits]
    assert lines == sorted(lines)


def test_the_score_counts_what_was_found_read_and_invented():
    digits = [Written(value, Box(40 * value, 0, 40 * value + 30, 40), 0) for value in range(5)]
    true = Page("plain", np.zeros((40, 240), np.uint8), digits)
    boxes = [each.box for each in digits]
    assert score(true, boxes, [0, 1, 2, 3, 4]) == PageScore(5, 5, 5, 0, 1, 1)
    assert score(true, boxes[:4], [0, 1, None, 7]) == PageScore(5, 4, 2, 0, 1, 1)
    assert score(true, boxes[::-1], [4, 3, 2, 1, 0]) == PageScore(5, 5, 5, 0, 0, 1)
    assert score(true, [*boxes, Box(0, 0, 240, 40)], [0, 1, 2, 3, 4, 8]) == PageScore(5, 5, 5, 1, 1, 1)
    assert score(true, [], []) == PageScore(5, 0, 0, 0, 1, 1)


@pytest.mark.parametrize("kind", BLANKS)
def test_nothing_is_found_on_blank_paper(mnist, kind):
    assert segments(blank(kind, mnist.validation, 0).picture.astype(np.float32)) == []


def apart(segment):
    """What stands apart may be two digits."""
    parts = segment.parts
    return [parts.between[0, 1], parts.between[1, 2]] if parts and parts.crossed == [APART] else [segment]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("touching", "broken")])
def test_most_digits_are_found(mnist, kind):
    drawn = page(kind, mnist.validation, np.random.default_rng([11, KINDS.index(kind)]))
    found = [each for segment in segments(drawn.picture.astype(np.float32)) for each in apart(segment)]
    result = score(drawn, [each.box for each in found], [None] * len(found))
    assert result.found >= 0.95 * result.written
    assert result.invented <= 0.05 * result.written
    assert result.in_order


@pytest.mark.slow
def test_digits_of_whole_pages_are_found_and_read_and_next_to_none_are_invented(mnist):
    figures = measured(mnist.validation, 2)(load("regularized-plus"))
    assert figures.pop("blank")["invented"] <= 1
    for kind, counts in figures.items():
        assert counts["found"] >= 0.85 * counts["written"], kind
        assert counts["read"] >= 0.9 * counts["found"], kind
    names = "written", "found", "read", "invented"
    written, found, read, invented = (sum(each[name] for each in figures.values()) for name in names)
    assert found >= 0.975 * written
    assert read >= 0.975 * found
    assert invented <= 0.012 * written
