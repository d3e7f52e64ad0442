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
        dropout_stream: int,
        weight: int,
        bias: int,
        scale: int,
        shift: int,
        running_mean: int,
        running_variance: int,
        momentum: float = 0.1,
        epsilon: float = 1e-5,
    ) -> None: ...

class Range:
    def __init__(self, *, begin: int, end: int, trained: bool, decayed: bool) -> None: ...

class Training:
    def __init__(
        self,
        *,
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

class Settings:
    def __init__(self, *, training: Training, layers: list[Layer], pool_first: bool) -> None: ...

class Node:
    groups: int
    max: bool
    count_padding: bool
    adaptive: bool
    probability: float
    dropout_threshold: int
    stream: int
    whole_channels: bool
    factor: float
    offset: float
    weight: int
    bias: int
    slopes: int
    running_mean: int
    running_variance: int
    momentum: float
    epsilon: float
    def __init__(self, operation: str, inputs: list[int], shape: tuple[int, int, int]) -> None: ...
    def slide(
        self,
        *,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        padding: tuple[int, int],
        dilation: tuple[int, int],
    ) -> None: ...
    def apply(self, function: str, slope: float) -> None: ...

class GraphSettings:
    def __init__(self, *, training: Training, nodes: list[Node]) -> None: ...

class TrainedNetwork:
    @property
    def weights(self) -> NDArray[np.float32]: ...
    @property
    def momentum(self) -> NDArray[np.float32]: ...
    @property
    def average(self) -> NDArray[np.float32]: ...
    def learn_from(
        self,
        *,
        settings: list[Settings | GraphSettings],
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
        first_step: int,
        on_step: Callable[[int], None],
    ) -> tuple[float, int, int]: ...
    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]: ...

class Network(TrainedNetwork):
    def __init__(self, settings: Settings, isa: str) -> None: ...

class GraphNetwork(TrainedNetwork):
    def __init__(self, settings: GraphSettings, isa: str) -> None: ...

compiler: str

constants: dict[str, float]

def isa(name: str) -> str: ...
def bf16_as_documented(isa: str) -> bool: ...
def supports_bf16(settings: GraphSettings, isa: str) -> bool: ...
def network_bytes(settings: Settings | GraphSettings, isa: str) -> int: ...
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
