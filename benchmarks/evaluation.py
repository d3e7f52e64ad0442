"""Evaluation and logits: the native engine against ONNX Runtime, and against PyTorch in three ways.

The others are handed images that are normalised already; the native engine normalises inside, as it always
does.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.amount import Amount, cores_used
from benchmarks.turns import Unavailable, in_turns, seconds
from under20k.data import load
from under20k.data.mnist import Split
from under20k.engine.base import MEAN, STANDARD_DEVIATION, Compute, Engine
from under20k.engine.select import create
from under20k.recipe.named import MINIMAL
from under20k.recipe.plan import epoch_plan
from under20k.recipe.recipe import Recipe

NATIVE, ONNX = "native", "ONNX Runtime"
EAGER, CHANNELS_LAST, COMPILE = "torch eager", "torch channels_last", "torch compile"
TORCH = (EAGER, CHANNELS_LAST, COMPILE)

TRAINED = 12_800  # images; the network has seen digits, so that its activations are those of use
TOLERANCE = 1e-3  # of the largest logit, between any two

Logits = Callable[[NDArray[Any]], NDArray[np.float32]]


def measure(amount: Amount, tell: Callable[[str], None]) -> dict[str, Any]:
    """Plain values: seconds turn by turn of an evaluation, of a batch's logits, and of one image's."""
    data = load()
    validation = Split(
        "validation", data.validation.images[: amount.evaluated], data.validation.labels[: amount.evaluated]
    )
    threads = cores_used()
    trained = create(MINIMAL, 0, Compute("native", threads=threads))
    images = min(TRAINED, amount.images)
    trained.train_epoch(
        data.train.images[:images],
        data.train.labels[:images],
        epoch_plan(MINIMAL, 0, 1, images),
        lambda done: None,
    )
    contenders, missing = contestants(trained, MINIMAL, amount, tell)
    pixels = validation.images
    inputs: dict[str, NDArray[Any]] = {
        name: pixels if name == NATIVE else normalised(pixels) for name in contenders
    }
    agree(contenders, inputs, amount.batch)

    def evaluation(name: str) -> float:
        return seconds(lambda: correct(contenders[name], inputs[name], validation.labels, amount.batch))

    def turns(what: str, timer: Callable[[str], float]) -> dict[str, list[float]]:
        return warm_turns(contenders, timer, amount.rounds, lambda text: tell(f"{what}: {text}"))

    return {
        "recipe": MINIMAL.name,
        "threads": threads,
        "batch": amount.batch,
        "evaluated": len(validation),
        "evaluation_s": turns("evaluation", evaluation),
        "batch_s": turns("a batch", batch_timer(contenders, inputs, amount)),
        "one_image_s": turns("one image", single_timer(contenders, inputs, amount)),
        "unavailable": missing,
    }


def normalised(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return images (N, 28, 28) as a network takes them, (N, 1, 28, 28)."""
    shifted = pixels / np.float32(255) - np.float32(MEAN)
    return (shifted / np.float32(STANDARD_DEVIATION))[:, None].astype(np.float32)


def batch_timer(
    contenders: dict[str, Logits], inputs: dict[str, NDArray[Any]], amount: Amount
) -> Callable[[str], float]:
    """Return a function from a contender's name to its seconds for a batch."""

    def timer(name: str) -> float:
        images = inputs[name]
        blocks = [images[i : i + amount.batch] for i in range(0, len(images), amount.batch)]
        return seconds(lambda: [contenders[name](block) for block in blocks]) / len(blocks)

    return timer


def single_timer(
    contenders: dict[str, Logits], inputs: dict[str, NDArray[Any]], amount: Amount
) -> Callable[[str], float]:
    """Return a function from a contender's name to its seconds for one image."""

    def timer(name: str) -> float:
        images = [inputs[name][i : i + 1] for i in range(amount.single)]
        return seconds(lambda: [contenders[name](image) for image in images]) / len(images)

    return timer


def warm_turns(
    contenders: Iterable[str], timer: Callable[[str], float], rounds: int, tell: Callable[[str], None]
) -> dict[str, list[float]]:
    """Return what ``timer`` gives for each contender, turn by turn, each after one that does not count."""

    def warmed(name: str) -> Callable[[], float]:
        return lambda: (timer(name), timer(name))[1]  # its threads awake, its memory at hand

    return in_turns({name: warmed(name) for name in contenders}, rounds, tell)


def correct(logits: Logits, images: NDArray[Any], labels: NDArray[np.uint8], batch: int) -> int:
    """Return the number of correctly classified images, evaluated batch by batch."""
    starts = range(0, len(labels), batch)
    return sum(
        int((logits(images[i : i + batch]).argmax(axis=1) == labels[i : i + batch]).sum()) for i in starts
    )


