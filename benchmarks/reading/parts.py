"""What is measured: each part prepares its pictures once, then measures one model after another on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.reading import corruptions, fonts, others, small
from benchmarks.reading.pages_part import measured as pages_measured
from benchmarks.reading.prepared import prepared
from benchmarks.reading.refusal import measured as refusal_measured
from benchmarks.reading.road import Collection
from under20k.data.mnist import Split
from under20k.deploy.calibration import calibration_error, fit_temperature, softmax
from under20k.deploy.model import Model

PAGES = 1
"""Of each kind."""
Figures = dict[str, Any]
Measure = Callable[[Model], Figures]


@dataclass(frozen=True)
class Amount:
    """How many pictures, and how many processes prepare them."""

    quick: bool = False
    jobs: int = 1

    def images(self, usual: int) -> int:
        """Return how many of ``usual`` validation images take part."""
        return min(usual, 20) if self.quick else usual


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
    (made,) = prepared({"": Collection(collection.pictures[:count], collection.labels[:count])}, amount.jobs)
    return made.score


def font_digits(validation: Split, amount: Amount) -> Measure:
    """The ten digits in each font, through the whole way."""
    _check_fonts()
    wanted = fonts.FONTS[:3] if amount.quick else fonts.FONTS
    made = {font.name: each for font in wanted if (each := fonts.digits(font))}
    return _scores(made, amount)


def corrupted(validation: Split, amount: Amount) -> Measure:
    """Validation images, corrupted: as the network gets them, and the first of them through the whole way."""
    raw, count = _first(validation, amount), amount.images(500)
    changed = {"none": raw.images} | {
        name: corruptions.corrupted(name, raw.images) for name in corruptions.CORRUPTIONS
    }
    every = prepared(
        {name: Collection(list(images[:count]), raw.labels[:count]) for name, images in changed.items()},
        amount.jobs,
    )

    def measure(model: Model) -> Figures:
        return {
            each.name: {
                "accuracy": float((model.predict(changed[each.name]) == raw.labels).mean()),
                **each.score(model),
            }
            for each in every
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
    return _scores(names, amount)


def calibration(validation: Split, amount: Amount) -> Measure:
    """Expected calibration error: fitted on one half of validation and measured on the other, both ways."""
    split = _first(validation, amount)
    labels = split.labels
    half = np.arange(len(labels)) < len(labels) // 2

    def measure(model: Model) -> Figures:
        logits = model.logits(split.images)
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
    return refusal_measured(
        _first(validation, amount), amount.images(500), amount.images(others.COUNT), amount.jobs
    )


def pages(validation: Split, amount: Amount) -> Measure:
    """Drawn pages of validation digits, and blank ones."""
    return pages_measured(validation, 1 if amount.quick else PAGES)


PARTS: Mapping[str, Callable[[Split, Amount], Measure]] = {
    "digits": digits,
    "fonts": font_digits,
    "small": few_pixels,
    "pages": pages,
    "corruptions": corrupted,
    "calibration": calibration,
    "refusal": refusal,
}


def _scores(collections: Mapping[str, Collection], amount: Amount) -> Measure:
    every = prepared(collections, amount.jobs)
    return lambda model: {each.name: each.score(model) for each in every}


def _first(validation: Split, amount: Amount) -> Split:
    count = amount.images(10_000)
    return Split("validation", validation.images[:count], validation.labels[:count])
