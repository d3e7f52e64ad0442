"""Requirements on the speed of the native engine on two cores, and whether a benchmark meets them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median

from benchmarks import evaluation
from benchmarks.epoch import BF16, EAGER, NATIVE, SCRIPT
from benchmarks.figures import (
    Benchmark,
    epoch_time,
    evaluation_ratio,
    part,
    peak_memory,
    process_scaling,
    share_of_peak,
    start_time,
    student_figure,
    thread_scaling,
    times_faster,
)

FLOOR, GOAL = "floor", "goal"


@dataclass(frozen=True)
class Requirement:
    """A figure, and the bound that it has to keep."""

    what: str
    kind: str
    bound: float
    text: str
    """How a value is written: a format with one place."""
    figure: Callable[[Benchmark], float | None]
    at_most: bool = False
    """Whether ``bound`` is an upper one."""
    scale: float = 1.0
    """What a value is multiplied with to be written."""

    @property
    def asked(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.text.format(self.bound * self.scale)}"

    def met(self, value: float) -> bool:
        """Whether a measured value keeps the bound."""
        return value <= self.bound if self.at_most else value >= self.bound

    def row(self, benchmark: Benchmark) -> tuple[str, str, str, str, str]:
        """What, floor or goal, asked, measured, met or not."""
        value = self.figure(benchmark)
        if value is None:
            return (self.what, self.kind, self.asked, self.reason(benchmark), "–")
        shown = self.text.format(value * self.scale)
        verdict = "–" if benchmark["quick"] else "met" if self.met(value) else "not met"
        return (self.what, self.kind, self.asked, shown, verdict)

    def reason(self, benchmark: Benchmark) -> str:
        """Why there is no value."""
        measured = part(benchmark, "epoch")
        if measured and "bf16" in self.what:
            return str(measured["recipes"]["minimal"]["unavailable"].get(BF16, "not measured"))
        return "not measured"


def _times(contender: str, than: str) -> Callable[[Benchmark], float | None]:
    return partial(times_faster, recipe="minimal", contender=contender, than=than)


def _fastest(
    figure: Callable[..., float | None], best: Callable[..., float], **options: str
) -> Callable[..., float | None]:
    """Of the precisions the better figure: the goal asks for none."""

    def value(benchmark: Benchmark) -> float | None:
        values = [figure(benchmark, contender=name, **options) for name in (NATIVE, BF16)]
        return best(found) if (found := [v for v in values if v is not None]) else None

    return value


TIMES, PERCENT, SECONDS, MEGABYTES = "{:.1f}×", "{:.0f}%", "{:.2f} s", "{:.0f} MB"
SCALING = "{:.2f}×"

REQUIREMENTS = (
    Requirement("An epoch of minimal, fp32, against torch eager", FLOOR, 7, TIMES, _times(NATIVE, EAGER)),
    Requirement(
        "An epoch of minimal, fp32, against the plain script", FLOOR, 12, TIMES, _times(NATIVE, SCRIPT)
    ),
    Requirement(
        "An epoch of minimal, fp32, true arithmetic over the FMA peak", FLOOR, 0.6, PERCENT,
        partial(share_of_peak, recipe="minimal", contender=NATIVE), scale=100,
    ),
    Requirement("An epoch of minimal, bf16, against torch eager", FLOOR, 11, TIMES, _times(BF16, EAGER)),
    Requirement(
        "An epoch of minimal, bf16, against the plain script", FLOOR, 18, TIMES, _times(BF16, SCRIPT)
    ),
    Requirement(
        "An epoch of minimal, best precision", GOAL, 0.7, SECONDS,
        _fastest(epoch_time, min, recipe="minimal"), at_most=True,
    ),
    Requirement(
        "An epoch of minimal, best precision, against torch eager", GOAL, 16, TIMES,
        _fastest(times_faster, max, recipe="minimal", than=EAGER),
    ),
    Requirement(
        "An epoch of minimal, best precision, against the plain script", GOAL, 27, TIMES,
        _fastest(times_faster, max, recipe="minimal", than=SCRIPT),
    ),
    Requirement(
        "Models as students write them, against torch eager, median", FLOOR, 6, TIMES,
        partial(student_figure, over=median),
    ),
    Requirement(
        "Models as students write them, against torch eager, lowest", FLOOR, 3, TIMES,
        partial(student_figure, over=min),
    ),
    Requirement("Two threads against one", FLOOR, 1.85, SCALING, thread_scaling),
    Requirement("Seeds an hour, two processes against one", FLOOR, 1.9, SCALING, process_scaling),
    *(
        Requirement(
            f"{what} against {words}", FLOOR, bound, TIMES, partial(evaluation_ratio, what=key, than=than)
        )
        for what, key, bound in (
            ("Evaluation", "evaluation_s", 2),
            ("Logits of a batch", "batch_s", 2),
            ("Logits of one image", "one_image_s", 1),
        )
        for words, than in (("ONNX Runtime", evaluation.ONNX), ("PyTorch at its best", "torch"))
    ),
    Requirement(
        "Memory of a training process, at most", FLOOR, 400e6, MEGABYTES, peak_memory, at_most=True,
        scale=1e-6,
    ),
    Requirement(
        "From the command to the first training step", FLOOR, 1, SECONDS, start_time, at_most=True
    ),
)  # fmt: skip
