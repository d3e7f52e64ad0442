"""One evaluation as text, and its confusion matrix and misclassified images as PNG.

Shapes: N images, 10 classes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from under20k.engine.evaluation import Evaluation, log_softmax
from under20k.files import write_bytes
from under20k.formatting import percent
from under20k.recipe.architecture import CLASSES, IMAGE_SIDE
from under20k.report.figures import BLUE, FAINT, INK, Figure, default_style, new_figure, png
from under20k.report.tables import Table
from under20k.report.text_lines import wrapped
from under20k.report.words import NOTHING, TARGET, marked, plural
from under20k.runs.metrics import EpochMetrics

GALLERY_LIMIT = 100
COLUMNS = 10
CELL_PX = (IMAGE_SIDE + 20, IMAGE_SIDE + 14)  # rows and columns of an image with its caption and margins
INCHES_PER_PX = 0.95 / CELL_PX[1]
HEADER_IN = 0.5
ROUNDED_IMAGES = 2
"""Images that rounding on another processor may classify otherwise."""


def evaluation_text(evaluation: Evaluation, width: int | None = None) -> str:
    """Return accuracy, loss, precision and recall by class, and the confusion matrix."""
    accuracy = f"{percent(evaluation.accuracy)} {evaluation.split} accuracy"
    if evaluation.split == "validation":  # the target holds for this split alone
        accuracy = f"{marked(evaluation.accuracy, accuracy)} (target {TARGET})"
    counts = f"{evaluation.correct:,} of {evaluation.images:,} images correct, loss {evaluation.loss:.4f}"
    return "\n\n".join(
        (
            "\n".join(wrapped(f"{accuracy}: {counts}", width, "  ")),
            class_table(evaluation).text(width),
            confusion_table(evaluation).text(width),
        )
    )


def headline(evaluation: Evaluation) -> str:
    """Return ``9,931 of 10,000 images correct (99.31%)``."""
    return f"{evaluation.correct:,} of {evaluation.images:,} images correct ({percent(evaluation.accuracy)})"


def beside_last_epoch(evaluation: Evaluation, last: EpochMetrics) -> str:
    """Return how an evaluation on validation differs from the run's last epoch; empty if it does not."""
    trained = round(last.validation_accuracy * evaluation.images)
    differing = abs(evaluation.correct - trained)
    if not differing:
        return ""
    why = (
        "another engine or processor may round so"
        if differing <= ROUNDED_IMAGES
        else "more than rounding explains: the model may not be the one that was trained; train again with "
        "--overwrite"
    )
    return (
        f"{evaluation.correct:,} validation images are correct, and {trained:,} were at the run's last "
        f"epoch; {why}"
    )


def class_table(evaluation: Evaluation) -> Table:
    """Return precision and recall of each class; a dash where there is no image to count."""
    images, predicted = evaluation.confusion.sum(axis=1), evaluation.confusion.sum(axis=0)
    rows = tuple(
        (
            str(label),
            percent(evaluation.recall[label]) if images[label] else NOTHING,
            percent(evaluation.precision[label]) if predicted[label] else NOTHING,
            f"{images[label]:,}",
            f"{predicted[label]:,}",
        )
        for label in range(CLASSES)
    )
    return Table(("Class", "Recall", "Precision", "Images", "Predicted"), rows)


def confusion_table(evaluation: Evaluation) -> Table:
    """Return the images by true class (row) and predicted class (column), zeros as dots."""
    rows = tuple(
        (str(label), *(f"{images:,}" if images else "·" for images in row))
        for label, row in enumerate(evaluation.confusion.tolist())
    )
    header = ("True \\ predicted", *map(str, range(CLASSES)))
    return Table(header, rows, groups=(1,) * CLASSES)


def draw_confusion(evaluation: Evaluation, path: Path) -> None:
    """Draw the confusion matrix as PNG at ``path``. Raises UserError where it cannot be written."""
    write_bytes(path, png(confusion_figure(evaluation)))


