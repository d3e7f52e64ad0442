"""The native CPU engine: C++ that computes on whole batches (see native/ and docs/native-engine.md).

It never imports torch. Everything that is passed to C++ is checked here.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from under20k.engine.base import (
    AVERAGE_PREFIX,
    MOMENTUM_PREFIX,
    EpochResult,
    Images,
    Labels,
    Teacher,
    average_decay,
    check_taught,
    divergence,
    drawn_bytes,
    state_tensors,
)
from under20k.engine.isa import _native, instruction_set
from under20k.engine.machine import check_memory
from under20k.engine.native_graph import network_settings
from under20k.engine.native_layout import ParameterLayout
from under20k.errors import UserError
from under20k.recipe.architecture import CLASSES, IMAGE_SIDE
from under20k.recipe.filters import HIGHEST_SIDE, LOWEST_SIDE, resampling
from under20k.recipe.plan import EpochPlan, check_batches
from under20k.recipe.recipe import Recipe
from under20k.recipe.transforms import G, spline_weights
from under20k.recipe.weights import Tensors, check_tensors, check_weights

if TYPE_CHECKING:
    from under20k.engine.native_graph import AnySettings

BESIDE_BYTES = 136 * 2**20
"""Measured memory of a training process without the network: Python, MNIST, the report's pictures."""


def network_bytes(recipe: Recipe, threads: int = 1) -> int:
    """Return the memory of an engine that trains ``recipe``. Raises UserError if it was not built."""
    isa = instruction_set()
    settings = network_settings(recipe, ParameterLayout(recipe), threads, "fp32")
    return int(_native.network_bytes(settings, isa))


