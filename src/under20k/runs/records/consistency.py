"""What a record's numbers have to be to one another, if trainings gave them: figures, seeds, dates, times.

Each finding is a sentence. ``implausible`` has what no training gives; ``remarks`` what one hardly gives.
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

SKEW = timedelta(days=1)  # by which a clock, or a day in another time zone, may be ahead
CLOCK_S = 2.0  # of whole seconds, and of a clock that is set while a training runs, …
CLOCK_SHARE = 0.01  # … and as a share of the training's seconds
MAX_FLOPS = 2e12  # a second and thread: several times what a core of today computes
TIMING_FACTOR = 3.0  # between the CPU seconds of a timed training and those of the record's seeds
START_S = 10.0  # that a timed process may take to start
ROUNDING = 1e-9
OUTLIER = 10.0  # standard deviations from the others, which a seed hardly is


def implausible(record: Record, now: datetime | None = None) -> list[str]:
    """What is wrong between a record's numbers, each in a sentence; ``now`` is by default the clock's."""
    recipe = record.bench.recipe
    return [
        *(text for seed in record.bench.seeds for text in _figures(recipe, seed)),
        *_copies(record),
        *_dates(record, now or datetime.now(UTC)),
        *_timing(record),
    ]


def _figures(recipe: Recipe, seed: SeedResult) -> Iterator[str]:
    """What is wrong within a seed's curve beyond ``plausible.epoch_faults``."""
    for epoch in seed.epochs:
        for text in (*_losses(recipe, epoch), *_speed(recipe, seed, epoch)):
            yield f"seed {seed.seed}, epoch {epoch.epoch}: {text}"


def _losses(recipe: Recipe, epoch: EpochMetrics) -> Iterator[str]:
    """Losses below the least that their accuracy allows: a wrong answer costs ln 2 or more, for its label has
    half of the probability at most; smoothed labels cost the mean over all classes, ln 10 or more.
    """
    least = (1 - epoch.validation_accuracy) * math.log(2)
    if epoch.validation_loss < least - ROUNDING:
        yield (
            f"validation loss {epoch.validation_loss:.4g} with {percent(epoch.validation_accuracy)} right; "
            f"it cannot be below {least:.4g}"
        )
    smoothing = recipe.label_smoothing
    least = (1 - smoothing) * (1 - epoch.train_accuracy) * math.log(2) + smoothing * math.log(CLASSES)
    if recipe.distillation:  # of which the labels are a part only
        least *= 1 - recipe.distillation.teacher_share
    if epoch.train_loss < least - 1e-6:  # it is summed in float32
        yield (
            f"training loss {epoch.train_loss:.4g} with {percent(epoch.train_accuracy)} right; "
            f"it cannot be below {least:.4g}"
        )


def _speed(recipe: Recipe, seed: SeedResult, epoch: EpochMetrics) -> Iterator[str]:
    # A step forward and two back, each a multiplication and an addition a MAC.
    flops = 6 * recipe.architecture.macs * epoch.images_per_s
    if seed.environment.get("device") == "cpu" and flops > MAX_FLOPS * int(seed.environment["threads"]):
        yield f"{epoch.train_time_s:.4g} s, {flops / 1e9:,.0f} GFLOP/s: more than any processor computes"


def _copies(record: Record) -> Iterator[str]:
    """Seeds that share what no two trainings share: weights, a loss, all their times."""
    seen: dict[tuple[object, ...], int] = {}
    told: set[tuple[int, int, str]] = set()
    for seed in record.bench.seeds:
        marks: list[tuple[str, tuple[object, ...]]] = [
            ("weights", ("weights", record.weights.get(seed.seed))),
            (
                "times in every epoch",
                ("times", *((epoch.train_time_s, epoch.total_time_s) for epoch in seed.epochs)),
            ),
        ]
        for epoch in seed.epochs:
            for name in ("train_loss", "validation_loss"):
                what = f"{name.replace('_', ' ')} in epoch {epoch.epoch}"
                marks.append((what, (name, epoch.epoch, getattr(epoch, name))))
        for what, mark in marks:
            other = seen.setdefault(mark, seed.seed)
            # One word of a curve that was copied is enough.
            if other != seed.seed and (other, seed.seed, str(mark[0])) not in told:
                told.add((other, seed.seed, str(mark[0])))
                yield f"seeds {other} and {seed.seed} have the same {what}, which no two trainings have"


