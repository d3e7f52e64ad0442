"""benchmarks/reading/fonts.py: the fonts are what Debian's packages hold, and their digits are drawn."""

import shutil
import subprocess

import numpy as np
import pytest

from benchmarks.reading import fonts
from benchmarks.reading.fonts import FONTS, Font


def test_there_are_enough_of_both_kinds_each_once():
    assert len({font.name for font in FONTS}) == len({font.file for font in FONTS}) == len(FONTS) >= 20
    assert sum(font.written for font in FONTS) >= 15
    assert sum(not font.written for font in FONTS) >= 10


@pytest.mark.parametrize("font", FONTS, ids=lambda font: font.name)
def test_a_font_comes_from_the_package_that_is_named(font):
    if (path := font.path()) is None or not shutil.which("dpkg-query"):
        pytest.skip(f"{font.package} is not installed")
    owner = subprocess.run(["dpkg-query", "--search", path], capture_output=True, text=True, check=True)
    assert owner.stdout.split(":")[0] == font.package


@pytest.mark.parametrize("font", FONTS, ids=lambda font: font.name)
def test_ten_different_digits_in_every_size_and_weight(font):
    if (collection := fonts.digits(font)) is None:
        pytest.skip(f"{font.package} is not installed")
    assert len(collection.pictures) == len(fonts.SIZES) * len(fonts.WEIGHTS) * 10
    assert list(collection.labels[:10]) == list(range(10))
    assert len({picture.tobytes() for picture in collection.pictures}) == len(collection.pictures)
    for picture in collection.pictures:
        assert picture.min() < 200, "ink"
        edges = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert (edges == 255).all(), "nothing is cut off"


def test_what_is_not_installed_is_named():
    absent = Font("Nowhere", "fonts-nowhere", "nowhere/Nowhere.ttf")
    assert fonts.digits(absent) is None
    assert absent.path() is None
