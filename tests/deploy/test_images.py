import numpy as np
import pytest
import torch

from under20k.deploy.images import as_images
from under20k.errors import UserError

GREY = np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)


@pytest.mark.parametrize(
    "given",
    [
        GREY,
        GREY.reshape(5, 784),
        GREY[:, None],
        GREY.astype(np.int64),
        GREY.astype(np.float32),
        GREY / 255,
        GREY.tolist(),
        torch.tensor(GREY),
        torch.tensor(GREY / 255, dtype=torch.float32).unsqueeze(1),
        np.asfortranarray(GREY),
        GREY[::-1][::-1],
    ],
)
def test_every_form_gives_the_same_images(given):
    images = as_images(given)
    assert images.dtype == np.uint8
    assert images.flags.c_contiguous
    assert (images == GREY).all()


def test_one_image_is_a_batch_of_one():
    assert (as_images(GREY[0]) == GREY[:1]).all()
    assert as_images(np.zeros((0, 28, 28), np.uint8)).shape == (0, 28, 28)


def test_bits_are_full_ink():
    assert (as_images(GREY > 127) == np.where(GREY > 127, 255, 0)).all()
    assert (as_images((GREY > 127).astype(float)) == np.where(GREY > 127, 255, 0)).all()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.zeros((5, 32, 32)), r"shape \(5, 32, 32\); expected \(N, 28, 28\).*under20k.read takes"),
        (np.zeros(784), r"shape \(784,\)"),
        (np.zeros((5, 3, 28, 28)), r"shape \(5, 3, 28, 28\)"),
        ((GREY / 255 - 0.1307) / 0.3081, "from -0.42.* to 2.8.*not normalised"),
        (np.full((28, 28), np.nan), "from nan to nan"),
        (GREY.astype(np.int64) * 257, "pixels from 0 to 65535"),
        ((GREY > 127).astype(np.uint8), "0 and 1 alone; give bool or float"),
        (np.full((28, 28), "a"), "not numbers"),
        ([[1, 2], [3]], "a list is no array"),
        (None, "not numbers"),
    ],
)
def test_anything_else_is_refused(given, words):
    with pytest.raises(UserError, match=words):
        as_images(given)
