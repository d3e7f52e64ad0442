"""Compare a record's numbers with each other: figures, seeds, dates, times.

``inconsistencies`` lists impossible figures, ``remarks`` possible but unlikely ones; each as a sentence.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from statistics import fmean, stdev

from under20k.engine.base import NUMERICS
from under20k.formatting import percent
from under20k.recipe.architecture import CLASSES
from under20k.recipe.limits import VALIDATION_IMAGES
from under20k.recipe.recipe import Recipe
from under20k.runs.bench.bench import SeedResult
from under20k.runs.metrics import EpochMetrics
from under20k.runs.provenance import numerics
from under20k.runs.records.fields import check_date, check_time
from under20k.runs.records.record import Record

CLOCK_SKEW = timedelta(days=1)  # a clock may be wrong, or in another time zone
CLOCK_ERROR_S = 2.0  # times are whole seconds, and a clock may be set during a training, …
CLOCK_ERROR_FRACTION = 0.01  # … or be off by a fraction of its time
MAX_FLOPS = 2e12  # per second and thread: several times the peak of a core today
TIMING_FACTOR = 3.0  # between the CPU seconds of a timed training and those of the record's seeds
MAX_START_S = 10.0  # for a timed process to start
LOSS_ROUNDING = 1e-9
FLOAT32_LOSS_ROUNDING = 1e-6  # training losses are summed in float32
OUTLIER_SD = 10.0  # distance from the other seeds, in standard deviations


def inconsistencies(record: Record, now: datetime | None = None) -> list[str]:
    """Return the contradictions between a record's numbers. ``now`` defaults to the current time."""
    recipe = record.bench.recipe
    return [
        *(text for seed in record.bench.seeds for text in _curve(recipe, seed)),
        *_copies(record),
        *_dates(record, now or datetime.now(UTC)),
        *_timing(record),
    ]


def _curve(recipe: Recipe, seed: SeedResult) -> Iterator[str]:
    """Yield the faults of a seed's curve that ``metrics.epoch_faults`` does not cover."""
    for epoch in seed.epochs:
        for text in (*_losses(recipe, epoch), *_speed(recipe, seed, epoch)):
            yield f"seed {seed.seed}, epoch {epoch.epoch}: {text}"


def _losses(recipe: Recipe, epoch: EpochMetrics) -> Iterator[str]:
    """Yield losses below the least that their accuracy allows.

    A wrong answer costs at least ln 2, since its label has at most half of the probability. Smoothed labels
    cost at least the mean over all classes, ln 10.
    """
    least = (1 - epoch.validation_accuracy) * math.log(2)
    if epoch.validation_loss < least - LOSS_ROUNDING:
        yield (
            f"validation loss {epoch.validation_loss:.4g} at accuracy {percent(epoch.validation_accuracy)}; "
            f"it cannot be below {least:.4g}"
        )
    smoothing = recipe.label_smoothing
    least = (1 - smoothing) * (1 - epoch.train_accuracy) * math.log(2) + smoothing * math.log(CLASSES)
    if recipe.distillation:  # the labels are only a part of the loss
        least *= 1 - recipe.distillation.teacher_share
    if epoch.train_loss < least - FLOAT32_LOSS_ROUNDING:
        yield (
            f"training loss {epoch.train_loss:.4g} at accuracy {percent(epoch.train_accuracy)}; "
            f"it cannot be below {least:.4g}"
        )


def _speed(recipe: Recipe, seed: SeedResult, epoch: EpochMetrics) -> Iterator[str]:
    # Forward costs a multiplication and an addition per MAC, backward twice that.
    flops = 6 * recipe.architecture.macs * epoch.images_per_s
    if seed.environment.get("device") == "cpu" and flops > MAX_FLOPS * int(seed.environment["threads"]):
        yield f"{epoch.train_time_s:.4g} s, {flops / 1e9:,.0f} GFLOP/s: more than any processor computes"


def _copies(record: Record) -> Iterator[str]:
    """Yield pairs of seeds that have the same weights, a loss or all times in common."""
    first: dict[tuple[object, ...], int] = {}
    reported: set[tuple[int, int, object]] = set()
    for seed in record.bench.seeds:
        for what, mark in _marks(record, seed):
            other = first.setdefault(mark, seed.seed)
            pair = other, seed.seed, mark[0]
            # Of a copied curve, one epoch is enough.
            if other != seed.seed and pair not in reported:
                reported.add(pair)
                yield f"seeds {other} and {seed.seed} have the same {what}; no two trainings do"


def _marks(record: Record, seed: SeedResult) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Yield properties unique to each seed's training: as text, and as a value to compare."""
    yield "weights", ("weights", record.weights.get(seed.seed))
    times = ((epoch.train_time_s, epoch.total_time_s) for epoch in seed.epochs)
    yield "times in every epoch", ("times", *times)
    for epoch in seed.epochs:
        yield f"train loss in epoch {epoch.epoch}", ("train", epoch.epoch, epoch.train_loss)
        yield f"validation loss in epoch {epoch.epoch}", ("validation", epoch.epoch, epoch.validation_loss)


