"""A record's own engine, instruction set and precision, where this machine has them."""

import os

import pytest

from under20k.engine import isa as instruction_sets
from under20k.runs.records.arithmetic import as_recorded

NATIVE = {"engine": "native", "precision": "fp32", "instruction_set": "baseline", "native_build": "0" * 16}


@pytest.mark.skipif(instruction_sets.unavailable() is not None, reason="it alone has instruction sets")
def test_the_records_arithmetic_is_used_inside_the_block_only(monkeypatch):
    monkeypatch.delenv("UNDER20K_ISA", raising=False)
    monkeypatch.delenv("UNDER20K_EMULATE_BF16", raising=False)
    usual = instruction_sets.instruction_set()
    with as_recorded(NATIVE) as arithmetic:
        assert (arithmetic.engine, arithmetic.precision, arithmetic.exact) == ("native", "fp32", True)
        assert instruction_sets.instruction_set() == "baseline"
    assert "UNDER20K_ISA" not in os.environ
    with as_recorded(NATIVE | {"precision": "bf16"}) as arithmetic:  # emulated, as in the record
        assert (arithmetic.precision, arithmetic.exact) == ("bf16", True)
        assert instruction_sets.arithmetic("bf16") == "bf16 emulated with baseline"
    assert "UNDER20K_EMULATE_BF16" not in os.environ
    with as_recorded(NATIVE | {"instruction_set": "none such"}) as arithmetic:
        assert (arithmetic.engine, arithmetic.exact) == ("native", False)
        assert instruction_sets.instruction_set() == usual
    with as_recorded({"engine": "torch"}) as arithmetic:
        assert (arithmetic.engine, arithmetic.exact) == ("torch", False)
    monkeypatch.setenv("UNDER20K_ISA", usual)  # the user's choice wins
    with as_recorded(NATIVE) as arithmetic:
        assert instruction_sets.instruction_set() == usual
        assert arithmetic.exact == (usual == "baseline")
