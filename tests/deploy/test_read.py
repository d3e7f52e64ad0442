"""Reading pictures, whole; and how fast and with how much memory."""

import io
import itertools
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import under20k
from tests.support.pictures import bad_files, digit_files, page
from under20k.deploy.digit import Digits
from under20k.deploy.model import load
from under20k.deploy.read import CHUNK, read, read_all
from under20k.engine import isa
from under20k.errors import UserError

CODE = "94720"
MEMORY_MB = 500


@pytest.fixture(scope="module")
def model():
    return load("regularized-plus")


@pytest.fixture(scope="module")
def code(mnist):
    """A picture of five digits."""
    return page(mnist.validation, [CODE])


def test_every_kind_of_picture_reads_the_same(code, model, tmp_path):
    path = tmp_path / "code.png"
    code.save(path)
    for picture in (path, str(path), path.read_bytes(), code, np.asarray(code), code.convert("RGB")):
        digits = read(picture, model)
        assert isinstance(digits, Digits)
        assert digits.text == CODE
    assert under20k.read(path).text == CODE
    assert under20k.read(path, "minimal").text == CODE


def test_a_digit_says_what_the_model_does(code, model):
    digits = read(code, model)
    images = np.stack([digit.image for digit in digits])
    probabilities = model.probabilities(images)
    for digit, row in zip(digits, probabilities, strict=True):
        assert digit.value == digit.likeliest == row.argmax()
        assert digit.probability == pytest.approx(row.max(), abs=1e-6)
        assert digit.runner_up_probability == pytest.approx(np.sort(row)[-2], abs=1e-6)
        assert row[digit.runner_up] == np.sort(row)[-2]
        # The box holds the ink.
        left, top, right, bottom = digit.box
        assert np.asarray(code)[top:bottom, left:right].min() < 50
    outside = np.array(code)
    for digit in digits:
        left, top, right, bottom = digit.box
        outside[top:bottom, left:right] = 255
    assert outside.min() > 100


def test_what_is_not_believed_is_found_but_has_no_value(code, model):
    sceptical = load("regularized-plus")
    object.__setattr__(sceptical, "threshold", 1.1)
    digits = read(code, sceptical)
    assert digits.text == "?????"
    assert "".join(str(digit.likeliest) for digit in digits) == CODE


def test_a_blank_picture_has_no_digits(model):
    assert read(Image.new("L", (200, 100), 255), model) == []


def test_what_is_no_picture_is_refused(tmp_path, model):
    for name in bad_files(tmp_path):
        with pytest.raises(UserError, match=name):
            read(tmp_path / name, model)
    for picture, words in (
        (b"none", "not a picture"),
        (3, "picture: 3; expected a file"),
        (None, "picture: None"),
        ("", "is empty"),
    ):
        with pytest.raises(UserError, match=words):
            read(picture, model)
    with pytest.raises(UserError, match="no model 'regularised'"):
        read(Image.new("L", (28, 28)), "regularised")


def test_many_pictures_are_those_one_by_one_and_in_their_order(mnist, model, tmp_path):
    count = CHUNK + 20
    labels = digit_files(mnist.validation, tmp_path, count)
    bad = bad_files(tmp_path)
    paths = [tmp_path / f"{index}.png" for index in range(count)]
    mixed = [*paths[:100], *(tmp_path / name for name in bad), *paths[100:], paths[0]]
    readings = list(read_all(mixed, model))
    assert [reading.source for reading in readings] == mixed
    assert {reading.source.name for reading in readings if reading.fault} == bad.keys()
    whole = [reading for reading in readings if not reading.fault]
    assert all(reading.size == (28, 28) for reading in whole)
    for reading in itertools.islice(whole, 0, None, 40):
        assert reading.digits.text == read(reading.source, model).text
    right = sum(
        reading.digits.text == str(label) for reading, label in zip(whole, [*labels, labels[0]], strict=True)
    )
    assert right / len(whole) > 0.9


def test_pictures_are_taken_as_they_are_needed(code, model):
    """Of endlessly many, a bounded number is decoded ahead."""
    taken = itertools.count()
    endless = (code for _ in iter(lambda: next(taken), None))
    readings = read_all(endless, model)
    assert [next(readings).digits.text for _ in range(3)] == [CODE] * 3
    readings.close()
    assert next(taken) <= 2 * CHUNK


USED = r"""
import re, sys
from pathlib import Path
from under20k.deploy.model import as_model
from under20k.deploy.pictures import pictures
from under20k.deploy.read import read_all
found = [reading.digits.text for reading in read_all(pictures([sys.argv[1]]), as_model(None))]
print(len(found), sum(map(len, found)), {"torch", "matplotlib"} & sys.modules.keys())
# The peak of this process alone: ru_maxrss begins with that of the one that started it.
print(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def used(path) -> tuple[str, float]:
    """What reading a file or a folder prints, and the memory it takes, in MB."""
    done = subprocess.run([sys.executable, "-c", USED, path], capture_output=True, text=True, check=True)
    counts, kilobytes = done.stdout.splitlines()
    return counts, int(kilobytes) / 1024


@pytest.mark.skipif(isa.unavailable() is not None, reason="no native engine")
def test_a_thousand_digits_take_no_torch_and_little_memory(mnist, tmp_path):
    digit_files(mnist.validation, tmp_path, 1000)
    counts, memory_mb = used(tmp_path)
    assert counts.startswith("1000 ")
    assert counts.endswith(" set()")
    assert memory_mb < MEMORY_MB


@pytest.mark.slow
@pytest.mark.skipif(isa.unavailable() is not None, reason="no native engine")
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_photograph_of_a_page_takes_little_memory(mnist, tmp_path, kind):
    photograph = page(mnist.validation, ["0123456789"] * 10, scale=4).resize((4000, 3000))
    noise = np.random.default_rng(0).normal(0, 4, (3000, 4000, 1))
    pixels = np.clip(np.asarray(photograph)[..., None] * 0.9 + noise, 0, 255)
    path = tmp_path / f"page.{kind.lower()}"
    Image.fromarray(np.repeat(pixels, 3, 2).astype(np.uint8)).save(path, kind)
    counts, memory_mb = used(path)
    pictures, characters, *_ = counts.split()
    assert pictures == "1"
    assert 95 <= int(characters) <= 120
    assert memory_mb < MEMORY_MB


def test_a_picture_in_memory_is_read_like_its_file(code, model):
    stream = io.BytesIO()
    code.save(stream, "TIFF")
    assert read(stream.getvalue(), model).text == CODE
