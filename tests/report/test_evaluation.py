import io

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from tests.support.drawn import assert_readable, boxes, struck
from under20k.data import Mnist
from under20k.engine.evaluation import evaluate
from under20k.report.evaluation import (
    class_table,
    confusion_figure,
    confusion_table,
    draw_confusion,
    draw_gallery,
    evaluation_text,
    gallery_figure,
    misclassified,
)
from under20k.report.figures import DARK, LIGHT, PICTURE_BYTES, png, themed

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def predictions():
    """20 images, two of each class: image 3 (a 3) read as 8 surely, image 14 (a 4) as 9 hardly."""
    labels = np.tile(np.arange(10, dtype=np.uint8), 2)
    logits = np.zeros((20, 10), np.float32)
    logits[np.arange(20), labels] = 3.0
    logits[3, 8] = 9.0
    logits[14, 9] = 3.5
    images = np.arange(20, dtype=np.uint8)[:, None, None] * np.ones((1, 28, 28), np.uint8) + 100
    return images, labels, logits


def texts(figure) -> list[str]:
    return [text.get_text() for text in [*figure.texts, *(t for axes in figure.axes for t in axes.texts)]]


def test_text_of_an_evaluation(predictions):
    _, labels, logits = predictions
    evaluation = evaluate("validation", logits, labels)
    text = evaluation_text(evaluation)
    assert text.startswith(
        "✗ 90.00% validation accuracy (target 99.40%): 18 of 20 images correct, loss "
        f"{evaluation.loss:.4f}\n\nClass   Recall"
    )
    # Of class 8: two images, three predictions. Of class 3: two images, one prediction.
    assert class_table(evaluation).rows[8] == ("8", "100.00%", "66.67%", "2", "3")
    assert class_table(evaluation).rows[3] == ("3", "50.00%", "100.00%", "2", "1")
    assert confusion_table(evaluation).rows[4] == ("4", *"····1····1")


def test_a_class_without_images_has_no_figures():
    logits = np.eye(10, dtype=np.float32)[[0, 1]]
    table = class_table(evaluate("test", logits, np.array([0, 2], np.uint8)))
    assert table.rows[0] == ("0", "100.00%", "100.00%", "1", "1")
    assert table.rows[1] == ("1", "–", "0.00%", "0", "1")
    assert table.rows[2] == ("2", "0.00%", "–", "1", "0")
    assert table.rows[3] == ("3", "–", "–", "0", "0")


def test_errors_come_most_confident_first(predictions):
    _, labels, logits = predictions
    order, predicted, confidence = misclassified(labels, logits)
    assert order.tolist() == [3, 14]
    assert predicted.tolist() == [8, 9]
    by_hand = [np.exp(9) / (np.exp(9) + np.exp(3) + 8), np.exp(3.5) / (np.exp(3.5) + np.exp(3) + 8)]
    assert confidence == pytest.approx(by_hand, rel=1e-6)


def test_gallery_shows_the_misclassified(predictions):
    images, labels, logits = predictions
    figure = gallery_figure(images, labels, logits, limit=100)
    title, count, legend, *captions = texts(figure)
    assert title == "Misclassified images"
    assert count == "All 2 misclassified of 20 images, most confident errors first"
    assert legend == "true → predicted class, index in the split, confidence"
    assert captions == ["3 → 8", "#3", "99.7%", "4 → 9", "#14", "54.1%"]
    sheet = figure.axes[0].images[0].get_array()
    # Every pixel of an image has its number's value; everything else is background.
    assert {value: int((sheet == value).sum()) for value in np.unique(sheet) if value} == {103: 784, 114: 784}
    assert np.argwhere(sheet == 103)[0][1] < np.argwhere(sheet == 114)[0][1]


def test_gallery_says_how_many_it_leaves_out(predictions):
    images, labels, logits = predictions
    _, count, _, *captions = texts(gallery_figure(images, labels, logits, limit=1))
    assert count.startswith("1 of 2 misclassified of 20 images")
    assert captions == ["3 → 8", "#3", "99.7%"]


