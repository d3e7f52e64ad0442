"""The processor's peak: independent multiply-adds of float32 vectors in registers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from under20k.engine import _native
from under20k.engine.isa import instruction_set

FIRST_ROUNDS = 100_000


def fma_peak(threads: int, time_s: float) -> float:
    """GFLOP/s of several threads at once, each busy for about ``time_s``; a multiply-add counts as two."""
    isa = instruction_set()
    _, first_s = _native.time_multiply_adds(isa, FIRST_ROUNDS)
    rounds = max(1, round(FIRST_ROUNDS * time_s / first_s))
    with ThreadPoolExecutor(threads) as pool:
        speeds = pool.map(lambda _: _native.time_multiply_adds(isa, rounds), range(threads))
        return sum(2 * products / taken_s for products, taken_s in speeds) / 1e9