def agree(contenders: dict[str, Logits], inputs: dict[str, NDArray[Any]], batch: int) -> None:
    """Raise AssertionError unless all give the same logits except for rounding, for a batch and one image."""
    for images in (batch, 1):
        answers = {name: logits(inputs[name][:images]) for name, logits in contenders.items()}
        expected = answers[NATIVE]
        for name, answer in answers.items():
            far = float(np.abs(answer - expected).max())
            assert far <= TOLERANCE * np.abs(expected).max(), f"{name} is off by {far}"


def contestants(
    native: Engine, recipe: Recipe, amount: Amount, tell: Callable[[str], None]
) -> tuple[dict[str, Logits], dict[str, str]]:
    """Return functions from images to logits by contender, and why the other contenders are unavailable."""
    network = torch_network(recipe, native)
    makers: dict[str, Callable[[], Logits]] = {
        ONNX: lambda: onnx_runtime(network, native.threads),
        **torch_makers(network, amount),
    }
    contenders, missing = prepared(makers, tell)
    return {NATIVE: native.logits, **contenders}, missing


def prepared(
    makers: dict[str, Callable[[], Logits]], tell: Callable[[str], None]
) -> tuple[dict[str, Logits], dict[str, str]]:
    """Return the contenders that can be made, and why the others cannot."""
    contenders: dict[str, Logits] = {}
    missing: dict[str, str] = {}
    for name, make in makers.items():
        tell(f"preparing {name}")
        try:
            contenders[name] = make()
        except Unavailable as reason:
            missing[name] = str(reason)
    return contenders, missing


def torch_network(recipe: Recipe, native: Engine) -> Any:
    """Return a PyTorch module with the engine's weights; PyTorch has as many threads from now on."""
    import torch

    from under20k.engine.module import Network

    torch.set_num_threads(native.threads)
    network = Network(recipe.in_notation)
    weights = {name: torch.tensor(value) for name, value in native.weights().items()}
    network.load_state_dict(weights, strict=False)  # without BatchNorm's count of batches, which is not used
    return network.eval().requires_grad_(False)


def torch_makers(network: Any, amount: Amount) -> dict[str, Callable[[], Logits]]:
    """Return what makes PyTorch's contenders, each by its name."""
    import torch

    return {
        EAGER: lambda: torch_logits(network, torch.contiguous_format),
        CHANNELS_LAST: lambda: torch_logits(network, torch.channels_last),
        COMPILE: lambda: compiled(network, amount),
    }


def torch_logits(network: Any, layout: Any) -> Logits:
    """PyTorch's answer, eager, with images and weights in that order of memory."""
    import torch

    own = copy.deepcopy(network).to(memory_format=layout)

    def logits(images: NDArray[Any]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return numpy_of(own.logits(torch.from_numpy(images).contiguous(memory_format=layout)))

    return logits


def numpy_of(tensor: Any) -> NDArray[np.float32]:
    """A tensor's own memory as an array."""
    array: NDArray[np.float32] = tensor.numpy()
    return array


def compiled(network: Any, amount: Amount) -> Logits:
    """PyTorch's answer, compiled for a batch and for one image. Raises Unavailable where that fails."""
    import torch

    if not amount.compile:
        raise Unavailable("left out")
    function = torch.compile(network.logits, dynamic=False)

    def logits(images: NDArray[Any]) -> NDArray[np.float32]:
        with torch.inference_mode():
            answer: Any = function(torch.from_numpy(images))  # type: ignore[no-untyped-call]
            return numpy_of(answer)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for size in {amount.batch, 1}:
                logits(np.zeros((size, 1, 28, 28), np.float32))
    except Exception as error:  # of any kind: there are many ways for a compiler to be missing
        raise Unavailable(f"torch.compile fails here: {first_line(error)}") from error
    return logits


def onnx_runtime(network: Any, threads: int) -> Logits:
    """ONNX Runtime's answer; it optimises the graph itself. Raises Unavailable where it is not installed."""
    try:
        import onnxruntime
    except ImportError as error:
        raise Unavailable("not installed; the dependency group 'benchmark' has it") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(exported(network), options, providers=["CPUExecutionProvider"])

    def logits(images: NDArray[Any]) -> NDArray[np.float32]:
        (answer,) = session.run(None, {"images": images})
        result: NDArray[np.float32] = answer
        return result

    return logits


def exported(network: Any) -> bytes:
    """The network's logits as an ONNX model for any number of images. Raises Unavailable where that fails."""
    import torch

    class LogitsOnly(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.network.logits(images)
            return out

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what the exporter itself has to change one day
            program = torch.onnx.export(
                LogitsOnly().eval(),
                (torch.zeros(2, 1, 28, 28),),  # two, for of one it makes a constant
                input_names=["images"],
                output_names=["logits"],
                dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
                dynamo=True,
                external_data=False,
                verbose=False,
            )
            assert program is not None
            model: bytes = program.model_proto.SerializeToString()
            return model
    except ImportError as error:
        raise Unavailable(f"{first_line(error)}; the dependency group 'benchmark' has it") from error


def first_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    lines: Iterator[str] = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)
