"""Pictures are small, and their colours those that were drawn."""

import io

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from tests.support.benches import around, bench_of
from under20k.recipe.named import MINIMAL
from under20k.report.bench_figure import seeds_figure
from under20k.report.curves import curves_figure
from under20k.report.figures import BLUE, VERMILION, default_style, new_figure, png

PICTURE_BYTES = 40_000


def pixels(picture: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(picture)) as image:
        assert image.mode == "P"
        return np.asarray(image.convert("RGB")).astype(int)


def count_of(colour: str, image: np.ndarray) -> int:
    """How many pixels have a colour, to one level of 255."""
    wanted = np.array(to_rgb(colour)) * 255
    return int((abs(image - wanted) <= 1.01).all(axis=-1).sum())


@pytest.mark.parametrize("reached", [0, 1, 19])
def test_an_ink_keeps_its_colour_however_few_pixels_have_it(reached):
    """Of 20 seeds, those that miss the target are the only ones in vermilion."""
    last = [0.9945 + seed / 10_000 for seed in range(reached)]
    last += [0.9930 - seed / 10_000 for seed in range(20 - reached)]
    image = pixels(png(seeds_figure(bench_of(last), "small")))
    assert count_of(VERMILION, image) >= 20  # a single ring has 20
    assert count_of(BLUE, image) > 20
    assert count_of("white", image) > image.shape[0] * image.shape[1] / 2


def test_many_seeds_take_less_than_40_kB():
    bench = bench_of(around(0.9945, 30), MINIMAL)
    for figure in (
        seeds_figure(bench, "minimal"),
        curves_figure([seed.epochs for seed in bench.seeds], bench.recipe),
    ):
        assert len(png(figure)) < PICTURE_BYTES


def test_the_same_figure_gives_the_same_bytes():
    def drawn() -> bytes:
        with default_style():
            figure = new_figure(2, 1)
            figure.text(0.1, 0.5, "text", color=BLUE)
        return png(figure)

    assert drawn() == drawn()
