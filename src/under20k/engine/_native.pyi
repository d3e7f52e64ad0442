"""The C++ side of the native engine (native/bindings/module.cpp)."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

class Layer:
    def __init__(
        self,
        *,
        channels: int,
        kernel: int,
        padding: int,
        pool: bool,
        dropout: float,
        dropout_threshold: int,
        weight: int,
        bias: int,
        scale: int,
        shift: int,
        running_mean: int,
        running_variance: int,
    ) -> None: ...

class Range:
    def __init__(self, *, begin: int, end: int, trained: bool, decayed: bool) -> None: ...

class Settings:
    def __init__(
        self,
        *,
        layers: list[Layer],
        pool_first: bool,
        ranges: list[Range],
        parameters: int,
        batch_size: int,
        momentum: float,
        weight_decay: float,
        nesterov: bool,
        label_smoothing: float,
        averages: bool,
        threads: int,
        bf16: bool,
    ) -> None: ...

class Network:
    def __init__(self, settings: Settings, isa: str) -> None: ...
    @property
    def weights(self) -> NDArray[np.float32]: ...
    @property
    def momentum(self) -> NDArray[np.float32]: ...
    @property
    def average(self) -> NDArray[np.float32]: ...
    def learn_from(
        self,
        *,
        settings: list[Settings],
        weights: list[NDArray[np.float32]],
        temperature: float,
        share: float,
    ) -> None: ...
    def train_epoch(
        self,
        *,
        images: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        order: NDArray[np.int32],
        matrices: NDArray[np.int32] | None,
        grids: NDArray[np.int16] | None,
        spline_weights: NDArray[np.int32],
        filters: NDArray[np.int16] | None,
        resampling: NDArray[np.int16],
        bilinear: bool,
        learning_rates: NDArray[np.float64],
        average_decays: NDArray[np.float64],
        dropout_seed: int,
        on_step: Callable[[int], None],
    ) -> tuple[float, int, int]: ...
    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]: ...

compiler: str

constants: dict[str, float]

def isa(name: str) -> str: ...
def bf16_as_documented(isa: str) -> bool: ...
def network_bytes(settings: Settings, isa: str) -> int: ...
def time_multiply_adds(isa: str, rounds: int) -> tuple[float, float]: ...
def time_convolution(
    *,
    isa: str,
    which: str,
    kernel: int,
    padding: int,
    inputs: int,
    outputs: int,
    side: int,
    repetitions: int,
) -> tuple[float, float]: ...
