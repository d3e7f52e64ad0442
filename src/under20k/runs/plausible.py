"""Find values that no training writes: the checks that runs, benches and records share.

Each ``…_faults`` function returns what is wrong, in words that end a sentence such as
``metrics.jsonl is damaged: …``; an empty list if nothing is. Whoever reads a file refuses it with the first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeGuard

from under20k.engine.base import MAX_THREADS
from under20k.recipe.architecture import CLASSES
from under20k.recipe.limits import TEST_IMAGES, VALIDATION_IMAGES
from under20k.recipe.seeds import MAX_SEED

IMAGE_ROUNDING = 1e-6  # images, in an accuracy times the size of its split
FIGURE_ROUNDING = 1e-12  # relative, between figures computed from the same counts
MAX_CORES = 65_536
MAX_NUMERICS = 10_000
CHOICES = {"engine": ("native", "torch"), "precision": ("fp32", "bf16", "fp64")}
TEXTS = (
    *("started", "command", "engine", "precision", "instruction_set", "device", "under20k", "git"),
    *("git_diff", "code", "native_build", "compiler", "python", "system", "processor"),
)
"""Entries of an environment that hold text, or are missing."""
TEACHER = {"recipe", "seed", "validation_accuracy", "time_s"}
"""Entries of an environment's note of a teacher."""
AMOUNT = "expected a finite number from 0"


def accuracy_faults(name: str, accuracy: float, images: int) -> list[str]:
    """Return what is wrong with an accuracy: it must be a whole number of images over the split's size.

    Args:
        name: begins the sentence.
        accuracy: a fraction.
        images: the size of the split.
    """
    correct = accuracy * images
    if 0 <= correct <= images and abs(correct - round(correct)) <= IMAGE_ROUNDING:
        return []
    return [f"{name} {accuracy!r:.80} is not a multiple of 1/{images:,} from 0 to 1"]


