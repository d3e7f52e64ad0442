"""Which engine, device and threads ``create`` takes, and what it says of those that are not there."""

import os

import numpy as np
import pytest
import torch

from under20k.engine.base import Compute
from under20k.engine.isa import unavailable
from under20k.engine.machine import cores
from under20k.engine.select import create, least_bytes, torch_device
from under20k.errors import UserError
from under20k.recipe.limits import DRAWN_IMAGES
from under20k.recipe.named import MINIMAL
from under20k.recipe.weights import initial_weights

NO_CUDA = not torch.cuda.is_available()


def test_create_takes_the_initial_weights_of_the_seed_or_those_given():
    initial = initial_weights(MINIMAL.architecture, 3)
    other = initial_weights(MINIMAL.architecture, 4)
    for engine, expected in (
        (create(MINIMAL, 3, Compute(device="cpu")), initial),
        (create(MINIMAL, 3, Compute(device="cpu"), weights=other), other),
    ):
        assert all(np.array_equal(engine.weights()[name], value) for name, value in expected.items())


@pytest.mark.parametrize("threads", [1, 2])
def test_threads(threads):
    engine = create(MINIMAL, 0, Compute("torch", "cpu", threads=threads))
    assert engine.threads == threads == torch.get_num_threads()
    assert (engine.name, engine.precision, engine.device) == ("torch", "fp32", "cpu")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux confines a process to cores")
def test_all_cores_that_the_process_may_use_by_default():
    allowed = os.sched_getaffinity(0)
    every = cores()
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert cores().amount == 1
        assert create(MINIMAL, 0, Compute(device="cpu")).threads == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert create(MINIMAL, 0, Compute(device="cpu")).threads == every.amount
    if not every.limit or "quota" not in every.limit:
        assert every.amount == len(allowed)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"engine": "tensorflow"}, "engine: 'tensorflow'; expected one of auto, native, torch"),
        ({"threads": 0}, "threads: 0; expected a whole number from 1 to 1024"),
        ({"threads": 1025}, "threads: 1025"),
        ({"engine": "native", "device": "cuda"}, "device: 'cuda'; the native engine runs on the CPU only"),
        ({"device": "tpu"}, "device: 'tpu'; expected one of auto, cpu, cuda, cuda:N, mps"),
        ({"seed": -1}, "seed: -1"),
        ({"precision": "fp16"}, "precision: 'fp16'; expected one of auto, fp32, bf16"),
        (
            {"engine": "torch", "precision": "bf16"},
            "precision: 'bf16', which only the native engine supports",
        ),
    ],
)
def test_refused(options, words):
    with pytest.raises(UserError) as refusal:
        create(MINIMAL, options.pop("seed", 0), Compute(**options))
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    "device", ["", "CPU", "cpu:", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "cuda:٣", "mps:0", "cuda\n"]
)
def test_invalid_devices_are_refused(device):
    with pytest.raises(UserError, match="expected one of auto, cpu, cuda, cuda:N, mps"):
        Compute(device=device)


@pytest.mark.skipif(not NO_CUDA, reason="for machines without CUDA")
@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:7"])
def test_cuda_without_a_gpu_is_refused(device):
    with pytest.raises(UserError, match=r"PyTorch sees 0 CUDA devices.*use --device cpu"):
        torch_device(device)


def test_a_gpu_is_used_if_there_is_one(monkeypatch):
    """Two CUDA devices and an Apple GPU, by PyTorch's word."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [torch_device(name) for name in ("auto", "cuda", "cuda:1", "cpu")] == [
        "cuda",
        "cuda",
        "cuda:1",
        "cpu",
    ]
    with pytest.raises(UserError, match="PyTorch sees 2 CUDA devices"):
        torch_device("cuda:2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match="sees no Apple GPU; use --device cpu"):
        torch_device("mps")
    assert torch_device("auto") == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert torch_device("auto") == torch_device("mps") == "mps"


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_drawn_digits_need_memory_beside_mnist(engine):
    if engine == "native" and (reason := unavailable()):
        pytest.skip(reason)
    plain, drawing = (least_bytes(engine, MINIMAL.with_changes(drawn_share=share)) for share in (0.0, 0.25))
    # The training images are copied to one array with the drawn ones, which are there twice for a moment.
    assert drawing - plain == (50_000 + 2 * DRAWN_IMAGES) * 28 * 28
