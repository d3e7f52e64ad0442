"""The native CPU engine: C++ on arrays of one batch (see native/ and docs/native-engine.md).

It never imports torch. What crosses into C++ is checked here.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

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
    state_tensors,
)
from under20k.engine.machine import check_memory
from under20k.errors import UserError
from under20k.recipe.architecture import CLASSES, IMAGE_SIDE
from under20k.recipe.plan import EpochPlan, check_batches, dropout_threshold
from under20k.recipe.recipe import Recipe
from under20k.recipe.transforms import G, spline_weights
from under20k.recipe.weights import Tensors, check_tensors, check_weights

try:
    from under20k.engine import _native
except ImportError as error:
    _native = None  # type: ignore[assignment]
    # Python's words for a module that is not there speak of circular imports, which would mislead.
    _missing = "" if str(error).startswith("cannot import name") else f": {error}"

Flat = NDArray[np.float32]

ISA_VARIABLE = "UNDER20K_ISA"
EMULATION_VARIABLE = "UNDER20K_EMULATE_BF16"
BF16_ISA = "avx512bf16"  # multiplies bf16 by an instruction of its own; the others emulate that
BESIDE_BYTES = 136 * 2**20
"""Memory of a training process beside the network's: Python, MNIST, the report's pictures; measured."""


def unavailable() -> str | None:
    """Why there is no native engine here, or None where there is one."""
    if _native is None:
        return (
            "the native engine was not built when under20k was installed (it needs a C++20 compiler, GCC or "
            f"Clang; install one, then under20k again){_missing}"
        )
    return None


def library() -> Path | None:
    """The compiled engine's file, or None where there is none."""
    return None if _native is None else Path(_native.__file__)


def compiler() -> str | None:
    """Return what compiled the engine, such as ``GCC 12.2.0``; None where there is no engine.

    With fused multiply-adds, GCC and Clang give other bits: each chooses what to fuse. GCC 11 and 12 agree.
    """
    return getattr(_native, "compiler", None)


def instruction_set(precision: str = "fp32") -> str:
    """The instruction set in use: the widest of the processor, or what UNDER20K_ISA names.

    For ``bf16`` it is the one that multiplies bf16, unless UNDER20K_EMULATE_BF16 is 1. Raises UserError where
    there is none.
    """
    if reason := unavailable():
        raise UserError(reason)
    named = os.environ.get(ISA_VARIABLE, "")
    native_bf16 = precision == "bf16" and not emulated()
    if native_bf16 and named not in ("", BF16_ISA):
        raise UserError(
            f"precision: 'bf16', but {ISA_VARIABLE} is {named!r}, which does not multiply it; unset that, or "
            "use --precision fp32"
        )
    if native_bf16 and not multiplies_bf16():
        raise UserError(
            "precision: 'bf16', but this processor does not multiply it (that takes AVX512_BF16); use "
            "--precision fp32"
        )
    try:
        isa = _native.isa(BF16_ISA if native_bf16 else named)
    except ValueError as error:
        raise UserError(str(error)) from None
    if native_bf16 and not _native.bf16_as_documented(isa):
        raise UserError(
            "precision: 'bf16', but this processor's products of it are not what its maker documents; use "
            "--precision fp32"
        )
    return isa


def emulated() -> bool:
    """Whether bf16 is emulated, bit by bit, where it is asked for: for tests, and to measure accuracy.

    Not where UNDER20K_ISA names the instruction set that has the instruction.
    """
    return os.environ.get(EMULATION_VARIABLE) == "1" and os.environ.get(ISA_VARIABLE) != BF16_ISA


def multiplies_bf16() -> bool:
    """Whether the processor has the instruction, whatever it gives."""
    try:
        return bool(_native.isa(BF16_ISA))
    except ValueError:
        return False


def arithmetic(precision: str) -> str:
    """What multiplies: ``fp32 with avx2``. Raises UserError where ``precision`` is not to be had."""
    how = "emulated with" if precision == "bf16" and emulated() else "with"
    return f"{precision} {how} {instruction_set(precision)}"


def network_bytes(recipe: Recipe, threads: int = 1) -> int:
    """Memory of an engine that trains ``recipe``. Raises UserError where there is no native engine."""
    settings = _settings(recipe, _Places(recipe), threads, "fp32")
    return int(_native.network_bytes(settings, instruction_set()))


