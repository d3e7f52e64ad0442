"""DigitClassifier by scikit-learn's own checks and tools, and against a training of the same recipe."""

import contextlib
import io
import pickle
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from tests.support import ROOT
from tests.support.table_classifier import TableClassifier
from under20k.data import Mnist, Split
from under20k.engine.base import Compute
from under20k.engine.isa import unavailable
from under20k.engine.select import create
from under20k.errors import UserError
from under20k.recipe.named import MINIMAL_PLUS, RECIPES
from under20k.runs.loop import train_epochs
from under20k.sklearn import EXPECTED_FAILED_CHECKS, NOT_IMAGES, DigitClassifier

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

pytestmark = pytest.mark.skipif(bool(unavailable()), reason="the torch engine is slow here")


@pytest.fixture(scope="module")
def digits():
    """600 images that look like MNIST's, uint8 (N, 28, 28), and their labels: drawn by the program."""
    from under20k.recipe.drawn import drawn_digits

    return drawn_digits(600, 0)


@pytest.fixture(scope="module")
def fitted(digits):
    images, labels = digits
    return DigitClassifier(epochs=10).fit(images[:500], labels[:500])


@parametrize_with_checks([DigitClassifier()], expected_failed_checks=lambda _: EXPECTED_FAILED_CHECKS)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@parametrize_with_checks([TableClassifier()])
def test_every_check_passes_with_tables_drawn_as_images(estimator, check):
    check(estimator)


def test_an_expected_failure_is_due_to_tables_that_are_no_images():
    assert set(EXPECTED_FAILED_CHECKS.values()) == {NOT_IMAGES}
    results = check_estimator(DigitClassifier(), on_fail=None, on_skip=None)
    failed = [result for result in results if result["status"] == "failed"]
    assert {result["check_name"] for result in failed} == set(EXPECTED_FAILED_CHECKS)
    for result in failed:
        error = result["exception"]
        causes = [error, error.__cause__, error.__context__]
        assert any("feature(s) per image" in str(cause) for cause in causes), result["check_name"]


def test_it_learns(fitted, digits):
    images, labels = digits
    assert fitted.score(images[500:], labels[500:]) > 0.8
    assert fitted.loss_curve_[-1] < fitted.loss_curve_[0]
    assert len(fitted.loss_curve_) == 10
    assert fitted.classes_.tolist() == list(range(10))
    assert fitted.n_features_in_ == 784


def test_the_training_is_the_recipes(digits):
    images, labels = digits
    data = Mnist(Split("train", images, labels), Split("validation", images[:100], labels[:100]))
    recipe = replace(MINIMAL_PLUS, epochs=2)
    engine = create(recipe, 3, Compute())
    losses = [metrics.train_loss for metrics in train_epochs(recipe, 3, data, engine)]
    ours = DigitClassifier(seed=3, epochs=2, batch_size=recipe.batch_size).fit(images, labels)
    assert ours.loss_curve_ == losses
    for name, values in engine.weights().items():
        assert np.array_equal(ours.model_.weights[name], values)


def test_batches_are_small_where_images_are_few(digits):
    images, labels = digits
    assert DigitClassifier(epochs=1).fit(images, labels).model_.recipe.batch_size == 16
    many = np.tile(images, (10, 1, 1)), np.tile(labels, 10)
    assert DigitClassifier(epochs=1).fit(*many).model_.recipe.batch_size == MINIMAL_PLUS.batch_size
    some = images.repeat(5, 0), labels.repeat(5)
    assert DigitClassifier(epochs=1).fit(*some).model_.recipe.batch_size == 64


def test_every_form_of_images_gives_the_same(digits):
    images, labels = digits
    expected = DigitClassifier(epochs=1).fit(images[:60], labels[:60]).predict_proba(images)
    forms = {
        "flat": images.reshape(-1, 784),
        "with a channel": images[:, None],
        "floats to 1": images.astype(np.float32) / 255,
        "floats to 255": images.reshape(-1, 784).astype(np.float64),
        "int64": images.astype(np.int64),
        "lists": images.tolist(),
    }
    for name, form in forms.items():
        ours = DigitClassifier(epochs=1).fit(form[:60], labels[:60])
        assert np.array_equal(ours.predict_proba(form), expected), name


def test_probabilities_do_not_depend_on_the_other_images(fitted, digits):
    images, _ = digits
    together = fitted.predict_proba(images[:40])
    for size in (1, 3, 15, 17):
        parts = [fitted.predict_proba(images[i : min(i + size, 40)]) for i in range(0, 40, size)]
        assert np.array_equal(np.concatenate(parts), together)
    assert np.allclose(together.sum(1), 1)
    assert np.array_equal(fitted.predict(images[:40]), fitted.classes_[together.argmax(1)])
    assert fitted.predict_proba(images[:40]).shape == (40, 10)


def test_labels_may_be_any_ten_or_fewer(digits):
    images, labels = digits
    chosen = np.isin(labels, (3, 7, 8))
    words = np.array([NAMES[digit] for digit in labels])
    ours = DigitClassifier(epochs=30).fit(images[chosen], words[chosen])
    assert ours.classes_.tolist() == ["eight", "seven", "three"]
    assert ours.predict_proba(images[:5]).shape == (5, 3)
    assert ours.score(images[chosen], words[chosen]) > 0.9
    alone = DigitClassifier(epochs=1).fit(images[labels == 4], labels[labels == 4])
    assert set(alone.predict(images)) == {4}


