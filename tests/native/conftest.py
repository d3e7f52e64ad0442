"""The native engine's tests. Skipped where it was not built: the package installs without a compiler too."""

import os

import pytest

from threads import one_thread
from under20k.engine.native_engine import unavailable

__all__ = ["one_thread"]

# CI has a compiler, and there a missing engine is a failure.
if (reason := unavailable()) and os.environ.get("CI") != "true":
    pytest.skip(reason, allow_module_level=True)
