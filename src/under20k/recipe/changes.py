"""The settings of a recipe as keyword arguments, for type checkers and for editors that complete names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar

if TYPE_CHECKING:
    from under20k.recipe.architecture import Architecture
    from under20k.recipe.recipe import Recipe

F = TypeVar("F", bound=Callable[..., Any])


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
    drawn_share: float
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
    stroke_px: float
    low_resolution: float
    bitmap: float
    fade_epochs: int
    fade_strength: float
    teacher: Recipe | None
    teachers: int
    temperature: float
    teacher_share: float


class _Unchanged:
    """The default of every change, in a signature."""

    def __repr__(self) -> str:
        return "..."


def lists_changes(function: F) -> F:
    """Have a function that takes ``**changes: Unpack[RecipeChanges]`` name each of them in its signature.

    An editor reads them off the annotation; a notebook's kernel completes what ``inspect.signature`` lists.
    """
    signature = inspect.signature(function)
    *parameters, rest = signature.parameters.values()
    named = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=_Unchanged(),
            annotation=getattr(kind, "__forward_arg__", kind),
        )
        for name, kind in RecipeChanges.__annotations__.items()
    ]
    listed = signature.replace(parameters=[*parameters, *named, rest])
    function.__signature__ = listed  # type: ignore[attr-defined]
    return function
