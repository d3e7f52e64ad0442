"""Each convolution of the two models by itself, on one group of images and one thread, in the caches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.amount import Amount
from benchmarks.arithmetic import Convolution, convolutions
from benchmarks.peak import fma_peak
from benchmarks.turns import in_turns
from under20k.engine import _native
from under20k.engine.isa import instruction_set
from under20k.recipe.named import MINIMAL, REGULARIZED

PASSES = ("forward", "input gradient", "weight gradient")
PEAK = "peak"


def measure(amount: Amount, tell: Callable[[str], None]) -> dict[str, Any]:
    """Plain values: for each convolution its GFLOP/s of true arithmetic by pass, turn by turn."""
    rows: list[dict[str, Any]] = []
    timers: dict[str, Callable[[], float]] = {PEAK: lambda: fma_peak(1, amount.peak_s)}
    for recipe in (MINIMAL, REGULARIZED):
        for index, convolution in enumerate(convolutions(recipe.in_notation)):
            for which in PASSES:
                if which == "input gradient" and index == 0:
                    continue  # nobody asks for the image's
                rows.append({"recipe": recipe.name, "pass": which, **described(convolution)})
                timers[f"{recipe.name} {convolution.name} {which}"] = timer(
                    convolution, which, amount.kernel_s
                )
    speeds = in_turns(timers, amount.rounds, tell)
    peak_gflops = speeds.pop(PEAK)
    for row, gflops in zip(rows, speeds.values(), strict=True):
        row["gflops"] = gflops
    return {"instruction_set": instruction_set(), "peak_gflops": peak_gflops, "rows": rows}


def described(convolution: Convolution) -> dict[str, Any]:
    """Return a convolution's entries in the table."""
    return {
        "name": convolution.name,
        "inputs": convolution.inputs,
        "outputs": convolution.outputs,
        "kernel": convolution.kernel,
        "side": convolution.side,
        "output_side": convolution.output_side,
    }


def timer(convolution: Convolution, which: str, time_s: float) -> Callable[[], float]:
    """Return a contender that measures GFLOP/s over about ``time_s`` seconds."""
    shape = {
        "kernel": convolution.kernel,
        "padding": convolution.padding,
        "inputs": convolution.inputs,
        "outputs": convolution.outputs,
        "side": convolution.side,
    }
    isa = instruction_set()

    def gflops() -> float:
        _, once_s = _native.time_convolution(isa=isa, which=which, repetitions=1, **shape)
        repetitions = max(1, round(time_s / max(once_s, 1e-7)))
        images, taken_s = _native.time_convolution(isa=isa, which=which, repetitions=repetitions, **shape)
        return convolution.flop * images / taken_s / 1e9

    return gflops