class NativeEngine:
    """Trains one recipe on the CPU, without PyTorch; see ``protocol.Engine``.

    In ``precision`` bf16 the factors of every product in training are rounded to bf16; all else is float32.
    The same bits for any number of ``threads``, which may be more than the machine has cores.
    """

    name = "native"
    device = "cpu"

    def __init__(self, recipe: Recipe, weights: Tensors, threads: int, precision: str = "fp32") -> None:
        check_weights(recipe.architecture, weights)
        self.recipe = recipe
        self.threads = threads
        self.precision = precision
        self.isa = instruction_set(precision)
        self._places = _Places(recipe)
        settings = _settings(recipe, self._places, threads, precision)
        self._bytes = _native.network_bytes(settings, self.isa)
        _check_memory(self._bytes, recipe)
        try:
            self._network = _native.Network(settings, self.isa)
        except (MemoryError, RuntimeError) as error:
            raise UserError(f"the native engine could not start: {error}") from error
        self._places.write(weights, self._network.weights)
        if recipe.average_decay:
            self._places.write(weights, self._network.average)
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
            # Memory for as many groups as there are threads, and nothing else of a training.
            recipe = Recipe("teacher", teacher.architecture, batch_size=1, momentum=0.0)
            places = _Places(recipe)
            flat = np.empty(places.total, np.float32)
            places.write(teacher.weights, flat)
            weights.append(flat)
            settings.append(_settings(recipe, places, self.threads, "fp32"))
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
                raise UserError(f"the native engine could not take its teachers: {error}") from error
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
                bilinear=plan.bilinear,
                learning_rates=np.ascontiguousarray(plan.learning_rates),
                average_decays=np.array(decays, np.float64),
                dropout_seed=plan.dropout_seed,
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
        return self._places.read(network.average if self.recipe.average_decay else network.weights)

    def state(self) -> Tensors:
        state = self._places.read(self._network.weights)
        if self.recipe.momentum:
            momentum = self._places.read(self._network.momentum)
            state |= {
                MOMENTUM_PREFIX + name: value for name, value in momentum.items() if ".running_" not in name
            }
        if self.recipe.average_decay:
            average = self._places.read(self._network.average)
            state |= {AVERAGE_PREFIX + name: value for name, value in average.items()}
        return state

    def load_state(self, state: Tensors) -> None:
        check_tensors(state_tensors(self.recipe), state, f"the state does not fit {self.recipe.name}")
        with self._exclusively():
            self._places.write(state, self._network.weights)
            if self.recipe.momentum:
                self._places.write(state, self._network.momentum, MOMENTUM_PREFIX)
            if self.recipe.average_decay:
                self._places.write(state, self._network.average, AVERAGE_PREFIX)

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        """One call at a time: C++ runs without Python's lock, so nothing else would keep two apart."""
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
                f"the plan is of images {order.min()} to {order.max()}, but there are only {images}"
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
        check_batches(self.recipe, len(order))


class _Places:
    """Where each tensor lies in the one array of all parameters that the C++ side works on."""

    def __init__(self, recipe: Recipe) -> None:
        self.shapes = recipe.architecture.tensors()
        sizes = [int(np.prod(shape)) for shape in self.shapes.values()]
        starts = [0, *itertools.accumulate(sizes)]
        self.total = starts[-1]
        self.start = dict(zip(self.shapes, starts, strict=False))
        self.size = dict(zip(self.shapes, sizes, strict=True))

    def read(self, flat: Flat) -> Tensors:
        """Copies of all tensors."""
        return {
            name: flat[self.start[name] : self.start[name] + self.size[name]].reshape(shape).copy()
            for name, shape in self.shapes.items()
        }

    def write(self, tensors: Tensors, flat: Flat, prefix: str = "") -> None:
        """Copy those tensors that there are under ``prefix``."""
        for name in self.shapes:
            if prefix + name in tensors:
                flat[self.start[name] : self.start[name] + self.size[name]] = tensors[prefix + name].ravel()


def _settings(recipe: Recipe, places: _Places, threads: int, precision: str) -> _native.Settings:
    architecture, at = recipe.architecture, places.start
    layers = []
    for index, block in enumerate(architecture.blocks):
        name = f"blocks.{index}"
        layers.append(
            _native.Layer(
                channels=block.channels,
                kernel=block.kernel,
                padding=block.padding,
                pool=block.pool,
                dropout=block.dropout,
                dropout_threshold=dropout_threshold(block.dropout),
                weight=at[architecture.kernel_name(index)],
                bias=at.get(f"{name}.conv.bias", -1),
                scale=at.get(f"{name}.batch_norm.weight", -1),
                shift=at.get(f"{name}.batch_norm.bias", -1),
                running_mean=at.get(f"{name}.batch_norm.running_mean", -1),
                running_variance=at.get(f"{name}.batch_norm.running_var", -1),
            )
        )
    head = architecture.head
    layers.append(
        _native.Layer(
            channels=CLASSES,
            kernel=head.kernel,
            padding=head.padding,
            pool=False,
            dropout=0.0,
            dropout_threshold=0,
            weight=at["head.conv.weight"],
            bias=at.get("head.conv.bias", -1),
            scale=-1,
            shift=-1,
            running_mean=-1,
            running_variance=-1,
        )
    )
    ranges = [
        _native.Range(
            begin=places.start[name],
            end=places.start[name] + places.size[name],
            trained=".running_" not in name,
            decayed=recipe.decay_all or name.endswith("conv.weight"),
        )
        for name in places.shapes
    ]
    return _native.Settings(
        layers=layers,
        pool_first=head.pool_first,
        ranges=ranges,
        parameters=places.total,
        batch_size=recipe.batch_size,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
        label_smoothing=recipe.label_smoothing,
        averages=recipe.average_decay > 0,
        threads=threads,
        bf16=precision == "bf16",
    )


def _check_memory(needed: float, recipe: Recipe) -> None:
    """Raise UserError where a process with this engine would need more memory than it may use."""
    check_memory(
        BESIDE_BYTES + needed, f"training {recipe.architecture} in batches of {recipe.batch_size} images"
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
        raise UserError(f"labels: {labels.max()} among them; allowed are 0 to {CLASSES - 1}")
    return np.ascontiguousarray(labels)


def _described(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    return type(value).__name__
