"""Constants that stand in C++ and in Python are compared when the engine is used."""

from types import SimpleNamespace

import pytest

from under20k.engine import isa
from under20k.engine.native_constants import CONSTANTS, differing
from under20k.engine.torch_transforms import FRACTION_BITS
from under20k.errors import UserError


def test_the_compiled_constants_are_pythons():
    assert differing(isa._native.constants) == []
    assert len(isa._native.constants) == len(CONSTANTS) >= 9
    assert CONSTANTS["fraction bits"] == FRACTION_BITS


@pytest.mark.parametrize("name", CONSTANTS)
def test_another_constant_is_refused(name, monkeypatch):
    """As of a library that was compiled before the sources changed; or before it exported any."""
    value = CONSTANTS[name]
    for compiled in (dict(CONSTANTS) | {name: value + 1}, {n: v for n, v in CONSTANTS.items() if n != name}):
        monkeypatch.setattr(isa._native, "constants", compiled)
        with pytest.raises(UserError, match=rf"{name} .*, not {value}.*reinstall under20k"):
            isa.instruction_set()


def test_a_constant_unknown_to_python_is_refused():
    assert differing(dict(CONSTANTS) | {"new": 3}) == ["new 3, not any"]


def test_a_library_of_an_older_version_is_refused_in_one_line(monkeypatch):
    kept = {name: getattr(isa._native, name) for name in isa.NAMES if name != "GraphNetwork"}
    monkeypatch.setattr(isa, "_native", SimpleNamespace(**kept))
    with pytest.raises(UserError, match=r"other sources \(it lacks GraphNetwork\); reinstall under20k$"):
        isa.instruction_set()
