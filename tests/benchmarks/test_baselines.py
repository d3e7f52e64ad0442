"""The baselines do the work that they are there to do: the same pixels, the same turns, and they learn."""

import random

import numpy as np
import torch
from PIL import Image

from benchmarks.plain_script import Digits, Script
from benchmarks.torch_eager import Eager, normalised, rotated
from under20k.data import Mnist
from under20k.data.mnist import Split
from under20k.engine.base import MEAN, STANDARD_DEVIATION
from under20k.recipe.named import MINIMAL, REGULARIZED

BACKGROUND = -MEAN / STANDARD_DEVIATION


def expected(pixels: object) -> np.ndarray:
    return (np.asarray(pixels, np.float64) / 255 - MEAN) / STANDARD_DEVIATION


def few(mnist: Mnist, count: int) -> Split:
    return Split("train", mnist.train.images[:count], mnist.train.labels[:count])


def test_the_script_normalises_image_by_image(mnist: Mnist) -> None:
    digits = Digits(mnist.train, 20, 0)
    assert len(digits) == 20
    for index in range(20):
        image, label = digits[index]
        assert image.shape == (1, 28, 28)
        assert image.dtype == torch.float32
        np.testing.assert_allclose(image[0], expected(mnist.train.images[index]), atol=1e-6)
        assert label == mnist.train.labels[index]


def test_the_script_turns_as_pillow_does(mnist: Mnist) -> None:
    digits = Digits(mnist.train, 20, 5)
    random.seed(3)
    images = [digits[index][0][0].numpy() for index in range(20)]
    random.seed(3)
    for image, pixels in zip(images, mnist.train.images, strict=False):
        turned = Image.fromarray(pixels).rotate(random.uniform(-5, 5), Image.Resampling.NEAREST)
        np.testing.assert_allclose(image, expected(turned), atol=1e-6)


def test_the_script_batches_shuffle_and_keep_the_short_last_one(mnist: Mnist) -> None:
    script = Script(MINIMAL, mnist.train, 300)
    batches = list(script.loader)
    assert [len(labels) for _, labels in batches] == [128, 128, 44]
    seen = torch.cat([labels for _, labels in batches])
    first = torch.tensor(mnist.train.labels[:300])
    assert not torch.equal(seen, first)
    assert torch.equal(seen.sort().values, first.sort().values)


def test_eager_normalises_all_at_once(mnist: Mnist) -> None:
    pixels = mnist.train.images[:50]
    np.testing.assert_allclose(normalised(torch.tensor(pixels))[:, 0], expected(pixels), atol=1e-6)


def test_eager_turns_as_pillow_does(mnist: Mnist) -> None:
    """But for pixels that lie between two, where one rounds up and the other down."""
    pixels = mnist.train.images[:100]
    torch.manual_seed(1)
    turned = rotated(normalised(torch.tensor(pixels)), 30.0)[:, 0]
    torch.manual_seed(1)
    angles = torch.empty(100).uniform_(-30.0, 30.0).tolist()
    by_pillow = np.stack(
        [
            np.asarray(Image.fromarray(image).rotate(angle, Image.Resampling.NEAREST))
            for image, angle in zip(pixels, angles, strict=True)
        ]
    )
    far = np.abs(turned.numpy() - expected(by_pillow)) > 1e-4
    assert far.mean() < 0.002
    corners = turned[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    torch.testing.assert_close(corners, torch.full_like(corners, BACKGROUND))


def test_both_learn(mnist: Mnist) -> None:
    for recipe in (MINIMAL, REGULARIZED):
        data = few(mnist, 640)
        eager, script = Eager(recipe, data), Script(recipe, data, 640)
        for train in (lambda eager=eager: eager.train_epoch(640), script.train_epoch):
            first = train()
            train()
            assert train() > max(first, 320)
        assert np.isfinite(script.last_loss)