def test_gallery_of_no_errors(predictions, tmp_path):
    images, labels, logits = predictions
    keep = np.array([0, 1, 2])
    assert texts(gallery_figure(images[keep], labels[keep], logits[keep], limit=100)) == [
        "Misclassified images",
        "None of 3 images is misclassified.",
    ]
    draw_gallery(images[keep], labels[keep], logits[keep], tmp_path / "none.png")
    assert (tmp_path / "none.png").read_bytes().startswith(PNG)


def test_confusion_figure_writes_every_count_but_zero(predictions):
    _, labels, logits = predictions
    figure = confusion_figure(evaluate("validation", logits, labels))
    cells = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    diagonal = {(label, label): "2" for label in range(10)}
    # Positions are (predicted, true).
    assert cells == {**diagonal, (3, 3): "1", (4, 4): "1", (8, 3): "1", (9, 4): "1"}


def test_drawings_are_deterministic(predictions, tmp_path):
    images, labels, logits = predictions
    evaluation = evaluate("validation", logits, labels)
    for name in ("first", "second"):
        draw_confusion(evaluation, tmp_path / f"{name}-confusion.png")
        draw_gallery(images, labels, logits, tmp_path / f"{name}-gallery.png")
    for kind in ("confusion", "gallery"):
        first, second = ((tmp_path / f"{name}-{kind}.png").read_bytes() for name in ("first", "second"))
        assert first.startswith(PNG)
        assert first == second


def some_evaluation(mnist: Mnist, wrong: int):
    """Logits for the validation images, so many of them wrong."""
    labels = mnist.validation.labels
    generator = np.random.default_rng(3)
    logits = generator.normal(size=(len(labels), 10)).astype(np.float32)
    logits[np.arange(len(labels)), labels] += 12
    missed = generator.choice(len(labels), wrong, replace=False)
    logits[missed, (labels[missed] + generator.integers(1, 10, wrong)) % 10] += 24
    return evaluate("validation", logits, labels), logits


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_every_text_of_an_evaluation_is_readable(mnist, theme):
    evaluation, logits = some_evaluation(mnist, 150)
    split = mnist.validation
    matrix = confusion_figure(evaluation, theme)
    gallery = gallery_figure(split.images, split.labels, logits, theme=theme)
    for figure in (matrix, gallery):
        assert_readable(figure)
    for text, box in boxes(matrix):
        assert not struck(matrix, box), f"a line goes through {text.get_text()!r}"


def test_every_picture_of_an_evaluation_is_small(mnist):
    evaluation, logits = some_evaluation(mnist, 150)
    split = mnist.validation
    pictures = [
        *themed(lambda theme: confusion_figure(evaluation, theme)),
        *themed(lambda theme: gallery_figure(split.images, split.labels, logits, theme=theme)),
    ]
    assert all(len(picture) <= PICTURE_BYTES for picture in pictures)


def test_the_matrix_has_a_frame_and_a_border_between_cells(predictions):
    _, labels, logits = predictions
    figure = confusion_figure(evaluate("validation", logits, labels))
    with Image.open(io.BytesIO(png(figure))) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    (axes,) = figure.axes
    box = axes.bbox
    height = pixels.shape[0]
    edges = np.linspace(box.x0, box.x1, 11)
    # Between the middles of two rows, where no text is.
    row = height - round(box.y1 - box.height / 10 * 0.12)

    def drawn(x: float, colour: str) -> bool:
        near = pixels[row, round(x) - 3 : round(x) + 4]
        return bool((abs(near - 255 * np.array(to_rgb(colour))) <= 40).all(axis=-1).any())

    assert all(drawn(x, LIGHT.faint) for x in (edges[0], edges[-1]))
    assert all(drawn(x, LIGHT.grid) for x in edges[1:-1])
    assert all(spine.get_visible() for spine in axes.spines.values())


def test_only_errors_are_shaded_the_more_the_darker(predictions):
    _, labels, logits = predictions
    logits[[8, 18], 8] = 0
    logits[[8, 18], 3] = 5  # two 8s taken for 3s
    shades = confusion_figure(evaluate("validation", logits, labels)).axes[0].images[0].get_array()
    lightness = np.asarray(shades).sum(axis=-1)
    assert lightness[0, 1] == 3  # white: nothing there
    assert lightness[8, 3] < lightness[3, 8] < 3
    assert shades[0, 0][2] > shades[0, 0][0]  # blue
