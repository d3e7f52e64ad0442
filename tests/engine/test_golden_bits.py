"""Trainings give the bits that they gave when ``NUMERICS`` was last raised."""

import pytest

from tests.support import golden_bits
from under20k.engine.base import NUMERICS
from under20k.engine.isa import unavailable
from under20k.errors import UserError
from under20k.files import read_json

TABLE = read_json(golden_bits.TABLE)
CHANGED = (
    "bits changed: if that is meant, raise NUMERICS in src/under20k/engine/base.py and run: "
    f"{golden_bits.COMMAND}"
)
MAKERS = golden_bits.makers()


def test_the_table_is_of_these_numerics():
    assert TABLE["numerics"] == NUMERICS, f"run: {golden_bits.COMMAND}"


@pytest.mark.parametrize("name", MAKERS)
def test_the_bits_are_those_of_the_table(name):
    if name.startswith("native") and (reason := unavailable()):
        pytest.skip(reason)
    if name not in TABLE["rows"]:
        pytest.skip(f"the table has no row {name!r}; {golden_bits.COMMAND} adds it")
    try:
        row = MAKERS[name]()
    except UserError as error:
        pytest.skip(str(error))
    assert golden_bits.changed(row, TABLE["rows"][name]) == [], CHANGED


def test_torch_gives_the_figures_of_the_table_whatever_its_kernels():
    """To six digits, in float64: so that a change shows on machines of whose bits there is no row."""
    assert golden_bits.figures() == pytest.approx(TABLE["figures"], rel=1e-6), CHANGED
