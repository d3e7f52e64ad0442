"""What is measured: each part prepares its pictures once, then measures one model after another on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.reading import corruptions, fonts, others, small
from benchmarks.reading.road import Brought, Collection, brought
from under20k.data.images.digit_image import digit_image
from under20k.data.mnist import Split
from under20k.deploy.believe import believed, fit_threshold
from under20k.deploy.calibration import calibration_error, fit_temperature, softmax
from under20k.deploy.model import Model

Images = NDArray[Any]
MOST_REFUSED = 0.005
"""Of the digits that are read rightly: the threshold refuses no more."""
Figures = dict[str, Any]
Measure = Callable[[Model], Figures]


@dataclass(frozen=True)
class Amount:
    """How many pictures, and how many processes prepare them."""

    quick: bool = False
    jobs: int = 1

    def images(self, usual: int) -> int:
        """Return how many of ``usual`` validation images take part."""
        return min(usual, 50) if self.quick else usual


class Missing(Exception):
    """A part cannot be measured here."""

    def __init__(self, what: list[str], how: str) -> None:
        super().__init__(f"missing: {', '.join(what)}; {how}")
        self.what = what


def _check_fonts() -> None:
    """Raise Missing unless every font is installed: of fewer, the figures would be others."""
    if lacking := fonts.missing():
        packages = " ".join(sorted({font.package for font in lacking}))
        raise Missing([font.name for font in lacking], f"on Debian, apt-get install {packages}")


def digits(validation: Split, amount: Amount) -> Measure:
    """scikit-learn's digits of 8×8, through the whole way."""
    try:
        collection = small.load_digits()
    except ImportError:
        raise Missing(["scikit-learn"], "pip install scikit-learn") from None
    count = amount.images(len(collection.labels))
    (prepared,) = _prepared({"": Collection(collection.pictures[:count], collection.labels[:count])}, amount)
    return lambda model: prepared.score(model)


def font_digits(validation: Split, amount: Amount) -> Measure:
    """The ten digits in each font, through the whole way."""
    _check_fonts()
    wanted = fonts.FONTS[:3] if amount.quick else fonts.FONTS
    prepared = _prepared({font.name: fonts.digits(font) for font in wanted}, amount)
    return lambda model: {each.name: each.score(model) for each in prepared}


def corrupted(validation: Split, amount: Amount) -> Measure:
    """Validation images, corrupted: as the network gets them, and the first of them through the whole way."""
    raw = validation.images[: amount.images(10_000)], validation.labels[: amount.images(10_000)]
    count = amount.images(1_000)
    changed = {"none": raw[0]} | {
        name: corruptions.corrupted(name, raw[0]) for name in corruptions.CORRUPTIONS
    }
    prepared = _prepared(
        {name: Collection(list(images[:count]), raw[1][:count]) for name, images in changed.items()}, amount
    )

    def measure(model: Model) -> Figures:
        return {
            each.name: {
                "accuracy": float((model.predict(changed[each.name]) == raw[1]).mean()),
                **each.score(model),
            }
            for each in prepared
        }

    return measure


def few_pixels(validation: Split, amount: Amount) -> Measure:
    """Validation digits in few pixels, grey and as bitmaps, thin and thick."""
    count = amount.images(500)
    made = small.variants(validation.images[:count], validation.labels[:count])
    names = {
        f"{side}×{side} {'bitmap' if bitmap else 'grey'}, {pen}": each
        for (side, bitmap, pen), each in made.items()
    }
    prepared = _prepared(names, amount)
    return lambda model: {each.name: each.score(model) for each in prepared}


def calibration(validation: Split, amount: Amount) -> Measure:
    """Expected calibration error: fitted on one half of validation and measured on the other, both ways."""
    images, labels = (each[: amount.images(10_000)] for each in (validation.images, validation.labels))
    half = np.arange(len(labels)) < len(labels) // 2

    def measure(model: Model) -> Figures:
        logits = model.logits(images)
        ways = [(fit_temperature(logits[own], labels[own]), ~own) for own in (half, ~half)]
        return {
            "temperature": fit_temperature(logits, labels),
            "error_before": calibration_error(softmax(logits), labels),
            "error_after": float(
                np.mean([calibration_error(softmax(logits[rest], at), labels[rest]) for at, rest in ways])
            ),
        }

    return measure


