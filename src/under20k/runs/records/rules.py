"""The tracks that records compete in, and their rules."""

from __future__ import annotations

from collections.abc import Mapping

from under20k.formatting import percent
from under20k.recipe.limits import EPOCH_LIMIT, PARAMETER_LIMIT
from under20k.recipe.named import MINIMAL, REGULARIZED
from under20k.recipe.recipe import Recipe
from under20k.runs import distillation
from under20k.runs.bench.bench import Bench
from under20k.runs.bench.statistics import reaches_target
from under20k.runs.provenance import identity
from under20k.runs.records.timing import CORES, TURNS, Timing, reference_text

TRACKS = {
    "accurate": "highest mean validation accuracy",
    "small": "fewest parameters whose mean reaches the target, p < 0.01",
    "fast": "least training time on two CPU cores whose mean reaches the target, p < 0.01",
    "reference": "the assignment's two recipes as they are",
}
"""What each track asks for, by its name."""

MIN_SEEDS = 20
SIGNIFICANCE = 0.01  # of the mean's exceeding the target, one-sided
AT_TARGET = ("small", "fast")
SPECIFIED = (REGULARIZED, MINIMAL)
REFERENCE, REFERENCE_ENGINE = MINIMAL, "torch"
"""What the track ``fast`` measures time against."""
SAME = ("engine", "precision", "device", "numerics")
"""What may not differ between the seeds of a record."""


def broken(
    track: str,
    bench: Bench,
    test_readings: Mapping[int, int],
    timing: Timing | None,
    *,
    measured: bool = True,
) -> list[str]:
    """The rules of a track that a bench breaks, each in words; none where it is a record.

    ``test_readings``: how often each seed's model has read the test set. With ``measured`` false, how
    training was timed is left out. That the split is the assignment's and the head a global average pool
    is so of every recipe here.
    """
    return [
        *recipe_rules(track, bench),
        *seed_rules(bench),
        *test_rules(test_readings),
        *(target_rules(bench) if track in AT_TARGET else []),
        *(timing_rules(timing) if track == "fast" and measured else []),
    ]


def recipe_rules(track: str, bench: Bench) -> list[str]:
    """What the recipe and its teachers break: size, epochs, BatchNorm; in the track ``reference``, any
    change at all.
    """
    recipe = bench.recipe
    wrong = network_rules(recipe)
    if recipe.distillation:
        wrong += [f"its teachers: {text}" for text in network_rules(recipe.distillation.teacher)]
    if track == "reference" and recipe not in SPECIFIED:
        names = " and ".join(specified.name for specified in SPECIFIED)
        wrong.append(f"{recipe.name} is not one of the assignment's recipes, {names}, as they are")
    return wrong


def network_rules(recipe: Recipe) -> list[str]:
    """What a recipe breaks of the rules for any network that is trained."""
    wrong = []
    if (parameters := recipe.architecture.parameters) >= PARAMETER_LIMIT:
        wrong.append(f"{parameters:,} parameters; fewer than {PARAMETER_LIMIT:,} are allowed")
    if recipe.epochs >= EPOCH_LIMIT:
        wrong.append(f"{recipe.epochs} epochs; fewer than {EPOCH_LIMIT} are allowed")
    bare = [str(index) for index, block in enumerate(recipe.architecture.blocks, 1) if not block.batch_norm]
    if bare:
        wrong.append(f"no BatchNorm in block {', '.join(bare)}; every convolution but the last needs it")
    return wrong


def seed_rules(bench: Bench) -> list[str]:
    """What the seeds break: number, gaps, a start other than 0, unequal lengths, unlike engines or numerics,
    and teachers that are not the recipe's.
    """
    wrong = [f"a seed failed: {failure}" for failure in bench.failures]
    teaching = bench.recipe.distillation
    for seed in bench.seeds:
        taught_by = [(teacher["recipe"], teacher["seed"]) for teacher in distillation.noted(seed.environment)]
        own = [(teaching.teacher.name, number) for number in teaching.seeds(seed.seed)] if teaching else []
        if taught_by != own:
            wrong.append(f"seed {seed.seed} was not taught by its own teachers, which the recipe asks for")
    numbers = [seed.seed for seed in bench.seeds]
    if len(numbers) < MIN_SEEDS:
        wrong.append(f"{len(numbers)} seeds; at least {MIN_SEEDS} are needed")
    if numbers != list(range(len(numbers))):
        wrong.append("the seeds are not consecutive from 0, so that some could have been picked")
    if len({len(seed.epochs) for seed in bench.seeds}) > 1:
        wrong.append("the seeds did not stop at the same step")
    for name in SAME:
        values = dict.fromkeys(str(identity(seed.environment)[name]) for seed in bench.seeds)
        if len(values) > 1:
            wrong.append(f"seeds of different {name} ({', '.join(values)})")
    # Of the same sources, two machines build differently; of other sources, anything may differ.
    builds = {seed.environment.get("native_build") for seed in bench.seeds}
    commits = {str(seed.environment.get("git")) for seed in bench.seeds}
    if len(builds) > 1 and len(commits) > 1:
        wrong.append(f"seeds of native engines built of different sources ({', '.join(sorted(commits))})")
    if any(commit == "None" or commit.endswith("-dirty") for commit in commits):
        wrong.append("trained by sources that were not committed, so that nobody else can have them")
    return wrong


def test_rules(test_readings: Mapping[int, int]) -> list[str]:
    """What the readings of the test set break: one a seed."""
    return [
        f"seed {seed} read the test set {count} times; it is read once, after the recipe is fixed"
        for seed, count in test_readings.items()
        if count != 1
    ]


def timing_rules(timing: Timing | None) -> list[str]:
    """What the measurement of time breaks: two cores, the reference, turns enough."""
    if timing is None:
        return ["training was not timed against the reference"]
    wrong = []
    if timing.cores != CORES:
        wrong.append(f"time was measured on {timing.cores} cores; {CORES} are the rule")
    if timing.reference != (expected := reference_text(REFERENCE, REFERENCE_ENGINE)):
        wrong.append(f"time was measured against {timing.reference}; the reference is {expected}")
    if len(timing.subject_s) < TURNS:
        wrong.append(f"time was measured in {len(timing.subject_s)} turns; at least {TURNS} are needed")
    return wrong


def target_rules(bench: Bench) -> list[str]:
    """Whether the mean reaches the target beyond chance."""
    statistics = bench.statistics
    mean, p = statistics.summary.last.mean, statistics.p_exceeds_target
    wrong = []
    if not reaches_target(mean):
        wrong.append(f"the mean is {percent(mean, 3)}; {percent(statistics.target)} is needed")
    if p is None or p >= SIGNIFICANCE:
        shown = "unknown" if p is None else f"{p:#.2g}"
        wrong.append(
            f"one-sided t-test, mean > {percent(statistics.target)}: p = {shown}, not below {SIGNIFICANCE}"
        )
    return wrong
