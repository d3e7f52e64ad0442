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
from under20k.runs.records.graph_rules import graph_rules
from under20k.runs.records.timing import CORES, TURNS, Timing, reference_text

MIN_SEEDS = 20
SIGNIFICANCE = 0.01  # one-sided p-value that the mean needs in the tracks of TARGET_TRACKS
TRACKS = {
    "accurate": "highest mean validation accuracy",
    "small": f"fewest parameters whose mean reaches the target, p < {SIGNIFICANCE}",
    "fast": f"least training time on two CPU cores whose mean reaches the target, p < {SIGNIFICANCE}",
    "reference": "the assignment's two recipes as they are",
}
"""The aim of each track, by its name."""

TARGET_TRACKS = ("small", "fast")
ASSIGNMENT = (REGULARIZED, MINIMAL)
REFERENCE, REFERENCE_ENGINE = MINIMAL, "torch"
"""The training that the track ``fast`` is timed against."""
EQUAL = ("engine", "precision", "device", "numerics")
"""Entries of an environment that all seeds of a record must have in common."""


def broken(
    track: str,
    bench: Bench,
    test_readings: Mapping[int, int],
    timing: Timing | None,
    *,
    timed: bool = True,
) -> list[str]:
    """Return the rules of a track that a bench breaks.

    The split needs no rule, nor the global average pooling of a recipe: every one has them.

    Args:
        track: one of ``TRACKS``.
        bench: the seeds.
        test_readings: how often each seed's model has read the test set.
        timing: of the training, if it was timed.
        timed: whether the track ``fast`` needs a timing already.

    Returns:
        A sentence a rule; empty if the bench can be a record.
    """
    return [
        *recipe_rules(track, bench),
        *seed_rules(bench),
        *test_rules(test_readings),
        *(target_rules(bench) if track in TARGET_TRACKS else []),
        *(timing_rules(timing) if track == "fast" and timed else []),
    ]


def recipe_rules(track: str, bench: Bench) -> list[str]:
    """Return the rules that recipe and teachers break; the track ``reference`` allows no change at all."""
    recipe = bench.recipe
    wrong = network_rules(recipe)
    if recipe.distillation:
        wrong += [f"its teachers: {text}" for text in network_rules(recipe.distillation.teacher)]
    if track == "reference" and recipe not in ASSIGNMENT:
        names = " and ".join(allowed.name for allowed in ASSIGNMENT)
        wrong.append(f"{recipe.name} is not one of the assignment's recipes, {names}, as they are")
    return wrong


def network_rules(recipe: Recipe) -> list[str]:
    """Return the rules for every network that a recipe breaks: size, epochs, BatchNorm."""
    wrong = []
    if (parameters := recipe.architecture.parameters) >= PARAMETER_LIMIT:
        wrong.append(f"{parameters:,} parameters; fewer than {PARAMETER_LIMIT:,} are allowed")
    if recipe.epochs >= EPOCH_LIMIT:
        wrong.append(f"{recipe.epochs} epochs; fewer than {EPOCH_LIMIT} are allowed")
    if recipe.own:
        return [*wrong, *graph_rules(recipe.own)]
    bare = [str(index) for index, block in enumerate(recipe.in_notation.blocks, 1) if not block.batch_norm]
    if bare:
        wrong.append(f"no BatchNorm in block {', '.join(bare)}; every convolution but the last needs it")
    return wrong


def seed_rules(bench: Bench) -> list[str]:
    """Return the rules that the seeds break: their number and order, equal trainings, committed sources."""
    wrong = [f"a seed failed: {failure}" for failure in bench.failures]
    wrong += teacher_rules(bench)
    numbers = [seed.seed for seed in bench.seeds]
    if len(numbers) < MIN_SEEDS:
        wrong.append(f"{len(numbers)} seeds; at least {MIN_SEEDS} are needed")
    if bench.not_a_claim:
        wrong.append(bench.not_a_claim)
    if len({len(seed.epochs) for seed in bench.seeds}) > 1:
        wrong.append("the seeds did not stop at the same step")
    for name in EQUAL:
        values = dict.fromkeys(str(identity(seed.environment)[name]) for seed in bench.seeds)
        if len(values) > 1:
            wrong.append(f"seeds of different {name} ({', '.join(values)})")
    # Two machines build the same sources differently; different sources may differ in anything.
    builds = {seed.environment.get("native_build") for seed in bench.seeds}
    commits = {str(seed.environment.get("git")) for seed in bench.seeds}
    if len(builds) > 1 and len(commits) > 1:
        wrong.append(f"seeds of native engines built from different sources ({', '.join(sorted(commits))})")
    if any(commit == "None" or commit.endswith("-dirty") for commit in commits):
        wrong.append("trained from uncommitted sources, which nobody else can check out")
    return wrong


def teacher_rules(bench: Bench) -> list[str]:
    """Return the seeds whose teachers are not those of the recipe."""
    teaching = bench.recipe.distillation
    wrong = []
    for seed in bench.seeds:
        recorded = [(teacher["recipe"], teacher["seed"]) for teacher in distillation.noted(seed.environment)]
        own = [(teaching.teacher.name, number) for number in teaching.seeds(seed.seed)] if teaching else []
        if recorded != own:
            wrong.append(f"seed {seed.seed}: recorded teachers do not match the recipe")
    return wrong


def test_rules(test_readings: Mapping[int, int]) -> list[str]:
    """Return the seeds that did not read the test set exactly once."""
    return [
        f"seed {seed} read the test set {count} times; it is read once, after the recipe is fixed"
        for seed, count in test_readings.items()
        if count != 1
    ]


def timing_rules(timing: Timing | None) -> list[str]:
    """Return the rules that the timing breaks: the cores, the reference, the number of turns."""
    if timing is None:
        return ["training was not timed against the reference"]
    wrong = []
    if timing.cores != CORES:
        wrong.append(f"timed on {timing.cores} cores; {CORES} are required")
    if timing.reference != (expected := reference_text(REFERENCE, REFERENCE_ENGINE)):
        wrong.append(f"timed against {timing.reference}; the reference is {expected}")
    if len(timing.subject_s) < TURNS:
        wrong.append(f"timed in {len(timing.subject_s)} turns; at least {TURNS} are needed")
    return wrong


def target_rules(bench: Bench) -> list[str]:
    """Return faults if the mean misses the target, or may reach it by chance."""
    statistics = bench.statistics
    mean, p = statistics.summary.last.mean, statistics.p_exceeds_target
    wrong = []
    if not reaches_target(mean):
        wrong.append(f"the mean is {percent(mean, 3)}; {percent(statistics.target)} is needed")
    if p is None or p >= SIGNIFICANCE:
        shown = "unknown" if p is None else f"{p:#.2g}"
        wrong.append(
            f"p-value {shown} (one-sided t-test, H₀: mean ≤ {percent(statistics.target)}); it must be below "
            f"{SIGNIFICANCE}"
        )
    return wrong
