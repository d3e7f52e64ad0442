"""The C++ library: whether it was built, and the instruction set and bf16 arithmetic it uses here."""

from __future__ import annotations

import os
from pathlib import Path

from under20k.engine.native_constants import differing
from under20k.errors import UserError

try:
    from under20k.engine import _native as _native  # re-exported: it may be None
except ImportError as error:
    _native = None  # type: ignore[assignment]
    # Python's message for a missing module suggests a circular import, which would mislead.
    _missing = "" if str(error).startswith("cannot import name") else f": {error}"

ISA_VARIABLE = "UNDER20K_ISA"
EMULATION_VARIABLE = "UNDER20K_EMULATE_BF16"
NAMES = ("constants", "isa", "network_bytes", "Settings", "GraphSettings", "Network", "GraphNetwork")
"""What the library has to have; an older one may lack the last."""
BF16_ISA = "avx512bf16"  # the only one with bf16 instructions; the others emulate them


def unavailable() -> str | None:
    """Return why there is no native engine here, or None if there is one."""
    if _native is None:
        return (
            "the native engine was not built when under20k was installed (it needs a C++20 compiler: install "
            f"GCC or Clang, then reinstall under20k){_missing}"
        )
    return None


def library() -> Path | None:
    """Return the path of the compiled library, or None if there is none."""
    return None if _native is None else Path(_native.__file__)


def compiler() -> str | None:
    """Return the compiler of the engine, such as ``GCC 12.2.0``; None if there is no engine.

    GCC and Clang fuse different multiply-adds, so their bits differ. GCC 11 and 12 agree.
    """
    return getattr(_native, "compiler", None)


def instruction_set(precision: str = "fp32") -> str:
    """Return the instruction set in use: the CPU's widest, or the one that UNDER20K_ISA names.

    For ``bf16`` it is the one with bf16 instructions, unless UNDER20K_EMULATE_BF16 is 1. Raises UserError if
    the engine or the instruction set is not available.
    """
    if reason := unavailable():
        raise UserError(reason)
    lacking = [f"it lacks {name}" for name in NAMES if not hasattr(_native, name)]
    if wrong := lacking or differing(_native.constants):
        raise UserError(
            f"the native engine was compiled from other sources ({'; '.join(wrong)}); reinstall under20k"
        )
    named = os.environ.get(ISA_VARIABLE, "")
    native_bf16 = precision == "bf16" and not emulated()
    if native_bf16 and named not in ("", BF16_ISA):
        raise UserError(
            f"precision: 'bf16', but {ISA_VARIABLE} is {named!r}, which has no bf16 instructions; unset it, "
            "or use --precision fp32"
        )
    if native_bf16 and not multiplies_bf16():
        raise UserError(
            "precision: 'bf16', but this CPU has no bf16 instructions (AVX512_BF16); use --precision fp32"
        )
    try:
        isa = _native.isa(BF16_ISA if native_bf16 else named)
    except ValueError as error:
        raise UserError(str(error)) from None
    if native_bf16 and not _native.bf16_as_documented(isa):
        raise UserError(
            "precision: 'bf16', but this CPU's bf16 dot product does not match the vendor's documentation; "
            "use --precision fp32"
        )
    return isa


def emulated() -> bool:
    """Tell whether bf16 is emulated, bit-exact, rather than computed by the CPU's own instructions.

    For tests and for measuring accuracy: UNDER20K_EMULATE_BF16 is 1, and UNDER20K_ISA does not name the
    instruction set that has the instructions.
    """
    return os.environ.get(EMULATION_VARIABLE) == "1" and os.environ.get(ISA_VARIABLE) != BF16_ISA


def multiplies_bf16() -> bool:
    """Tell whether the CPU has bf16 instructions, correct or not."""
    try:
        return bool(_native.isa(BF16_ISA))
    except ValueError:
        return False


def arithmetic(precision: str) -> str:
    """Describe the arithmetic: ``fp32 with avx2``. Raises UserError if ``precision`` is not available."""
    how = "emulated with" if precision == "bf16" and emulated() else "with"
    return f"{precision} {how} {instruction_set(precision)}"