def _dates(record: Record, now: datetime) -> Iterator[str]:
    """Training, then the reading of the test set, then the record, and none of it in the future."""
    day = check_date("date", record.date)
    if day > (now + SKEW).date():
        yield f"the record's date, {day}, is in the future"
    last_read = day
    for seed in record.bench.seeds:
        who = f"seed {seed.seed}"
        started = check_time("started", seed.environment.get("started"))
        if started > now + SKEW:
            yield f"{who}: its training started on {started.isoformat()}, which is in the future"
        own_s = sum(epoch.total_time_s for epoch in seed.epochs)
        # Of a training that was resumed, the last start is recorded.
        least_s = 0.0 if seed.environment.get("resumed") else own_s * (1 - CLOCK_SHARE)
        for reading in record.readings.get(seed.seed, ()):
            read = check_time("read", reading.read)
            if read > now + SKEW:
                yield f"{who}: its test set was read on {read.isoformat()}, which is in the future"
            if (read - started).total_seconds() < least_s - CLOCK_S:
                yield (
                    f"{who}: its test set was read at {read.isoformat()}, and its training, which took "
                    f"{own_s:.0f} s, started at {started.isoformat()}"
                )
            last_read = max(last_read, read.astimezone(UTC).date())
    if last_read > day:
        yield f"the record's date, {day}, is before its last reading of the test set, on {last_read} (UTC)"


def _timing(record: Record) -> Iterator[str]:
    """What the measurement of time has to share with the seeds' own seconds and machine."""
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
        yield f"timed on {timing.cores} cores; no seed's machine has as many"
    turns = [*timing.subject_s, *timing.reference_s]
    if len(set(turns)) < len(turns):
        yield "two turns of the timing took the same time to the last digit"
    if any(environment.get("device") != "cpu" for environment in environments):
        return
    # Seconds of all threads, so that one thread and two compare.
    cpu_s = [int(seed.environment["threads"]) * seed.time_s for seed in record.bench.seeds]
    fastest, slowest = min(cpu_s), max(cpu_s)
    if timing.cores * timing.median_s < fastest / TIMING_FACTOR:
        yield (
            f"timed at {timing.median_s:.2f} s on {timing.cores} cores, but its fastest seed took "
            f"{fastest:.1f} s on one: more than {TIMING_FACTOR:g} times as much"
        )
    if timing.cores * max(0.0, timing.median_s - START_S) > slowest * TIMING_FACTOR:
        yield (
            f"timed at {timing.median_s:.2f} s on {timing.cores} cores, but its slowest seed took "
            f"{slowest:.1f} s on one: less than 1/{TIMING_FACTOR:g} of that"
        )


def remarks(record: Record) -> list[str]:
    """What trainings hardly give, but may: seeds far from the others, a test set far from validation. And
    whether trainings of today would give the record's bits.
    """
    seeds = [seed.seed for seed in record.bench.seeds]
    validation = [seed.validation_accuracy for seed in record.bench.seeds]
    found = [*_bits(record), *_outliers("validation accuracy", seeds, validation)]
    test = [reading.accuracy for seed in seeds for reading in record.readings.get(seed, ())[:1]]
    if len(test) != len(seeds):
        return found
    found += _outliers("test accuracy", seeds, test)
    apart, p = fmean(test) - fmean(validation), fmean(validation)
    # By chance, two sets of so many images differ by this.
    error = math.sqrt(2 * max(p * (1 - p), 1 / VALIDATION_IMAGES) / VALIDATION_IMAGES)
    if abs(apart) > OUTLIER * error or 1.0 in (fmean(test), fmean(validation)):
        found.append(
            f"the mean test accuracy is {percent(fmean(test), 3)}, that of validation "
            f"{percent(fmean(validation), 3)}: unusually far apart, or without an error"
        )
    return found


def _bits(record: Record) -> Iterator[str]:
    """Which numerics trained the record, where they are not those of today."""
    found = {numerics(seed.environment): None for seed in record.bench.seeds}
    if others := [str(version) for version in found if version != NUMERICS]:
        yield (
            f"its numerics are {', '.join(others)}, those of this under20k {NUMERICS}: a seed trained "
            "again is held to the spread of the record's accuracies, not to its bits"
        )


def _outliers(what: str, seeds: Sequence[int], values: Sequence[float]) -> Iterator[str]:
    """The seeds that lie far from the mean of the others."""
    if len(values) < 3:
        return
    for index, (seed, value) in enumerate(zip(seeds, values, strict=True)):
        others = [*values[:index], *values[index + 1 :]]
        spread = max(stdev(others), 1 / VALIDATION_IMAGES)
        away = (value - fmean(others)) / spread
        if abs(away) > OUTLIER:
            yield (
                f"seed {seed}: {what} {percent(value)}, {abs(away):.0f} standard deviations "
                f"{'above' if away > 0 else 'below'} the other seeds"
            )
