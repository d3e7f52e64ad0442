"""Hypothesis strategies: any architecture that fits the image, any recipe."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from under20k.engine.base import Teacher
from under20k.recipe.architecture import IMAGE_SIDE, Architecture
from under20k.recipe.blocks import KERNELS, Conv, Head
from under20k.recipe.recipe import Augmentation, Distillation, Recipe, Schedule
from under20k.recipe.weights import initial_weights

PROBABILITIES = st.sampled_from([0.0, 0.05, 0.25, 1e-07]) | st.floats(0, 0.9)


@st.composite
def architectures(
    draw: st.DrawFn, max_blocks: int = 6, max_channels: int = 6, chain: bool = False
) -> Architecture:
    """Every combination of windows, flags and heads, as long as no map becomes empty; of two blocks that
    could share their weights, every second pair does, and every second shortcut that fits is added.

    Half of them, or all with ``chain``, have the 1×1 and 3×3 kernels alone that make a chain.
    """
    chain = chain or draw(st.booleans())
    kernels = (1, 3) if chain else KERNELS
    side, channels = IMAGE_SIDE, 1
    blocks: list[Conv] = []
    taken: list[tuple[int, int]] = []  # channels and side of each block's input
    square = False  # whether the last block gives as many channels as it takes
    for _ in range(draw(st.integers(1, max_blocks))):
        shared, inputs = square and draw(st.booleans()), channels
        taken.append((inputs, side))
        if not shared:
            channels = draw(st.integers(1, max_channels) | st.just(inputs))
        kernel, padding = draw(windows(side, (blocks[-1].kernel,) if shared else kernels))
        stride, groups = 1, blocks[-1].groups if shared else 1
        if not chain:
            stride = draw(st.sampled_from([1, 1, 2]))
            dividing = [n for n in range(1, channels + 1) if channels % n == inputs % n == 0]
            groups = groups if shared else draw(st.sampled_from(dividing))
        square = channels == inputs
        side = (side + 2 * padding - kernel) // stride + 1
        spans = [n for n in range(1, len(taken) + 1) if taken[-n] == (channels, side)]
        residual = draw(st.sampled_from([0, *spans])) if spans and not chain else 0
        pool = side >= 2 and draw(st.booleans())
        side = side // 2 if pool else side
        blocks.append(
            Conv(
                channels=channels,
                kernel=kernel,
                padding=padding,
                batch_norm=draw(st.booleans()),
                pool=pool,
                dropout=draw(PROBABILITIES),
                bias=draw(st.booleans()),
                shared=shared,
                stride=stride,
                groups=groups,
                residual=residual,
            )
        )
    pool_first = draw(st.booleans())
    kernel, padding = (1, 0) if pool_first else draw(windows(side, kernels))
    return Architecture(tuple(blocks), Head(kernel, padding, pool_first, bias=draw(st.booleans())))


def windows(side: int, kernels: Sequence[int]) -> st.SearchStrategy[tuple[int, int]]:
    """Kernel, one of these, and padding of a convolution that fits a map of this side."""
    paddings = {(kernel, kernel // 2) for kernel in kernels}
    return st.sampled_from(sorted(paddings | {(kernel, 0) for kernel in kernels if kernel <= side}))


SCHEDULES = st.builds(
    Schedule,
    schedule=st.sampled_from(["constant", "step", "one-cycle"]),
    step_epochs=st.integers(1, 1000),
    step_factor=st.floats(0, 1),
    warmup_fraction=st.floats(0, 1),
    start_fraction=st.floats(0, 1),
    end_fraction=st.floats(0, 1),
)
AUGMENTATIONS = st.builds(
    Augmentation,
    rotation_deg=st.floats(0, 180),
    translation_px=st.floats(0, 28),
    scale=st.floats(0, 0.9),
    shear=st.floats(0, 2),
    elastic_px=st.floats(0, 28),
    stroke_px=st.floats(0, 4) | st.just(0.0),
    low_resolution=st.floats(0, 1) | st.just(0.0),
    bitmap=st.floats(0, 1) | st.just(0.0),
    interpolation=st.sampled_from(["nearest", "bilinear"]),
    fade_epochs=st.integers(0, 1000),
    fade_strength=st.floats(0, 1),
)


@st.composite
def recipes(draw: st.DrawFn, taught: bool = True) -> Recipe:
    """Any recipe, its settings over their whole ranges; one in two with teachers, if it may be ``taught``."""
    settings: dict[str, Any] = {
        "name": draw(st.text(min_size=1)),
        "architecture": draw(architectures()),
        "epochs": draw(st.integers(1, 1000)),
        "batch_size": draw(st.integers(1, 50_000)),
        "learning_rate": draw(st.floats(0, 100)),
        "momentum": draw(st.floats(0, 1, exclude_max=True)),
        "weight_decay": draw(st.floats(0, 1)),
        "decay_all": draw(st.booleans()),
        "label_smoothing": draw(st.floats(0, 1, exclude_max=True)),
        "average_decay": draw(st.floats(0, 1, exclude_max=True)),
        "drawn_share": draw(st.just(0.0) | st.floats(0, 1, exclude_max=True)),
        "schedule": draw(SCHEDULES),
        "augmentation": draw(AUGMENTATIONS),
    }
    nesterov = bool(settings["momentum"]) and draw(st.booleans())
    teaching = draw(distillations(recipes(taught=False))) if taught and draw(st.booleans()) else None
    return Recipe(nesterov=nesterov, distillation=teaching, **settings)


@st.composite
def distillations(draw: st.DrawFn, teachers: st.SearchStrategy[Recipe], most: int = 16) -> Distillation:
    """Up to so many of these teachers, at any temperature and share."""
    return Distillation(
        draw(teachers), draw(st.integers(1, most)), draw(st.floats(0.1, 100)), draw(st.floats(0, 1))
    )


def teachers_of(recipe: Recipe) -> list[Teacher]:
    """Untrained networks in the place of a recipe's teachers, their logits as far apart as trained ones'."""
    if not (teaching := recipe.distillation):
        return []
    teachers = []
    for seed in range(teaching.teachers):
        weights = initial_weights(teaching.teacher.architecture, seed)
        weights["head.conv.weight"] *= 20
        teachers.append(Teacher(teaching.teacher.architecture, weights))
    return teachers
