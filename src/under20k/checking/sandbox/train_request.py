"""What a training takes of a model, made in the model's own process: its description and initial weights."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from under20k.checking.convert.describe import describe
from under20k.checking.convert.seeded import seeded
from under20k.checking.convert.tensors import tensors_of
from under20k.checking.findings import ModelError
from under20k.checking.ownership import Ownership
from under20k.checking.sandbox.load_model import MODULE, Loader
from under20k.checking.sandbox.messages import Request, initial_file
from under20k.runs.tensors import safetensors_bytes


def prepared(
    request: Request, loader: Loader, ownership: Ownership, scratch: Path, begin: Callable[[str], None]
) -> dict[str, Any]:
    """Write a model's initial weights for each seed into ``scratch`` and return what else there is to know.

    Args:
        request: the model and its seeds, at least one.
        loader: of its source.
        ownership: tells its author's modules from others.
        scratch: folder for the weights.
        begin: called when the source has run, with what begins, for errors that do not explain themselves.

    Raises:
        BaseException: whatever the model's code raises.
    """
    assert request.seeds
    described = None
    for seed, module in zip(request.seeds, _modules(request, loader, begin), strict=True):
        if described is None:
            begin("on images of 1×28×28: ")
            described = describe(module, request.name, request.arguments)
            tensors = described.tensors
        else:
            tensors = tensors_of(module)
        if tensors.floats != described.tensors.floats:
            raise ModelError("its constructor makes tensors of other shapes each time")
        (scratch / initial_file(seed)).write_bytes(safetensors_bytes(tensors.values, {}))
    assert described is not None
    return {
        "model": described.model.to_dict(),
        "notes": [*loader.notes, *described.notes],
        "modules": dict(_own_modules(ownership)),
        "whole": not any(note.startswith("only its definitions ran") for note in loader.notes),
    }


def _modules(request: Request, loader: Loader, begin: Callable[[str], None]) -> Iterator[nn.Module]:
    """Yield the model, made anew for each seed; for an instance the source runs again."""
    seeds: Sequence[int] = request.seeds or ()
    found: Any = None

    def find() -> Any:
        return loader.find(request.whole, request.loading_limit_s, request.reason)

    def first() -> nn.Module:
        nonlocal found
        found = find()
        begin("")
        return found if isinstance(found, nn.Module) else loader.make(found)

    module = seeded(seeds[0], first)
    if not isinstance(found, nn.Module):  # what its source drew before is not of the constructor
        module = seeded(seeds[0], lambda: loader.make(found))
    yield module
    for seed in seeds[1:]:
        again = find if isinstance(found, nn.Module) else lambda: loader.make(found)
        yield seeded(seed, again)


def _own_modules(ownership: Ownership) -> Iterator[tuple[str, str]]:
    """Yield the names and files of the author's modules that were imported."""
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name in (MODULE, "__main__") or not isinstance(file, str) or not file.endswith(".py"):
            continue
        if ownership.is_authors(os.path.abspath(file)):
            yield name, os.path.abspath(file)
