"""Single kernels of a test build, and bounds on their rounding."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from under20k.engine import isa as native
from under20k.engine.isa import BF16_ISA

Array = NDArray[np.float32]

EPS = float(np.finfo(np.float32).eps)
LANES = {"baseline": 4, "avx2": 8, "avx512": 16, BF16_ISA: 16, "wide": 16}
ISAS = tuple(LANES)


def kernels(isa: str) -> ModuleType:
    """Return the module of single kernels. Skip where the build or the processor lacks them."""
    module = getattr(native._native, "kernels", None)
    if module is None:
        pytest.skip("the native engine was built without UNDER20K_WIDE=ON")
    try:
        native._native.isa(isa)
    except ValueError as error:
        pytest.skip(str(error))
    return module  # type: ignore[no-any-return]


def double(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.asarray(array, np.float64))


def assert_within(found: NDArray[Any], expected: Tensor, bound: Tensor | float) -> None:
    """Every element is finite and within the bound on its rounding."""
    reference = expected.detach().numpy()
    assert found.shape == reference.shape
    assert np.isfinite(found).all()
    limit = bound.detach().numpy() if isinstance(bound, Tensor) else bound
    worst = (np.abs(found - reference) / np.maximum(limit, 1e-30)).max(initial=0)
    assert worst <= 1, f"{worst:.3g} times the bound on its rounding"
