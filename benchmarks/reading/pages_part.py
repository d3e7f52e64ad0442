"""How many digits of drawn pages are found and read, and how many are invented."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.reading.page_score import PageScore, score
from benchmarks.reading.pages import BLANKS, KINDS, Page, blank, pages
from under20k.data.mnist import Split
from under20k.deploy.model import Model
from under20k.deploy.read import read_all

SEED = 2026


def measured(validation: Split, amount: int) -> Callable[[Model], dict[str, Any]]:
    """Draw ``amount`` pages of each kind and each kind of blank, and return what measures a model on them."""
    drawn = {kind: list(pages(kind, validation, amount, SEED)) for kind in KINDS}
    drawn["blank"] = [blank(kind, validation, SEED + turn) for kind in BLANKS for turn in range(amount)]
    return lambda model: {kind: _total(each, model) for kind, each in drawn.items()}


def _total(drawn: list[Page], model: Model) -> dict[str, int]:
    total, invented = PageScore(), 0
    for page, reading in zip(drawn, read_all([page.picture for page in drawn], model), strict=True):
        digits = reading.digits
        total += score(page, [digit.box for digit in digits], [digit.value for digit in digits])
        believed = [digit for digit in digits if digit.value is not None]
        # What is refused is not invented.
        invented += score(
            page, [digit.box for digit in believed], [digit.value for digit in believed]
        ).invented
    return {
        "pages": total.pages,
        "written": total.written,
        "found": total.found,
        "read": total.read,
        "invented": invented,
    }