def test_it_is_cloned_searched_and_kept(fitted, digits):
    images, labels = digits
    kept = pickle.dumps(fitted)
    again = pickle.loads(kept)  # noqa: S301 - our own
    assert np.array_equal(again.predict_proba(images), fitted.predict_proba(images))
    again = clone(fitted).set_params(seed=5)
    assert again.get_params() == fitted.get_params() | {"seed": 5}
    assert not hasattr(again, "classes_")
    scaled = make_pipeline(FunctionTransformer(lambda X: X / np.nextafter(255, 0)), again)  # to 1 and a bit
    scores = cross_val_score(scaled, images.reshape(-1, 784), labels, cv=2)
    assert scores.min() > 0.5
    # What NumPy counts is taken for a number.
    search = GridSearchCV(DigitClassifier(), {"epochs": np.arange(1, 3), "seed": np.arange(2)}, cv=2)
    search.fit(images[:100], labels[:100])
    assert search.best_params_["epochs"] in (1, 2)


def test_a_recipe_with_teachers_and_one_with_drawn_digits_are_trained(digits):
    images, labels = digits
    taught = MINIMAL_PLUS.with_changes(architecture="4p,4p,4|l", teacher=MINIMAL_PLUS, teachers=1, epochs=1)
    plain = MINIMAL_PLUS.with_changes(architecture="4p,4p,4|l", epochs=1)
    with_teacher = DigitClassifier(taught).fit(images[:100], labels[:100])
    without = DigitClassifier(plain).fit(images[:100], labels[:100])
    assert not np.array_equal(with_teacher.predict_proba(images), without.predict_proba(images))
    drawn = DigitClassifier(RECIPES["robust"], epochs=1).fit(images, labels.astype(str))
    assert drawn.predict(images[:3]).dtype.kind == "U"
    with pytest.raises(ValueError, match=r"robust adds drawn digits .*; y has 0, 1; take another recipe"):
        DigitClassifier("robust").fit(images[labels < 2], labels[labels < 2])


def test_no_file_is_written(digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    DigitClassifier(epochs=1).fit(*digits)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"recipe": "minimal-pus"}, "there is no recipe 'minimal-pus'; did you mean 'minimal-plus'"),
        ({"recipe": 3}, "recipe: 3; expected a Recipe or the name of one"),
        ({"seed": -1}, "seed: -1; expected a whole number from 0"),
        ({"seed": None}, "seed: None; expected"),
        ({"epochs": 0}, "epochs: 0; expected a whole number from 1"),
        ({"batch_size": 2.5}, "batch_size: 2.5; expected a whole number"),
        ({"learning_rate": float("nan")}, "learning_rate: nan; expected a number"),
        ({"compute": "native"}, "compute: 'native'; expected a Compute or None"),
        ({"learning_rate": 100.0}, "the weights diverged; lower learning_rate, which is 100"),
    ],
)
def test_invalid_parameters_are_named(digits, parameters, said):
    images, labels = digits
    with pytest.raises(ValueError, match=said) as raised:
        DigitClassifier(**parameters).fit(images[:50], labels[:50])
    assert isinstance(raised.value, UserError)


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (np.zeros((4, 8, 8)), [0, 1, 0, 1], r"shape \(4, 8, 8\); expected \(N, 784\) or \(N, 28, 28\)"),
        (np.zeros((4, 64)), [0, 1, 0, 1], r"X has 64 feature\(s\) per image; expected \(N, 784\)"),
        (np.zeros((28, 28)), [0] * 28, r"X has 28 feature\(s\) per image"),
        (np.full((2, 784), -1), [0, 1], "Negative values"),
        (np.full((2, 28, 28), 256), [0, 1], "pixels from 256 to 256"),
        (np.full((2, 28, 28), np.nan), [0, 1], "NaN"),
        (np.zeros((1, 784)), [0], "minimum of 2 is required"),
        (np.zeros((3, 784)), [0, 1], "inconsistent numbers of samples"),
        (np.zeros((11, 784)), range(11), "y has 11 classes; expected at most 10"),
        (np.zeros((4, 784)), [0.1, 0.2, 0.3, 0.4], "Unknown label type: continuous"),
    ],
)
def test_invalid_images_and_labels_are_named(images, labels, said):
    with pytest.raises(ValueError, match=said):
        DigitClassifier().fit(images, labels)


def test_a_missing_scikit_learn_says_the_command():
    program = "import sys; sys.modules['sklearn'] = None; import under20k; print('imported'); "
    done = subprocess.run(
        [sys.executable, "-c", program + "import under20k.sklearn"], capture_output=True, text=True
    )
    assert done.stdout == "imported\n"
    assert "pip install 'under20k[sklearn]'" in done.stderr.splitlines()[-1]


def test_it_imports_neither_torch_nor_matplotlib():
    program = "import sys, under20k.sklearn; print({'torch', 'matplotlib'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_the_page_is_executed_and_lists_every_exception(digits, monkeypatch):
    images, labels = digits
    page = (ROOT / "docs" / "sklearn.md").read_text("utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    mnist = Mnist(Split("train", images, labels), Split("validation", images[:100], labels[:100]))
    monkeypatch.setattr("under20k.load_mnist", lambda: mnist, raising=False)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(example, {})
    first, second, *_ = printed.getvalue().splitlines()
    assert min(float(first), float(second)) > 0.6
    assert sorted(re.findall(r"`(check_\w+)`", page.partition("## scikit-learn's checks")[2])) == sorted(
        EXPECTED_FAILED_CHECKS
    )
