"""Figures that no training gives: the one check of what runs, benches and records hold.

Each function lists what is wrong, in words that end a sentence such as ``metrics.jsonl is damaged: …``; an
empty list where nothing is. Whoever reads a file refuses it with the first of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from under20k.recipe.limits import TEST_IMAGES, TRAIN_IMAGES, VALIDATION_IMAGES
from under20k.recipe.recipe import Recipe

if TYPE_CHECKING:
    from under20k.runs.metrics import EpochMetrics

ROUNDING = 1e-6  # of an image, in an accuracy
RATE_ROUNDING = 1e-9  # relative, in a learning rate
TIME_ROUNDING = 1e-6  # relative, between times that follow from each other
MAX_THREADS = 1024
MAX_NUMERICS = 10_000
KNOWN = {"engine": ("native", "torch"), "precision": ("fp32", "bf16", "fp64")}
TEXTS = (
    *("started", "command", "engine", "precision", "instruction_set", "device", "under20k", "git"),
    *("git_diff", "code", "native_build", "compiler", "python", "system", "processor"),
)
"""What an environment says in words, or not at all."""
TEACHER = {"recipe", "seed", "validation_accuracy", "time_s"}
"""What a run's environment notes of each teacher."""
CLASSES = 10


def epoch_faults(epochs: Sequence[EpochMetrics], recipe: Recipe) -> list[str]:
    """What is wrong with the epochs of a training by ``recipe``, finished or not, on all of MNIST."""
    if [epoch.epoch for epoch in epochs] != list(range(1, len(epochs) + 1)):
        return ["its epochs do not count from 1 onwards"]
    if len(epochs) > recipe.epochs:
        return [f"it has {len(epochs)} epochs, and its recipe {recipe.epochs}"]
    return [f"epoch {epoch.epoch}: {fault}" for epoch in epochs for fault in _of_epoch(epoch, recipe)]


