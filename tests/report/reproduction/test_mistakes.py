import io

import numpy as np
import pytest
from PIL import Image

from tests.support.benches import bench_of
from under20k.data import Split
from under20k.engine.evaluation import Evaluation, evaluate
from under20k.report.document import Grid, Heading, Text
from under20k.report.reproduction.mistakes import Mistakes, confusions, mistakes_blocks

LABELS = np.arange(10, dtype=np.uint8).repeat(10)


def evaluated(wrong: dict[int, int]) -> Evaluation:
    """Of a hundred images, ten a class in order, all but the given indices are predicted as they are."""
    predicted = LABELS.copy()
    predicted[list(wrong)] = list(wrong.values())
    logits = np.eye(10, dtype=np.float32)[predicted] * 9
    figures = evaluate("validation", logits, LABELS)
    return Evaluation(**{**vars(figures), "logits": logits})


@pytest.fixture
def split() -> Split:
    images = np.random.default_rng(1).integers(0, 256, (len(LABELS), 28, 28), dtype=np.uint8)
    return Split("validation", images, LABELS)


def test_the_commonest_confusions_come_first():
    found = evaluated({40: 9, 41: 9, 42: 9, 70: 2, 71: 2, 0: 6, 10: 7})
    assert confusions(found) == "Most often confused: 4 as 9 (3), 7 as 2 (2) and 0 as 6 (1)."
    assert confusions(evaluated({40: 9})) == "Most often confused: 4 as 9 (1)."
    assert confusions(evaluated({})) == "No image is misclassified."


def test_each_recipe_has_its_confusions_and_its_images(split):
    wrong = evaluated({40: 9, 41: 9})
    blocks = mistakes_blocks([bench_of([0.99])], Mistakes(0, split, {"small": wrong, "other": wrong}))
    heading, text, grid = blocks
    assert heading == Heading("small, seed 0")
    assert text == Text("98 of 100 images correct (98.00%). Most often confused: 4 as 9 (2).")
    assert isinstance(grid, Grid)
    assert [picture.file for picture in grid.pictures] == ["confusion-small.png", "misclassified-small.png"]
    assert [picture.alt for picture in grid.pictures] == [
        "Confusion matrix of small, true class by predicted class: 98 of 100 images correct (98.00%).",
        "2 images that small misclassifies, the most confident errors first.",
    ]
    for picture in grid.pictures:
        assert Image.open(io.BytesIO(picture.png)).size == picture.size


def test_a_recipe_without_an_evaluation_is_left_out(split):
    assert mistakes_blocks([bench_of([0.99])], Mistakes(0, split, {})) == ()
