"""Pictures are small, silent and reproducible, and their colours those of their theme."""

import io

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from tests.support.benches import bench_of
from under20k.report.bench_figure import seeds_figure
from under20k.report.figures import (
    DARK,
    LIGHT,
    PICTURE_BYTES,
    Theme,
    default_style,
    mixed,
    new_figure,
    png,
    themed,
)

THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])


def pixels(picture: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(picture)) as image:
        assert image.mode == "P"
        return np.asarray(image.convert("RGB")).astype(int)


def count_of(colour: str, image: np.ndarray) -> int:
    """How many pixels have a colour, to one level of 255."""
    wanted = np.array(to_rgb(colour)) * 255
    return int((abs(image - wanted) <= 1.01).all(axis=-1).sum())


@THEMES
@pytest.mark.parametrize("reached", [0, 1, 19])
def test_an_ink_keeps_its_colour_however_few_pixels_have_it(reached, theme):
    """Of 20 seeds, those that miss the target are the only ones in the accent."""
    last = [0.9945 + seed / 10_000 for seed in range(reached)]
    last += [0.9930 - seed / 10_000 for seed in range(20 - reached)]
    image = pixels(png(seeds_figure(bench_of(last), "small", theme)))
    assert count_of(theme.accent, image) >= 10  # a single ring has that many
    assert count_of(theme.blue, image) > 20
    assert count_of(theme.page, image) > image.shape[0] * image.shape[1] / 2


def test_the_two_themes_give_pictures_of_one_size_on_their_own_pages():
    light, dark = (pixels(made) for made in themed(lambda theme: seeds_figure(bench_of([0.99]), "a", theme)))
    assert light.shape == dark.shape
    assert (light[0] == 255).all()
    assert (dark[0] == np.array(to_rgb(DARK.page)) * 255).all()


def noise(theme: Theme):
    """A figure that no palette makes small: a million grains in its inks."""
    grains = np.random.default_rng(0).random((400, 400))
    colours = np.array([mixed(theme, theme.ink, level) for level in np.linspace(0, 1, 13)])
    with default_style(theme):
        figure = new_figure(2.5, 2.5)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.imshow(colours[(grains**4 * 13).astype(int)], interpolation="nearest")
    return figure


def test_a_picture_with_too_much_in_it_is_made_smaller():
    light, dark = themed(noise)
    assert len(light) <= PICTURE_BYTES
    assert len(dark) <= PICTURE_BYTES
    assert pixels(light).shape == pixels(dark).shape
    assert pixels(light).shape[0] < 400  # not at 160 dots per inch


@THEMES
def test_the_same_figure_gives_the_same_bytes(theme):
    def drawn() -> bytes:
        with default_style(theme):
            figure = new_figure(2, 1)
            figure.text(0.1, 0.5, "text", color=theme.blue)
        return png(figure)

    assert drawn() == drawn()


def luminance(colour: str) -> float:
    """Relative luminance by WCAG 2."""
    linear = [
        level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4 for level in to_rgb(colour)
    ]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize(
    ("theme", "page"),
    [(LIGHT, LIGHT.page), (DARK, DARK.page), (DARK, "#0d1117")],
    ids=["light", "dark", "GitHub"],
)
@pytest.mark.parametrize("ink", ["ink", "faint", "blue", "accent"])
def test_text_in_any_ink_stands_out_from_the_page(theme, page, ink):
    lighter, darker = sorted([luminance(getattr(theme, ink)), luminance(page)], reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5
