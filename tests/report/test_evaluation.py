import numpy as np
import pytest

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
    title, *captions = texts(figure)
    assert title.startswith("All 2 misclassified of 20 images, most confident errors first")
    assert captions == ["3 → 8", "99.7%", "4 → 9", "54.1%"]
    sheet = figure.axes[0].images[0].get_array()
    # Every pixel of an image has its number's value; everything else is background.
    assert {value: int((sheet == value).sum()) for value in np.unique(sheet) if value} == {103: 784, 114: 784}
    assert np.argwhere(sheet == 103)[0][1] < np.argwhere(sheet == 114)[0][1]


def test_gallery_says_how_many_it_leaves_out(predictions):
    images, labels, logits = predictions
    title, *captions = texts(gallery_figure(images, labels, logits, limit=1))
    assert title.startswith("1 of 2 misclassified of 20 images")
    assert captions == ["3 → 8", "99.7%"]


def test_gallery_of_no_errors(predictions, tmp_path):
    images, labels, logits = predictions
    keep = np.array([0, 1, 2])
    assert texts(gallery_figure(images[keep], labels[keep], logits[keep], limit=100)) == [
        "None of 3 images is misclassified."
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
