"""A scikit-learn classifier of 28×28 images, trained by a recipe. Needs the extra ``sklearn``.

>>> from under20k.sklearn import DigitClassifier
>>> DigitClassifier("minimal-plus", seed=0).fit(images, labels).score(others, their_labels)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from under20k.deploy.calibration import softmax
from under20k.deploy.evaluator import LANES
from under20k.deploy.images import as_images
from under20k.deploy.model import Model
from under20k.engine.base import Compute, Divergence, Images, Labels, Teacher
from under20k.engine.select import check_training_memory, create
from under20k.errors import InvalidValue, UserError
from under20k.recipe.architecture import CLASSES, IMAGE_SIDE
from under20k.recipe.drawn import drawn_digits
from under20k.recipe.fields import instance
from under20k.recipe.limits import DRAWN_IMAGES
from under20k.recipe.named import as_recipe
from under20k.recipe.plan import epoch_plan
from under20k.recipe.recipe import Recipe
from under20k.recipe.seeds import check_seed
from under20k.recipe.weights import Tensors

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_array, check_is_fitted, check_non_negative, validate_data
except ImportError as error:
    raise ImportError(
        "under20k.sklearn needs scikit-learn 1.6 or later; install it with: pip install 'under20k[sklearn]'",
        name=error.name,
    ) from error

PIXELS = IMAGE_SIDE**2
FEWEST_IMAGES = 2
STEPS_AT_LEAST = 40
"""Of an epoch, where the batches can be made small enough."""
NOT_IMAGES = f"fits a table of a few columns; an image has {PIXELS} pixels"
ROUNDING = 1e-6
"""By which a scaler before the classifier may exceed 1, without its images being taken for ones in 0–255."""
EXPECTED_FAILED_CHECKS = dict.fromkeys(
    (
        "check_fit_score_takes_y",
        "check_estimators_overwrite_params",
        "check_dont_overwrite_parameters",
        "check_estimators_fit_returns_self",
        "check_readonly_memmap_input",
        "check_n_features_in_after_fitting",
        "check_estimators_dtypes",
        "check_dtype_object",
        "check_pipeline_consistency",
        "check_estimators_nan_inf",
        "check_estimators_pickle",
        "check_f_contiguous_array_estimator",
        "check_classifier_data_not_an_array",
        "check_classifiers_one_label",
        "check_classifiers_classes",
        "check_classifiers_train",
        "check_supervised_y_2d",
        "check_methods_sample_order_invariance",
        "check_methods_subset_invariance",
        "check_dict_unchanged",
        "check_fit_idempotent",
        "check_fit_check_is_fitted",
        "check_n_features_in",
        "check_fit2d_predict1d",
    ),
    NOT_IMAGES,
)
"""The checks of ``sklearn.utils.estimator_checks`` that ``DigitClassifier`` cannot pass, and why.

