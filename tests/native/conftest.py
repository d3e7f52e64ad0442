"""The native engine's tests. Skipped where it was not built: the package installs without a compiler too."""

import os
from collections.abc import Iterator

import pytest
import torch

from under20k.engine.native_engine import unavailable

# CI has a compiler, and there a missing engine is a failure.
if (reason := unavailable()) and os.environ.get("CI") != "true":
    pytest.skip(reason, allow_module_level=True)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """For the reference: these networks are tiny."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