def reading_faults(reading: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a reading of the test set: an ``Evaluation`` with its date and command."""
    faults = []
    correct, images = reading.get("correct"), reading.get("images")
    if not is_count(images, TEST_IMAGES, TEST_IMAGES) or not is_count(correct, 0, TEST_IMAGES):
        faults.append(
            f"{correct!r:.80} of {images!r:.80} is not a test accuracy; expected 0 to {TEST_IMAGES} of "
            f"{TEST_IMAGES}"
        )
    elif not is_figure(accuracy := reading.get("accuracy", correct / images)) or not math.isclose(
        accuracy, correct / images, rel_tol=FIGURE_ROUNDING
    ):
        faults.append(f"accuracy is {accuracy!r:.80}, but {correct} of {images} are correct")
    if moment(reading.get("read")) is None:
        faults.append(f"read is {reading.get('read')!r:.80}; expected a date and time")
    if reading.get("split", "test") != "test":
        faults.append(f"split is {reading['split']!r:.80}; expected test")
    if not is_amount(loss := reading.get("loss", 0.0)):
        faults.append(f"loss is {loss!r:.80}; {AMOUNT}")
    faults += [
        f"{name} is {reading[name]!r:.80}; expected text"
        for name in ("command", "engine")
        if not isinstance(reading.get(name, ""), str)
    ]
    return faults or _class_faults(reading)


def _class_faults(reading: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a reading's figures by class, each optional."""
    faults = []
    for name in ("precision", "recall"):
        values = reading.get(name, [0.0] * CLASSES)
        if not _is_list(values, CLASSES) or not all(is_figure(value) and 0 <= value <= 1 for value in values):
            faults.append(f"{name} is {values!r:.80}; expected {CLASSES} fractions")
    if "confusion" not in reading or faults:
        return faults
    rows = reading["confusion"]
    if not _is_list(rows, CLASSES) or not all(
        _is_list(row, CLASSES) and all(is_count(value, 0, TEST_IMAGES) for value in row) for row in rows
    ):
        return [f"confusion is {rows!r:.80}; expected {CLASSES} × {CLASSES} numbers of images"]
    of_class, predicted = [sum(row) for row in rows], [sum(column) for column in zip(*rows, strict=True)]
    right = [rows[label][label] for label in range(CLASSES)]
    if sum(of_class) != TEST_IMAGES or sum(right) != reading["correct"]:
        faults.append(
            f"confusion has {sum(right)} of {sum(of_class)} images correct, expected "
            f"{reading['correct']} of {TEST_IMAGES}"
        )
    for name, totals in (("precision", predicted), ("recall", of_class)):
        expected = [part / whole if whole else 0.0 for part, whole in zip(right, totals, strict=True)]
        given = reading.get(name, expected)
        if not all(
            math.isclose(*pair, rel_tol=FIGURE_ROUNDING) for pair in zip(given, expected, strict=True)
        ):
            faults.append(f"{name} does not follow from confusion")
    return faults


def teacher_faults(teacher: Any) -> list[str]:
    """Return what is wrong with an environment's note of a teacher."""
    if not isinstance(teacher, dict) or teacher.keys() != TEACHER:
        return [f"a teacher is {teacher!r:.80}; expected an object of {', '.join(sorted(TEACHER))}"]
    faults = []
    if not isinstance(teacher["recipe"], str) or not is_count(teacher["seed"], 0, MAX_SEED):
        faults.append(f"a teacher is {teacher['recipe']!r:.80} with seed {teacher['seed']!r:.80}")
    accuracy, time_s = teacher["validation_accuracy"], teacher["time_s"]
    if is_figure(accuracy):
        faults += accuracy_faults("a teacher's accuracy", accuracy, VALIDATION_IMAGES)
    else:
        faults.append(f"a teacher's accuracy is {accuracy!r:.80}; expected a number")
    if not is_amount(time_s):
        faults.append(f"a teacher's time_s is {time_s!r:.80}; {AMOUNT}")
    return faults


def environment_faults(environment: Any) -> list[str]:
    """Return what is wrong with an environment and those of its later sessions. Every entry is optional."""
    if not isinstance(environment, dict):
        return [f"an environment is {environment!r:.80}; expected an object"]
    faults = _entry_faults(environment)
    teachers = environment.get("teachers", [])
    if isinstance(teachers, list):
        faults += [fault for teacher in teachers for fault in teacher_faults(teacher)]
    else:
        faults.append(f"teachers is {teachers!r:.80}; expected a list")
    resumed = environment.get("resumed", [])
    if not isinstance(resumed, list):
        return [*faults, f"resumed is {resumed!r:.80}; expected a list of environments"]
    for session in resumed:
        if isinstance(session, dict) and "resumed" in session:
            faults.append("a session in resumed has an entry resumed itself")
        else:
            faults += environment_faults(session)
    return faults


def _entry_faults(environment: Mapping[str, Any]) -> list[str]:
    faults = []
    for name in TEXTS:
        value = environment.get(name)
        if value is not None and (not isinstance(value, str) or value not in CHOICES.get(name, (value,))):
            allowed = " or ".join(CHOICES[name]) if name in CHOICES else "text"
            faults.append(f"{name} is {value!r:.80}; expected {allowed}")
    if environment.get("started") is not None and moment(environment["started"]) is None:
        faults.append(f"started is {environment['started']!r:.80}; expected a date and time")
    for name, most in (("threads", MAX_THREADS), ("cores", MAX_CORES), ("numerics", MAX_NUMERICS)):
        value = environment.get(name)
        if value is not None and not is_count(value, 1, most):
            faults.append(f"{name} is {value!r:.80}; expected a whole number from 1 to {most}")
    packages = environment.get("packages")
    if packages is not None and not (
        isinstance(packages, dict) and all(isinstance(version, str | None) for version in packages.values())
    ):
        faults.append(f"packages is {packages!r:.80}; expected a version for each name")
    return faults


def is_amount(value: Any) -> bool:
    """Return whether a value is a finite number from 0."""
    return is_figure(value) and value >= 0


def is_figure(value: Any) -> bool:
    """Return whether a value is a finite number that a float holds."""
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:  # an integer of hundreds of digits
        return False


def is_count(value: Any, least: int, most: int | None = None) -> TypeGuard[int]:
    """Return whether a value is an integer, and not a bool, from ``least`` to ``most``."""
    return type(value) is int and least <= value and (most is None or value <= most)


def moment(value: Any) -> datetime | None:
    """Return the date and time that text in ISO 8601 names; None if it names none."""
    try:
        found = datetime.fromisoformat(value)
        found.timestamp()  # raises if it is out of range
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return found


def _is_list(value: Any, length: int) -> bool:
    return isinstance(value, list) and len(value) == length
