"""What the trained models get wrong: each recipe's confusion matrix and misclassified validation images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from under20k.data import Split
from under20k.engine.evaluation import Evaluation
from under20k.report.document import Block, Grid, Heading, Picture, Text
from under20k.report.evaluation import confusion_figure, gallery_figure, headline
from under20k.report.figures import themed
from under20k.report.words import enumeration, plural
from under20k.runs.bench.bench import Bench

SHOWN = 50
"""Misclassified images drawn for each recipe, at most."""
COMMONEST = 3
"""Confusions named in words."""


@dataclass(frozen=True)
class Mistakes:
    """One seed's model of each recipe, evaluated on the same images."""

    seed: int
    images: Split
    evaluations: Mapping[str, Evaluation]
    """By recipe name; with their logits."""


def mistakes_blocks(benches: Sequence[Bench], mistakes: Mistakes) -> tuple[Block, ...]:
    """Return each recipe's confusions and misclassified images; nothing of a recipe without an evaluation."""
    blocks: list[Block] = []
    for name in (bench.recipe.name for bench in benches):
        if evaluation := mistakes.evaluations.get(name):
            blocks.append(Heading(f"{name}, seed {mistakes.seed}"))
            blocks.append(Text(f"{headline(evaluation)}. {confusions(evaluation)}"))
            blocks.append(
                Grid((confusion_picture(name, evaluation), gallery_picture(name, evaluation, mistakes)))
            )
    return tuple(blocks)


def confusions(evaluation: Evaluation) -> str:
    """Return the commonest confusions in a sentence: ``Most often confused: 4 as 9 (7), 7 as 2 (5) …``."""
    errors = evaluation.confusion - np.diag(evaluation.confusion.diagonal())
    order = np.argsort(-errors, axis=None, kind="stable")[:COMMONEST]
    pairs = [divmod(int(index), len(errors)) for index in order if errors.flat[index]]
    parts = [f"{true} as {predicted} ({errors[true, predicted]})" for true, predicted in pairs]
    return f"Most often confused: {enumeration(parts)}." if parts else "No image is misclassified."


def confusion_picture(name: str, evaluation: Evaluation) -> Picture:
    """Return the confusion matrix."""
    alt = f"Confusion matrix of {name}, true class by predicted class: {headline(evaluation)}."
    light, dark = themed(lambda theme: confusion_figure(evaluation, theme))
    return Picture(f"confusion-{file_part(name)}.png", light, alt, dark)


def gallery_picture(name: str, evaluation: Evaluation, mistakes: Mistakes) -> Picture:
    """Return the misclassified images, the most confident errors first."""
    split, logits, wrong = mistakes.images, evaluation.logits, evaluation.images - evaluation.correct
    assert logits is not None
    alt = f"{plural(min(wrong, SHOWN), 'image')} that {name} misclassifies, the most confident errors first."
    light, dark = themed(lambda theme: gallery_figure(split.images, split.labels, logits, SHOWN, theme))
    return Picture(f"misclassified-{file_part(name)}.png", light, alt, dark)


def file_part(name: str) -> str:
    """Return a recipe's name as a part of a file's: other signs than those of customary names replaced."""
    return re.sub(r"[^\w+=,.-]", "_", name)
