"""The settings of a recipe as keyword arguments, for type checkers and for editors that complete names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from under20k.recipe.architecture import Architecture
    from under20k.recipe.recipe import Recipe


class RecipeChanges(TypedDict, total=False):
    """What ``Recipe.with_changes`` takes; ``recipe.settings`` says what each one is, and its range."""

    architecture: Architecture | str
    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float
    nesterov: bool
    weight_decay: float
    decay_all: bool
    label_smoothing: float
    average_decay: float
    schedule: Literal["constant", "step", "one-cycle"]
    step_epochs: int
    step_factor: float
    warmup_fraction: float
    start_fraction: float
    end_fraction: float
    rotation_deg: float
    translation_px: float
    scale: float
    shear: float
    interpolation: Literal["nearest", "bilinear"]
    elastic_px: float
    fade_epochs: int
    fade_strength: float
    teacher: Recipe | None
    teachers: int
    temperature: float
    teacher_share: float
