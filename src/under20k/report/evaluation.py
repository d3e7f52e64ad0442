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
from under20k.report.figures import (
    LIGHT,
    MEDIUM,
    SMALL_PT,
    THIN,
    WIDTH_IN,
    Axes,
    Figure,
    Theme,
    default_style,
    matplotlib,
    mixed,
    png,
)
from under20k.report.layout import MARGIN_IN, laid_out
from under20k.report.tables import Table
from under20k.report.words import NOTHING, TARGET, marked, plural
from under20k.runs.metrics import EpochMetrics

GALLERY_LIMIT = 70  # more would exceed PICTURE_BYTES
COLUMNS = 10
CELL_PX = (IMAGE_SIDE + 33, IMAGE_SIDE + 7)  # rows and columns of an image with its caption and margins
PX_IN = 1 / 60  # of an image's pixel: two of the picture's where it has 120 dots per inch
MATRIX_LEFT_IN, MATRIX_ABOVE_IN = 0.62, 0.55  # for the classes, and the axes' names
MATRIX_IN = WIDTH_IN - MATRIX_LEFT_IN - MARGIN_IN
DIAGONAL = 0.12  # of the diagonal's blue
LIGHTEST, DARKEST = 0.15, 0.55  # of the errors' shades: the text reads on each
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
            f"{accuracy}: {counts}",
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


def draw_confusion(evaluation: Evaluation, path: Path, theme: Theme = LIGHT) -> None:
    """Draw the confusion matrix as PNG at ``path``. Raises UserError where it cannot be written."""
    write_bytes(path, png(confusion_figure(evaluation, theme)))


def confusion_figure(evaluation: Evaluation, theme: Theme = LIGHT) -> Figure:
    """Draw the counts; only the errors are shaded by them, since the diagonal would outshine them."""
    counts = evaluation.confusion
    most = max(int((counts - np.diag(counts.diagonal())).max()), 1)
    shades = np.full((CLASSES, CLASSES, 3), mixed(theme, theme.page, 1))
    with default_style(theme, evaluation.split):
        layout = laid_out(
            theme,
            "Confusion matrix",
            [f"{evaluation.split}: {headline(evaluation)}"],
            MATRIX_ABOVE_IN + MATRIX_IN,
        )
        axes = layout.axes(MATRIX_LEFT_IN, MARGIN_IN, MATRIX_ABOVE_IN, 0)
        for true, predicted in np.ndindex(counts.shape):
            count, right = int(counts[true, predicted]), true == predicted
            if right:
                shades[true, predicted] = mixed(theme, theme.blue, DIAGONAL)
            elif count:
                shade = LIGHTEST + (DARKEST - LIGHTEST) * count / most
                shades[true, predicted] = mixed(theme, theme.accent, shade)
            if count or right:
                axes.text(
                    predicted, true, f"{count:,}", ha="center", va="center_baseline",
                    color=theme.blue if right else theme.ink, fontweight="bold" if right else "normal",
                )  # fmt: skip
        axes.imshow(shades, interpolation="nearest", aspect="auto")
        _rule(axes, theme)
    return layout.figure


def _rule(axes: Axes, theme: Theme) -> None:
    """Draw the borders of all cells and the frame, and name the classes."""
    axes.grid(visible=False)
    axes.set_xticks(range(CLASSES))
    axes.set_yticks(range(CLASSES))
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("predicted class", labelpad=4)
    axes.set_ylabel("true class", labelpad=4)
    axes.tick_params(length=0)
    edges = np.arange(1, CLASSES) - 0.5
    axes.hlines(edges, -0.5, CLASSES - 0.5, colors=theme.grid, linewidth=THIN)
    axes.vlines(edges, -0.5, CLASSES - 0.5, colors=theme.grid, linewidth=THIN)
    axes.spines[:].set_visible(True)
    axes.spines[:].set_linewidth(MEDIUM)


def draw_gallery(
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    logits: NDArray[np.float32],
    path: Path,
    limit: int = GALLERY_LIMIT,
    theme: Theme = LIGHT,
) -> None:
    """Draw misclassified images, the most confident errors first, as PNG.

    Args:
        images: (N, 28, 28), ink from 0 to 255.
        labels: (N,), from 0 to 9.
        logits: (N, 10).
        path: Of the PNG.
        limit: Images drawn at most.
        theme: Colours.

    Raises:
        UserError: The file cannot be written.
    """
    write_bytes(path, png(gallery_figure(images, labels, logits, limit, theme)))


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
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    logits: NDArray[np.float32],
    limit: int = GALLERY_LIMIT,
    theme: Theme = LIGHT,
) -> Figure:
    """Return the figure of ``draw_gallery``."""
    order, predicted, confidence = misclassified(labels, logits)
    shown = min(limit, len(order))
    rows = -(-shown // COLUMNS)
    height, width = CELL_PX
    facts = [gallery_title(shown, len(order), len(labels))]
    if shown:
        facts.append("true → predicted class, index in the split, confidence")
    with default_style(theme):
        layout = laid_out(theme, "Misclassified images", facts, 0.1 + rows * height * PX_IN if shown else 0)
        if not shown:
            return layout.figure
        side_in = (WIDTH_IN - COLUMNS * width * PX_IN) / 2
        axes = layout.axes(side_in, side_in, 0.1, 0)
        axes.set_axis_off()
        # One picture holds all images: a hundred axes take seconds to draw.
        sheet = np.zeros((rows * height, COLUMNS * width), np.uint8)
        margin = (width - IMAGE_SIDE) // 2
        for position in range(shown):
            row, column = divmod(position, COLUMNS)
            top, left = row * height + 1, column * width + margin
            index = int(order[position])
            sheet[top : top + IMAGE_SIDE, left : left + IMAGE_SIDE] = images[index]
            lines = (
                (f"{labels[index]} → {predicted[position]}", 1, SMALL_PT, theme.ink, "bold"),
                (f"#{index}", 10.5, SMALL_PT, theme.faint, "normal"),
                (percent(confidence[position], 1), 20, SMALL_PT, theme.faint, "normal"),
            )
            for text, below, points, colour, weight in lines:
                axes.text(
                    left + IMAGE_SIDE / 2, top + IMAGE_SIDE + below, text, ha="center", va="top",
                    fontsize=points, color=colour, fontweight=weight,
                )  # fmt: skip
        # Ink on the page, which prints better than MNIST's white on black.
        inks = matplotlib.colors.LinearSegmentedColormap.from_list("ink", [theme.page, theme.ink])
        axes.imshow(sheet, cmap=inks, vmin=0, vmax=255, aspect="auto", interpolation="nearest")
    return layout.figure


def gallery_title(shown: int, wrong: int, images: int) -> str:
    """Return how many are shown of how many."""
    if not wrong:
        return f"None of {plural(images, 'image')} is misclassified."
    count = f"All {wrong:,}" if shown == wrong else f"{shown:,} of {wrong:,}"
    return f"{count} misclassified of {plural(images, 'image')}, most confident errors first"
