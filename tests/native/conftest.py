"""The native engine's tests. Skipped where it was not built: the package installs without a compiler too."""

import os

import pytest

from under20k.engine.isa import ISA_VARIABLE, instruction_set, unavailable
from under20k.errors import UserError

# CI has a compiler, and there a missing engine is a failure.
if (reason := unavailable()) and os.environ.get("CI") != "true":
    pytest.skip(reason, allow_module_level=True)


@pytest.fixture(params=["baseline", "avx2", "avx512", pytest.param("wide", marks=pytest.mark.slow)])
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each instruction set that this processor has; ``wide`` has AVX-512's shape and runs on any."""
    name: str = request.param
    monkeypatch.setenv(ISA_VARIABLE, name)
    try:
        assert instruction_set() == name
    except UserError as error:
        pytest.skip(str(error))
    return name
