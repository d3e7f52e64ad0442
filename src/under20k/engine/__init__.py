"""Engines: what trains a recipe. ``create`` chooses one."""

from __future__ import annotations

import os

from under20k.engine.protocol import Engine
from under20k.errors import UserError
from under20k.recipe import Recipe
from under20k.weights import Tensors, initial_weights

ENGINES = ("auto", "torch")
MAX_THREADS = 1024


def create(
    recipe: Recipe,
    seed: int,
    *,
    weights: Tensors | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
) -> Engine:
    """An engine for ``recipe`` with ``weights``, by default the initial ones of ``seed``.

    ``device`` is auto (a GPU if PyTorch sees one, else cpu), cpu, cuda, cuda:1, mps; ``threads`` of the CPU,
    all cores by default. Raises UserError for what this machine lacks.
    """
    if engine not in ENGINES:
        raise UserError(f"engine: {engine!r}; allowed are {', '.join(ENGINES)}")
    if threads is not None and not 1 <= threads <= MAX_THREADS:
        raise UserError(f"threads: {threads}; allowed are whole numbers from 1 to {MAX_THREADS}")
    # Here, since importing torch takes seconds and not everything that names an engine needs it.
    import torch

    from under20k.engine.torch_engine import TorchEngine

    device = torch_device(device)
    torch.set_num_threads(threads or available_cores())
    return TorchEngine(recipe, weights or initial_weights(recipe.architecture, seed), device)


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def torch_device(device: str) -> str:
    """The PyTorch device for ``device``, checked. Raises UserError where it does not exist."""
    import torch

    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not (kind == "cuda" and index.isdecimal())):
        raise UserError(f"device: {device!r}; allowed are auto, cpu, cuda, cuda:N and mps")
    if kind == "cuda" and not (cuda and int(index or 0) < torch.cuda.device_count()):
        built = "" if torch.version.cuda else " (and this PyTorch is a build without CUDA)"
        found = torch.cuda.device_count() if cuda else 0
        raise UserError(f"device: {device!r}, but PyTorch sees {found} CUDA devices{built}; use --device cpu")
    if kind == "mps" and not mps:
        raise UserError("device: 'mps', but PyTorch sees no Apple GPU; use --device cpu")
    return device