def _of_epoch(epoch: EpochMetrics, recipe: Recipe) -> list[str]:
    faults = []
    for name, images in (("train_accuracy", TRAIN_IMAGES), ("validation_accuracy", VALIDATION_IMAGES)):
        accuracy = getattr(epoch, name)
        if not counts_images(accuracy, images):
            faults.append(f"{name} {accuracy!r} is no share of {images:,} images")
    for name in ("train_loss", "validation_loss", "train_time_s", "total_time_s", "images_per_s"):
        if not is_amount(value := getattr(epoch, name)):
            faults.append(f"{name} is {value!r}; it is finite and not negative")
    steps = -(-TRAIN_IMAGES // recipe.batch_size)
    planned = recipe.learning_rate_at((epoch.epoch - 1) * steps, steps)
    if not math.isclose(epoch.learning_rate, planned, rel_tol=RATE_ROUNDING, abs_tol=1e-300):
        faults.append(f"learning_rate is {epoch.learning_rate!r}; by its recipe it is {planned!r}")
    if faults:
        return faults
    if epoch.train_time_s > epoch.total_time_s * (1 + TIME_ROUNDING):
        faults.append(
            f"train_time_s {epoch.train_time_s!r} is more than total_time_s {epoch.total_time_s!r}, "
            "which includes it"
        )
    if not math.isclose(epoch.images_per_s * epoch.train_time_s, TRAIN_IMAGES, rel_tol=TIME_ROUNDING):
        faults.append(
            f"images_per_s is {epoch.images_per_s!r}; {TRAIN_IMAGES:,} images in {epoch.train_time_s!r} s "
            "are another number"
        )
    return faults


def reading_faults(reading: Mapping[str, Any]) -> list[str]:
    """What is wrong with a reading of the test set: ``Evaluation.to_dict`` with when and how it was read."""
    faults = []
    correct, images = reading.get("correct"), reading.get("images")
    if not _is_count(images, TEST_IMAGES) or images != TEST_IMAGES or not _is_count(correct, TEST_IMAGES):
        faults.append(f"{correct!r:.80} of {images!r:.80} is no test accuracy")
    elif not is_figure(accuracy := reading.get("accuracy", correct / images)) or not math.isclose(
        accuracy, correct / images, rel_tol=1e-12
    ):
        faults.append(f"accuracy is {accuracy!r:.80}, and {correct} of {images} are another")
    if not _is_date(reading.get("read")):
        faults.append(f"read is {reading.get('read')!r:.80}; it is a date and time")
    if reading.get("split", "test") != "test":
        faults.append(f"split is {reading['split']!r:.80}; it is test")
    if not is_amount(loss := reading.get("loss", 0.0)):
        faults.append(f"loss is {loss!r:.80}; it is finite and not negative")
    faults += [
        f"{name} is {reading[name]!r:.80}; it is a text"
        for name in ("command", "engine")
        if not isinstance(reading.get(name, ""), str)
    ]
    if not faults:
        faults += _of_classes(reading)
    return faults


def _of_classes(reading: Mapping[str, Any]) -> list[str]:
    """What is wrong with a reading's figures by class, each optional."""
    faults = []
    for name in ("precision", "recall"):
        values = reading.get(name, [0.0] * CLASSES)
        if not _is_list(values, CLASSES) or not all(is_figure(value) and 0 <= value <= 1 for value in values):
            faults.append(f"{name} is {values!r:.80}; it is {CLASSES} fractions")
    if "confusion" not in reading or faults:
        return faults
    rows = reading["confusion"]
    if not _is_list(rows, CLASSES) or not all(
        _is_list(row, CLASSES) and all(_is_count(value, TEST_IMAGES) for value in row) for row in rows
    ):
        return [f"confusion is {rows!r:.80}; it is {CLASSES} × {CLASSES} numbers of images"]
    of_class, predicted = [sum(row) for row in rows], [sum(column) for column in zip(*rows, strict=True)]
    right = [rows[label][label] for label in range(CLASSES)]
    if sum(of_class) != TEST_IMAGES or sum(right) != reading["correct"]:
        faults.append(
            f"confusion counts {sum(right)} of {sum(of_class)} images as correct, "
            f"not {reading['correct']} of {TEST_IMAGES}"
        )
    for name, of in (("precision", predicted), ("recall", of_class)):
        expected = [part / whole if whole else 0.0 for part, whole in zip(right, of, strict=True)]
        given = reading.get(name, expected)
        if not all(math.isclose(*pair, rel_tol=1e-12) for pair in zip(given, expected, strict=True)):
            faults.append(f"{name} does not follow from confusion")
    return faults


def teacher_faults(teacher: Any) -> list[str]:
    """What is wrong with a run's note of one of its teachers."""
    if not isinstance(teacher, dict) or teacher.keys() != TEACHER:
        return [f"a teacher is {teacher!r:.80}; it has {', '.join(sorted(TEACHER))}"]
    faults = []
    if not isinstance(teacher["recipe"], str) or not _is_count(teacher["seed"], 2**32 - 1):
        faults.append(f"a teacher is {teacher['recipe']!r:.80} with seed {teacher['seed']!r:.80}")
    accuracy, time_s = teacher["validation_accuracy"], teacher["time_s"]
    if not is_figure(accuracy) or not counts_images(accuracy, VALIDATION_IMAGES):
        faults.append(f"a teacher's accuracy {accuracy!r:.80} is no share of {VALIDATION_IMAGES:,} images")
    if not is_amount(time_s):
        faults.append(f"a teacher's time_s is {time_s!r:.80}; it is finite and not negative")
    return faults


def environment_faults(environment: Any) -> list[str]:
    """What is wrong with a run's environment, those of its later sessions included; all of it is optional."""
    if not isinstance(environment, dict):
        return [f"an environment is {environment!r:.80}; it is an object"]
    faults = []
    for name in TEXTS:
        value = environment.get(name)
        if value is not None and (not isinstance(value, str) or value not in KNOWN.get(name, (value,))):
            allowed = " or ".join(KNOWN[name]) if name in KNOWN else "a text"
            faults.append(f"{name} is {value!r:.80}; it is {allowed}")
    if environment.get("started") is not None and not _is_date(environment["started"]):
        faults.append(f"started is {environment['started']!r:.80}; it is a date and time")
    for name, most in (("threads", MAX_THREADS), ("cores", 2**20), ("numerics", MAX_NUMERICS)):
        value = environment.get(name)
        if value is not None and not (_is_count(value, most) and value):
            faults.append(f"{name} is {value!r:.80}; it is a whole number from 1 to {most}")
    packages = environment.get("packages")
    if packages is not None and not (
        isinstance(packages, dict) and all(isinstance(version, str | None) for version in packages.values())
    ):
        faults.append(f"packages is {packages!r:.80}; it names each with its version")
    teachers = environment.get("teachers", [])
    if isinstance(teachers, list):
        faults += [fault for teacher in teachers for fault in teacher_faults(teacher)]
    else:
        faults.append(f"teachers is {teachers!r:.80}; it is a list")
    resumed = environment.get("resumed", [])
    if not isinstance(resumed, list):
        return [*faults, f"resumed is {resumed!r:.80}; it is a list of environments"]
    for session in resumed:
        if isinstance(session, dict) and "resumed" in session:
            faults.append("a later session has been resumed by itself")
        else:
            faults += environment_faults(session)
    return faults


def counts_images(accuracy: float, images: int) -> bool:
    """Whether a finite ``accuracy`` is the share of a whole number of so many images."""
    count = accuracy * images
    return 0 <= count <= images and abs(count - round(count)) <= ROUNDING


def is_amount(value: Any) -> bool:
    """Whether it is a finite number, and not negative."""
    return is_figure(value) and value >= 0


def is_figure(value: Any) -> bool:
    """Whether it is a finite number that a float holds."""
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def _is_count(value: Any, most: int) -> bool:
    return type(value) is int and 0 <= value <= most


def _is_list(value: Any, length: int) -> bool:
    return isinstance(value, list) and len(value) == length


def _is_date(value: Any) -> bool:
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True
