"""Compute with a record's engine, instruction set and precision, as far as this machine has them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from under20k.engine import isa
from under20k.engine.base import Compute
from under20k.engine.select import choose
from under20k.errors import UserError
from under20k.runs.provenance import PRECISION, identity


@dataclass(frozen=True)
class Arithmetic:
    """The engine and precision in use in place of a record's own."""

    engine: str
    precision: str
    exact: bool
    """Whether it is the native engine with the record's instruction set and precision."""


@contextmanager
def as_recorded(environment: Mapping[str, Any]) -> Iterator[Arithmetic]:
    """Compute in the block, and in processes started there, as a record's seed did, if this machine can.

    The native engine takes the recorded instruction set, unless UNDER20K_ISA names one, and emulates bf16
    if the record's did.
    """
    own = identity(environment)
    engine, precision, instruction_set = str(own["engine"]), str(own["precision"]), own.get("instruction_set")
    names = (isa.ISA_VARIABLE, isa.EMULATION_VARIABLE)
    before = {name: os.environ.get(name) for name in names}
    if engine == "native" and isa.unavailable():
        engine, precision = "torch", PRECISION
    try:
        if engine == "native" and not before[isa.ISA_VARIABLE]:
            if precision == PRECISION or instruction_set != isa.BF16_ISA:
                _set(dict(zip(names, (str(instruction_set), "1"), strict=True)))
            if not _available(engine, precision):  # this processor lacks the instruction set
                _set(before)
        if not _available(engine, precision):
            precision = PRECISION
        exact = (
            engine == "native"
            and precision == own["precision"]
            and isa.instruction_set(precision) == instruction_set
        )
        yield Arithmetic(engine, precision, exact)
    finally:
        _set(before)


def precision_options(environment: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the options of ``under20k train`` for the precision of an environment."""
    precision = identity(environment)["precision"]
    return () if precision == PRECISION else ("--precision", str(precision))


def _available(engine: str, precision: str) -> bool:
    try:
        choose(Compute(engine, "cpu", precision))
    except UserError:
        return False
    return True


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
