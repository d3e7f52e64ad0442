"""Medians and ratios of the measured values, computed from a benchmark's JSON.

A figure of a part that was not measured is None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks import epoch, evaluation, students
from benchmarks.turns import ratio

Benchmark = Mapping[str, Any]
"""The JSON of a benchmark: its parts are in ``parts``."""


def part(benchmark: Benchmark, name: str) -> Mapping[str, Any] | None:
    """A part's values, or None where it was not measured."""
    found: Mapping[str, Any] | None = benchmark["parts"].get(name)
    return found


def epoch_times(benchmark: Benchmark, recipe: str, contender: str) -> list[float] | None:
    """Seconds of an epoch, turn by turn."""
    measured = part(benchmark, "epoch")
    times: Mapping[str, list[float]] = measured["recipes"][recipe]["times_s"] if measured else {}
    return times.get(contender)


def epoch_time(benchmark: Benchmark, recipe: str, contender: str) -> float | None:
    """Seconds of an epoch, the median."""
    times = epoch_times(benchmark, recipe, contender)
    return median(times) if times else None


def times_faster(benchmark: Benchmark, recipe: str, contender: str, than: str) -> float | None:
    """How many times longer an epoch takes ``than`` that contender."""
    own, other = (epoch_times(benchmark, recipe, name) for name in (contender, than))
    return ratio(other, own) if own and other else None


def share_of_peak(benchmark: Benchmark, recipe: str, contender: str) -> float | None:
    """Useful arithmetic of an epoch as a fraction of the processor's float32 peak over the same time."""
    time_s = epoch_time(benchmark, recipe, contender)
    if time_s is None:
        return None
    measured = benchmark["parts"]["epoch"]
    peak = fma_peak(benchmark, 1 if contender == epoch.ONE_THREAD else measured["threads"])
    flop: float = measured["recipes"][recipe]["flop"]
    return None if peak is None else flop / time_s / (peak * 1e9)


def student_ratios(benchmark: Benchmark) -> dict[str, float]:
    """How many times longer torch eager takes, for each model as students write them; empty for none."""
    measured = part(benchmark, "students")
    models: Mapping[str, Any] = measured["models"] if measured else {}
    return {
        name: ratio(values["times_s"][students.EAGER], values["times_s"][students.NATIVE])
        for name, values in models.items()
    }


def student_figure(benchmark: Benchmark, over: Callable[[Iterable[float]], float]) -> float | None:
    """The median or the lowest of these ratios."""
    ratios = student_ratios(benchmark)
    return over(ratios.values()) if ratios else None


def fma_peak(benchmark: Benchmark, threads: int) -> float | None:
    """The highest float32 peak that any turn of any part measured with ``threads`` threads, in GFLOP/s.

    Not a median: what disturbs a measurement of the peak makes it lower, and a share of it higher.
    """
    found: list[float] = []
    if own := part(benchmark, "machine"):
        found += own["peak_gflops"].get(str(threads), [])
    if (own := part(benchmark, "epoch")) and own["threads"] == threads:
        found += [peak for recipe in own["recipes"].values() for peak in recipe["peak_gflops"]]
    if (own := part(benchmark, "kernels")) and threads == 1:
        found += own["peak_gflops"]
    return max(found, default=None)


def thread_scaling(benchmark: Benchmark) -> float | None:
    """How many times faster all threads train than one."""
    measured = part(benchmark, "scaling")
    if measured is None:
        return None
    few, many = few_and_many(measured["threads_s"])
    return ratio(few, many)


def process_scaling(benchmark: Benchmark) -> float | None:
    """Throughput in seeds of one process per core, relative to that of a single process."""
    measured = part(benchmark, "scaling")
    if measured is None:
        return None
    few, many = few_and_many(measured["processes_s"])
    return most(measured["processes_s"]) * ratio(few, many)


def seeds_per_hour(benchmark: Benchmark, processes: str) -> float:
    """Complete trainings per hour by ``processes`` processes of one thread."""
    measured = benchmark["parts"]["scaling"]
    seed_s: float = median(measured["processes_s"][processes]) * measured["epochs"]
    return int(processes) * 3600 / seed_s


def few_and_many(times: Mapping[str, Sequence[float]]) -> tuple[Sequence[float], Sequence[float]]:
    """Of one, and of the most."""
    return times["1"], times[str(most(times))]


def most(times: Mapping[str, Any]) -> int:
    """The largest number among the keys."""
    return max(map(int, times))


def fastest_torch(measured: Mapping[str, Any], what: str) -> str:
    """The variant of PyTorch with the smallest median time."""
    times = measured[what]
    return min((name for name in evaluation.TORCH if name in times), key=lambda name: median(times[name]))


def evaluation_ratio(benchmark: Benchmark, what: str, than: str) -> float | None:
    """How many times longer ONNX Runtime, or PyTorch's best, takes than the native engine."""
    measured = part(benchmark, "evaluation")
    if measured is None:
        return None
    name = fastest_torch(measured, what) if than == "torch" else than
    if name not in measured[what]:
        return None
    return ratio(measured[what][name], measured[what][evaluation.NATIVE])


def peak_memory(benchmark: Benchmark) -> float | None:
    """Peak memory of a training in bytes, over all turns."""
    measured = part(benchmark, "process")
    values = [value for value in measured["peak_bytes"] if value is not None] if measured else []
    return max(values, default=None)


def start_time(benchmark: Benchmark) -> float | None:
    """Seconds from the command to the first step, the median."""
    measured = part(benchmark, "process")
    if measured is None:
        return None
    starts: list[float] = measured["start_s"]
    return median(starts)