def _dates(record: Record, now: datetime) -> Iterator[str]:
    """Yield dates in the future or out of order: training, reading of the test set, record."""
    day = check_date("date", record.date)
    if day > (now + CLOCK_SKEW).date():
        yield f"the record's date, {day}, is in the future"
    last_read = day
    for seed in record.bench.seeds:
        who = f"seed {seed.seed}"
        started = check_time("started", seed.environment.get("started"))
        if started > now + CLOCK_SKEW:
            yield f"{who}: its training started on {started.isoformat()}, which is in the future"
        trained_s = sum(epoch.total_time_s for epoch in seed.epochs)
        # A training that was resumed records its last start.
        least_s = 0.0 if seed.environment.get("resumed") else trained_s * (1 - CLOCK_ERROR_FRACTION)
        for reading in record.readings.get(seed.seed, ()):
            read = check_time("read", reading.read)
            if read > now + CLOCK_SKEW:
                yield f"{who}: its test set was read on {read.isoformat()}, which is in the future"
            if (read - started).total_seconds() < least_s - CLOCK_ERROR_S:
                yield (
                    f"{who}: its test set was read at {read.isoformat()}, before its training could end: it "
                    f"started at {started.isoformat()} and took {trained_s:.0f} s"
                )
            last_read = max(last_read, read.astimezone(UTC).date())
    if last_read > day:
        yield f"the record's date, {day}, is before its last reading of the test set, on {last_read} (UTC)"


def _timing(record: Record) -> Iterator[str]:
    """Yield contradictions between the timing and the machine and times of the seeds."""
    timing = record.timing
    if timing is None:
        return
    environments = [seed.environment for seed in record.bench.seeds]
    processors = sorted({str(environment.get("processor")) for environment in environments})
    if timing.processor not in processors:
        yield f"timed on {timing.processor!r}; the seeds were trained on {', '.join(processors)}"
    elif timing.cores > max(
        int(own["cores"]) for own in environments if own["processor"] == timing.processor
    ):
        yield f"timed on {timing.cores} cores; no seed's machine has that many"
    turns = [*timing.subject_s, *timing.reference_s]
    if len(set(turns)) < len(turns):
        yield "two turns of the timing took the same time to the last digit"
    if any(environment.get("device") != "cpu" for environment in environments):
        return
    # CPU seconds, so that trainings on one thread and on two compare.
    cpu_s = [int(seed.environment["threads"]) * seed.time_s for seed in record.bench.seeds]
    fastest, slowest = min(cpu_s), max(cpu_s)
    timed = f"timed at {timing.median_s:.2f} s on {timing.cores} cores"
    if timing.cores * timing.median_s < fastest / TIMING_FACTOR:
        yield (
            f"{timed}, but its fastest seed took {fastest:.1f} s on one core: more than "
            f"{TIMING_FACTOR:g} times that"
        )
    if timing.cores * max(0.0, timing.median_s - MAX_START_S) > slowest * TIMING_FACTOR:
        yield (
            f"{timed}, but its slowest seed took {slowest:.1f} s on one core: less than "
            f"1/{TIMING_FACTOR:g} of that"
        )


def remarks(record: Record) -> list[str]:
    """Return unusual but possible figures of a record: outliers, test accuracy far from validation accuracy.

    Also says if the record's numerics are not today's, so that reruns cannot give its bits.
    """
    seeds = [seed.seed for seed in record.bench.seeds]
    validation = [seed.validation_accuracy for seed in record.bench.seeds]
    found = [*_other_numerics(record), *_outliers("validation accuracy", seeds, validation)]
    test = [reading.accuracy for seed in seeds for reading in record.readings.get(seed, ())[:1]]
    if len(test) != len(seeds):
        return found
    found += _outliers("test accuracy", seeds, test)
    difference, p = fmean(test) - fmean(validation), fmean(validation)
    # Standard error of the difference between two splits of this size.
    error = math.sqrt(2 * max(p * (1 - p), 1 / VALIDATION_IMAGES) / VALIDATION_IMAGES)
    if abs(difference) > OUTLIER_SD * error or 1.0 in (fmean(test), fmean(validation)):
        found.append(
            f"the mean test accuracy is {percent(fmean(test), 3)}, that of validation "
            f"{percent(fmean(validation), 3)}: unusually far apart, or perfect"
        )
    return found


def _other_numerics(record: Record) -> Iterator[str]:
    found = {numerics(seed.environment): None for seed in record.bench.seeds}
    if others := [str(version) for version in found if version != NUMERICS]:
        yield (
            f"its numerics are {', '.join(others)}, those of this under20k {NUMERICS}: a rerun of a seed "
            "must fall within the spread of the record's accuracies and need not be bit-exact"
        )


def _outliers(what: str, seeds: Sequence[int], values: Sequence[float]) -> Iterator[str]:
    """Yield the seeds whose value is far from the mean of the others."""
    if len(values) < 3:
        return
    for index, (seed, value) in enumerate(zip(seeds, values, strict=True)):
        others = [*values[:index], *values[index + 1 :]]
        spread = max(stdev(others), 1 / VALIDATION_IMAGES)
        distance = (value - fmean(others)) / spread
        if abs(distance) > OUTLIER_SD:
            yield (
                f"seed {seed}: {what} {percent(value)}, {abs(distance):.0f} standard deviations "
                f"{'above' if distance > 0 else 'below'} the other seeds"
            )