``check_estimator`` and ``parametrize_with_checks`` take it as ``expected_failed_checks``.
"""
SHAPES = f"(N, {PIXELS}) or (N, {IMAGE_SIDE}, {IMAGE_SIDE})"


class DigitClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A convolutional network with fewer than 20,000 parameters, trained on the images that it is given.

    Images are (N, 784) or (N, 28, 28): integers from 0 (background) to 255 (ink), or floats in 0–1 or 0–255.
    Labels are any, of ten classes at most. The same recipe, seed and data give the same bits, on any number
    of threads.

    A recipe is made for 50,000 images. With fewer than 5,000, batches are smaller than the recipe's, so that
    an epoch still has enough steps; with a few hundred, more ``epochs`` help, too.

    Args:
        recipe: the name of a recipe, or a ``Recipe``.
        seed: determines all random choices.
        epochs: passes over the images; None leaves the recipe's.
        batch_size: images per step; None is the recipe's, or a fortieth of the images, but at least 16.
        learning_rate: its peak; None leaves the recipe's.
        compute: engine and threads; None is the native engine on all cores, where it is built.

    Attributes:
        classes_: (K,) the labels, sorted.
        n_features_in_: 784.
        feature_names_in_: names of the columns, if ``X`` had any.
        model_: the trained ``Model``; its class k is ``classes_[k]``.
        loss_curve_: mean training loss of each epoch.
    """

    def __init__(
        self,
        recipe: Recipe | str = "minimal-plus",
        *,
        seed: int = 0,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        compute: Compute | None = None,
    ) -> None:
        self.recipe = recipe
        self.seed = seed
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.compute = compute

    def fit(self, X: ArrayLike, y: ArrayLike) -> DigitClassifier:
        """Train on images (N, 784) or (N, 28, 28) and their labels (N,), from the beginning.

        Raises ValueError for invalid parameters, images or labels.
        """
        with _value_errors():
            recipe, seed = self._recipe(), check_seed(_plain(self.seed))
            compute = Compute() if self.compute is None else self.compute
            instance("compute", compute, Compute, "a Compute or None")
        table, y = validate_data(self, _flat(X), y, ensure_min_samples=FEWEST_IMAGES, dtype="numeric")
        check_classification_targets(y)
        with _value_errors():
            images = self._images(table)
            if self.batch_size is None:
                recipe = _with_enough_steps(recipe, len(images))
            classes, labels = np.unique(y, return_inverse=True)
            _check_classes(classes, recipe)
            weights, losses = _trained(recipe, seed, compute, images, labels.astype(np.uint8))
            self.model_ = Model(recipe.name, recipe, weights, compute=compute)
        self.classes_, self.loss_curve_ = classes, losses
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the most probable label of each image, (N,)."""
        best = self._logits(X).argmax(1)
        labels: NDArray[Any] = self.classes_[best]
        return labels

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the probability of each class, float64 (N, K), in the order of ``classes_``."""
        return softmax(self._logits(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.positive_only = True
        return tags

    def _logits(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return the logits of the classes that were trained, (N, K)."""
        check_is_fitted(self)
        table = validate_data(self, _flat(X), reset=False, dtype="numeric")
        with _value_errors():
            images = self._images(table)
            return self.model_.logits(images)[:, : len(self.classes_)]

    def _images(self, table: NDArray[Any]) -> Images:
        """Return (N, 784) as uint8 (N, 28, 28). Raises ValueError or UserError for what is no images."""
        check_non_negative(table, type(self).__name__)
        if table.shape[1] != PIXELS:
            raise InvalidValue(f"X has {table.shape[1]} feature(s) per image; expected {SHAPES}")
        if table.dtype.kind == "f" and 1 < table.max() <= 1 + ROUNDING:
            table = np.minimum(table, 1)
        return as_images(table)

    def _recipe(self) -> Recipe:
        """Return the recipe with the changes. Raises UserError for invalid ones."""
        recipe = as_recipe("recipe", self.recipe)
        changes = {name: getattr(self, name) for name in ("epochs", "batch_size", "learning_rate")}
        given = {name: _plain(value) for name, value in changes.items() if value is not None}
        return recipe.with_changes(**given)


@contextmanager
def _value_errors() -> Iterator[None]:
    """Turn UserError into InvalidValue, a ValueError, which scikit-learn expects of bad input."""
    try:
        yield
    except InvalidValue:
        raise
    except UserError as error:
        raise InvalidValue(str(error)) from error


def _plain(value: Any) -> Any:
    """Return NumPy's numbers, which a search for parameters may set, as Python's."""
    if isinstance(value, np.bool_ | bool):
        return value
    return int(value) if isinstance(value, Integral) else float(value) if isinstance(value, Real) else value


def _flat(X: Any) -> Any:
    """Return images (N, 28, 28) as (N, 784), and anything with fewer dimensions as it is."""
    if not isinstance(X, list | tuple) and getattr(X, "ndim", 0) < 3:
        return X
    array = check_array(X, allow_nd=True, ensure_2d=False, ensure_min_samples=0, dtype="numeric")
    if array.ndim < 3:
        return X
    if array.shape[1:] not in ((IMAGE_SIDE, IMAGE_SIDE), (1, IMAGE_SIDE, IMAGE_SIDE)):
        raise InvalidValue(f"images have the shape {array.shape}; expected {SHAPES}")
    return array.reshape(-1, PIXELS)


def _with_enough_steps(recipe: Recipe, images: int) -> Recipe:
    """Return the recipe, with smaller batches where there are few images."""
    few = max(images // STEPS_AT_LEAST // LANES * LANES, LANES)
    return replace(recipe, batch_size=min(recipe.batch_size, few))


def _check_classes(classes: NDArray[Any], recipe: Recipe) -> None:
    """Raise InvalidValue where ``recipe`` cannot be trained on these labels."""
    if len(classes) > CLASSES:
        raise InvalidValue(f"y has {len(classes)} classes; expected at most {CLASSES}")
    if recipe.drawn_share and [str(label) for label in classes] != [str(digit) for digit in range(CLASSES)]:
        raise InvalidValue(
            f"recipe: {recipe.name} adds drawn digits to each batch, so it needs the labels 0 to 9; "
            f"y has {', '.join(map(str, classes))}; take another recipe, or drawn_share 0"
        )


def _trained(
    recipe: Recipe, seed: int, compute: Compute, images: Images, labels: Labels
) -> tuple[Tensors, list[float]]:
    """Train a recipe, its teachers first, and return the weights and the loss of each epoch.

    Args:
        recipe: what to train.
        seed: determines all random choices.
        compute: engine and threads.
        images: uint8 (N, 28, 28).
        labels: uint8 (N,), from 0 to 9.

    Raises:
        UserError: the loss is not finite, or this machine lacks something.
    """
    engine = create(recipe, seed, compute)
    check_training_memory(engine, recipe)
    if recipe.distillation:
        teacher = _with_enough_steps(recipe.distillation.teacher, len(images))
        engine.learn_from(
            [
                Teacher(teacher.architecture, _trained(teacher, its_seed, compute, images, labels)[0])
                for its_seed in recipe.distillation.seeds(seed)
            ]
        )
    given = len(images)
    if recipe.drawn_share:
        drawn = drawn_digits(DRAWN_IMAGES, seed)
        images, labels = np.concatenate([images, drawn[0]]), np.concatenate([labels, drawn[1]])
    losses = []
    for epoch in range(1, recipe.epochs + 1):
        plan = epoch_plan(recipe, seed, epoch, given, drawn=len(images) - given)
        losses.append(engine.train_epoch(images, labels, plan, lambda done: None).loss)
    weights = engine.weights()
    if not all(np.isfinite(values).all() for values in weights.values()):
        raise Divergence(f"the weights diverged; lower learning_rate, which is {recipe.learning_rate:g}")
    return weights, losses