def refusal(validation: Split, amount: Amount) -> Measure:
    """What is refused: digits, which should not be, and pictures of what is no digit."""
    _check_fonts()
    count, drawn = amount.images(500), amount.images(others.COUNT)
    images, labels = (each[: amount.images(10_000)] for each in (validation.images, validation.labels))
    variants = small.variants(images[:count], labels[:count]).values()
    few = Collection(
        [picture for each in variants for picture in each.pictures],
        np.concatenate([each.labels for each in variants]),
    )
    digits_few = _Prepared("few pixels", few, brought(few.pictures, amount.jobs))
    kinds = {name: draw(drawn) for name, draw in others.KINDS.items()}
    found = {name: brought(pictures, amount.jobs) for name, pictures in kinds.items()}
    together = np.stack([digit_image(ink) for ink in others.pairs(images[: 2 * drawn])])

    def measure(model: Model) -> Figures:
        temperature = fit_temperature(model.logits(images), labels)

        def probabilities(of: Images) -> Images:
            return softmax(model.logits(of), temperature) if len(of) else np.zeros((0, 10))

        own, other = probabilities(images), probabilities(digits_few.found.images)
        right = own.argmax(1) == labels, digits_few.right(other.argmax(1))
        threshold = fit_threshold(
            [each.max(1)[kept] for each, kept in zip((own, other), right, strict=True)], MOST_REFUSED
        )
        accepted = {
            name: float(_any_believed(each, probabilities(each.images), threshold, len(kinds[name])).mean())
            for name, each in found.items()
        }
        accepted["two digits"] = float(believed(probabilities(together), together, threshold).mean())
        return {
            "threshold": threshold,
            "refused": {
                "validation": _refused(own[right[0]], images[right[0]], threshold),
                "few pixels": _refused(other[right[1]], digits_few.found.images[right[1]], threshold),
            },
            "accepted": accepted,
        }

    return measure


def _refused(probabilities: Images, images: Images, threshold: float) -> float:
    return float(1 - believed(probabilities, images, threshold).mean())


def _any_believed(
    found: Brought, probabilities: Images, threshold: float, pictures: int
) -> NDArray[np.bool_]:
    """Return for each picture whether anything in it is believed to be a digit, bool (N,)."""
    accepted = np.zeros(pictures, bool)
    if len(found.images):
        accepted[found.owners[believed(probabilities, found.images, threshold)]] = True
    return accepted


PARTS: Mapping[str, Callable[[Split, Amount], Measure]] = {
    "digits": digits,
    "fonts": font_digits,
    "corruptions": corrupted,
    "small": few_pixels,
    "calibration": calibration,
    "refusal": refusal,
}


@dataclass(frozen=True)
class _Prepared:
    name: str
    collection: Collection
    found: Brought

    def right(self, values: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Return which of the images found are alone in their picture and read rightly, bool (M,)."""
        labels, owners = self.collection.labels, self.found.owners
        right: NDArray[np.bool_] = (values == labels[owners]) & self.found.single(len(labels))[owners]
        return right

    def score(self, model: Model) -> Figures:
        """Return how many pictures there are, in how many one thing was found, and how many were read."""
        labels = self.collection.labels
        values = model.predict(self.found.images) if len(self.found.images) else np.zeros(0, np.uint8)
        return {
            "pictures": len(labels),
            "found": int(self.found.single(len(labels)).sum()),
            "read": int(self.found.read(values, labels).sum()),
        }


def _prepared(collections: Mapping[str, Collection | None], amount: Amount) -> list[_Prepared]:
    """Bring the pictures of all collections to 28×28 together."""
    kept = {name: each for name, each in collections.items() if each is not None}
    found = brought([picture for each in kept.values() for picture in each.pictures], amount.jobs)
    prepared, first = [], 0
    for name, each in kept.items():
        last = first + len(each.labels)
        own = (found.owners >= first) & (found.owners < last)
        prepared.append(_Prepared(name, each, Brought(found.images[own], found.owners[own] - first)))
        first = last
    return prepared