class NativeEngine:
    """Trains one recipe on the CPU, without PyTorch; see ``base.Engine``.

    With ``precision`` bf16 the factors of every product in training are rounded to bf16; all else is float32.
    The bits do not depend on the number of ``threads``, which may exceed the number of cores.
    """

    name = "native"
    device = "cpu"

    def __init__(self, recipe: Recipe, weights: Tensors, threads: int, precision: str = "fp32") -> None:
        check_weights(recipe.architecture, weights)
        self.recipe = recipe
        self.threads = threads
        self.precision = precision
        self.isa = instruction_set(precision)
        self._layout = ParameterLayout(recipe)
        settings = network_settings(recipe, self._layout, threads, precision)
        self._bytes = _native.network_bytes(settings, self.isa)
        _check_memory(self._bytes, recipe)
        try:
            self._network = _created(settings, self.isa)
        except (MemoryError, RuntimeError) as error:
            raise UserError(f"the native engine could not start: {error}") from error
        self._layout.write(weights, self._network.weights)
        if recipe.average_decay:
            self._layout.write(weights, self._network.average)
        self._teachers = 0
        self._in_use = threading.Lock()
        self._process = os.getpid()

    def learn_from(self, teachers: Sequence[Teacher]) -> None:
        check_taught(self.recipe, len(teachers))
        if not (distillation := self.recipe.distillation):
            return
        settings, weights, needed = [], [], self._bytes
        for teacher in teachers:
            check_weights(teacher.architecture, teacher.weights)
            # Memory for one group per thread, and none of a training's.
            recipe = Recipe("teacher", teacher.architecture, batch_size=1, momentum=0.0)
            layout = ParameterLayout(recipe)
            flat = np.empty(layout.total, np.float32)
            layout.write(teacher.weights, flat)
            weights.append(flat)
            settings.append(network_settings(recipe, layout, self.threads, "fp32"))
            needed += _native.network_bytes(settings[-1], self.isa)
        _check_memory(needed, self.recipe)
        with self._exclusively():
            try:
                self._network.learn_from(
                    settings=settings,
                    weights=weights,
                    temperature=distillation.temperature,
                    share=distillation.teacher_share,
                )
            except (MemoryError, RuntimeError) as error:
                raise UserError(f"the native engine could not set its teachers: {error}") from error
        self._teachers = len(teachers)

    def train_epoch(
        self, images: Images, labels: Labels, plan: EpochPlan, on_step: Callable[[int], None]
    ) -> EpochResult:
        check_taught(self.recipe, self._teachers)
        images, labels = _checked_images(images), _checked_labels(labels, len(images))
        self._check_plan(plan, len(images))
        first = (plan.epoch - 1) * plan.steps
        decays = [average_decay(self.recipe, first + step) for step in range(plan.steps)]
        with self._exclusively():
            loss, correct, diverged = self._network.train_epoch(
                images=images,
                labels=labels,
                order=np.ascontiguousarray(plan.order),
                matrices=None if plan.matrices is None else np.ascontiguousarray(plan.matrices),
                grids=None if plan.grids is None else np.ascontiguousarray(plan.grids),
                spline_weights=spline_weights(),
                filters=None if plan.filters is None else np.ascontiguousarray(plan.filters),
                resampling=resampling(),
                bilinear=plan.bilinear,
                learning_rates=np.ascontiguousarray(plan.learning_rates),
                average_decays=np.array(decays, np.float64),
                dropout_seed=plan.dropout_seed,
                first_step=first,
                on_step=on_step,
            )
        if diverged >= 0:
            raise divergence(plan, diverged)
        return EpochResult(loss / len(plan.order), correct)

    def logits(self, images: Images) -> NDArray[np.float32]:
        images = _checked_images(images)
        with self._exclusively():
            return self._network.logits(images)

    def weights(self) -> Tensors:
        network = self._network
        return self._layout.read(network.average if self.recipe.average_decay else network.weights)

    def state(self) -> Tensors:
        state = self._layout.read(self._network.weights)
        if self.recipe.momentum:
            momentum = self._layout.read(self._network.momentum)
            state |= {
                MOMENTUM_PREFIX + name: value
                for name, value in momentum.items()
                if name in self.recipe.architecture.trained_names
            }
        if self.recipe.average_decay:
            average = self._layout.read(self._network.average)
            state |= {AVERAGE_PREFIX + name: value for name, value in average.items()}
        return state

    def load_state(self, state: Tensors) -> None:
        check_tensors(state_tensors(self.recipe), state, f"the state does not fit {self.recipe.name}")
        with self._exclusively():
            self._layout.write(state, self._network.weights)
            if self.recipe.momentum:
                self._layout.write(state, self._network.momentum, MOMENTUM_PREFIX)
            if self.recipe.average_decay:
                self._layout.write(state, self._network.average, AVERAGE_PREFIX)

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        """Allow one call at a time: C++ runs without Python's lock, so nothing else would separate two."""
        if os.getpid() != self._process:
            raise RuntimeError(
                "a native engine does not survive a fork; create it in the process that uses it"
            )
        if not self._in_use.acquire(blocking=False):
            raise RuntimeError("this engine is busy with another call")
        try:
            yield
        finally:
            self._in_use.release()

    def _check_plan(self, plan: EpochPlan, images: int) -> None:
        order = plan.order
        if order.dtype != np.int32 or order.ndim != 1 or len(order) == 0:
            raise UserError(f"the plan's order is {order.dtype} {order.shape}, not int32 (N,) with N above 0")
        if order.min() < 0 or order.max() >= images:
            raise UserError(
                f"the plan has images {order.min()} to {order.max()}, but there are only {images}"
            )
        if plan.batch_size != self.recipe.batch_size or plan.steps != -(-len(order) // plan.batch_size):
            raise UserError(
                f"the plan has {plan.steps} steps of {plan.batch_size} images for {len(order)}; the recipe's "
                f"batch size is {self.recipe.batch_size}"
            )
        matrices = plan.matrices
        if matrices is not None and (matrices.dtype != np.int32 or matrices.shape != (len(order), 2, 3)):
            raise UserError(
                f"the plan's matrices are {matrices.dtype} {matrices.shape}, not int32 {(len(order), 2, 3)}"
            )
        grids, expected = plan.grids, (len(order), 2, G, G)
        if grids is not None and (matrices is None or grids.dtype != np.int16 or grids.shape != expected):
            raise UserError(
                f"the plan's grids are {grids.dtype} {grids.shape}, not int16 {expected} beside matrices"
            )
        filters = plan.filters
        if filters is not None:
            if filters.dtype != np.int16 or filters.shape != (len(order), 3):
                raise UserError(
                    f"the plan's filters are {filters.dtype} {filters.shape}, not int16 {(len(order), 3)}"
                )
            sides = filters[:, 1]
            if ((sides != 0) & ((sides < LOWEST_SIDE) | (sides > HIGHEST_SIDE))).any():
                raise UserError(
                    f"the plan has low resolutions of {sides.min()} to {sides.max()} pixels; expected "
                    f"{LOWEST_SIDE} to {HIGHEST_SIDE}, or 0 for none"
                )
        check_batches(self.recipe, len(order))


def _created(settings: AnySettings, isa: str) -> _native.TrainedNetwork:
    if isinstance(settings, _native.Settings):
        return _native.Network(settings, isa)
    return _native.GraphNetwork(settings, isa)


def _check_memory(needed: float, recipe: Recipe) -> None:
    """Raise UserError if a process with this engine would need more memory than it may use."""
    check_memory(
        BESIDE_BYTES + drawn_bytes(recipe) + needed,
        f"training {recipe.architecture} in batches of {recipe.batch_size} images",
    )


def _checked_images(images: Images) -> Images:
    expected = (IMAGE_SIDE, IMAGE_SIDE)
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[1:] != expected:
        raise UserError(f"images are {_described(images)}, not uint8 (N, {IMAGE_SIDE}, {IMAGE_SIDE})")
    return np.ascontiguousarray(images)


def _checked_labels(labels: Labels, images: int) -> Labels:
    if not isinstance(labels, np.ndarray) or labels.dtype != np.uint8 or labels.shape != (images,):
        raise UserError(f"labels are {_described(labels)}, not uint8 ({images},), one for each image")
    if len(labels) and labels.max() >= CLASSES:
        raise UserError(f"labels: {labels.max()}; expected 0 to {CLASSES - 1}")
    return np.ascontiguousarray(labels)


def _described(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    return type(value).__name__
