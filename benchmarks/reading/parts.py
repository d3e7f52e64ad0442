"""What is measured: each part prepares its pictures once, then measures one model after another on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.reading import corruptions, fonts, small
from benchmarks.reading.road import Brought, Collection, brought
from under20k.data.mnist import Split
from under20k.deploy.calibration import calibration_error, fit_temperature, softmax
from under20k.deploy.model import Model

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
    if lacking := fonts.missing():
        packages = " ".join(sorted({font.package for font in lacking}))
        raise Missing([font.name for font in lacking], f"on Debian, apt-get install {packages}")
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


PARTS: Mapping[str, Callable[[Split, Amount], Measure]] = {
    "digits": digits,
    "fonts": font_digits,
    "corruptions": corrupted,
    "small": few_pixels,
    "calibration": calibration,
}


@dataclass(frozen=True)
class _Prepared:
    name: str
    collection: Collection
    found: Brought

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