def confusion_figure(evaluation: Evaluation) -> Figure:
    """Draw the counts; only the errors are shaded, since the diagonal would outshine them."""
    counts = evaluation.confusion
    errors = counts - np.diag(counts.diagonal())
    most = max(int(errors.max()), 1)
    with default_style():
        figure = new_figure(6.4, 6.4)
        axes = figure.add_axes((0.1, 0.05, 0.86, 0.82))
        # Half of the scale at most, so that black text reads on every cell.
        axes.imshow(np.ma.masked_equal(errors, 0), cmap="Oranges", vmin=0, vmax=2 * most)
        for true, predicted in np.ndindex(counts.shape):
            count, right = counts[true, predicted], true == predicted
            if count or right:
                axes.text(
                    predicted, true, f"{count:,}", ha="center", va="center", fontsize=9.5,
                    color=BLUE if right else INK, fontweight="bold" if right else "normal",
                )  # fmt: skip
        axes.set_xticks(range(CLASSES))
        axes.set_yticks(range(CLASSES))
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.set_xlabel("predicted class", fontsize=10.5)
        axes.set_ylabel("true class", fontsize=10.5)
        axes.tick_params(length=0, labelsize=10)
        edges = np.arange(CLASSES + 1) - 0.5
        axes.hlines(edges, edges[0], edges[-1], colors="#d3d9df", linewidth=0.6)
        axes.vlines(edges, edges[0], edges[-1], colors="#d3d9df", linewidth=0.6)
        axes.spines[:].set_visible(False)
        axes.set_title(
            f"{evaluation.split}: {headline(evaluation)}", loc="left", fontsize=11, parse_math=False, pad=10
        )
    return figure


def draw_gallery(
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    logits: NDArray[np.float32],
    path: Path,
    limit: int = GALLERY_LIMIT,
) -> None:
    """Draw misclassified images, the most confident errors first, as PNG.

    Args:
        images: (N, 28, 28), ink from 0 to 255.
        labels: (N,), from 0 to 9.
        logits: (N, 10).
        path: Of the PNG.
        limit: Images drawn at most.

    Raises:
        UserError: The file cannot be written.
    """
    write_bytes(path, png(gallery_figure(images, labels, logits, limit)))


def misclassified(
    labels: NDArray[np.uint8], logits: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return index, predicted class and probability of each wrong image, the most confident first."""
    predicted = logits.argmax(axis=1)
    confidence = np.exp(log_softmax(logits).max(axis=1))
    wrong = np.flatnonzero(predicted != labels)
    order = wrong[np.argsort(-confidence[wrong], kind="stable")]
    return order, predicted[order], confidence[order]


def gallery_figure(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], logits: NDArray[np.float32], limit: int
) -> Figure:
    """Return the figure of ``draw_gallery``."""
    order, predicted, confidence = misclassified(labels, logits)
    shown = min(limit, len(order))
    rows = -(-shown // COLUMNS)
    height, width = CELL_PX
    height_in = rows * height * INCHES_PER_PX + HEADER_IN
    with default_style():
        figure = new_figure(COLUMNS * width * INCHES_PER_PX, height_in)
        title = gallery_title(shown, len(order), len(labels))
        figure.text(0.01, 1 - 0.32 / height_in, title, fontsize=11.5)
        if not shown:
            return figure
        axes = figure.add_axes((0, 0, 1, 1 - HEADER_IN / height_in))
        axes.set_axis_off()
        # One picture holds all images: a hundred axes take seconds to draw.
        sheet = np.zeros((rows * height, COLUMNS * width), np.uint8)
        margin = (width - IMAGE_SIDE) // 2
        for position in range(shown):
            row, column = divmod(position, COLUMNS)
            top, left = row * height + 1, column * width + margin
            sheet[top : top + IMAGE_SIDE, left : left + IMAGE_SIDE] = images[order[position]]
            axes.text(
                left + IMAGE_SIDE / 2, top + IMAGE_SIDE + 1,
                f"{labels[order[position]]} → {predicted[position]}", ha="center", va="top", fontsize=9,
                fontweight="bold", color=INK,
            )  # fmt: skip
            axes.text(
                left + IMAGE_SIDE / 2, top + IMAGE_SIDE + 9, percent(confidence[position], 1),
                ha="center", va="top", fontsize=8, color=FAINT,
            )  # fmt: skip
        # Black ink on white, which prints better than MNIST's white on black.
        axes.imshow(sheet, cmap="gray_r", vmin=0, vmax=255, aspect="auto", interpolation="nearest")
    return figure


def gallery_title(shown: int, wrong: int, images: int) -> str:
    """Return how many are shown of how many, and how to read the captions."""
    if not wrong:
        return f"None of {plural(images, 'image')} is misclassified."
    count = f"All {wrong:,}" if shown == wrong else f"{shown:,} of {wrong:,}"
    return (
        f"{count} misclassified of {plural(images, 'image')}, most confident errors first: "
        "true → predicted, confidence"
    )
