"""Break every rule of every track: the rule is reported, and nothing else."""

from dataclasses import replace

import pytest

from tests.support.benches import SMALL, TAUGHT, around, bench_of, taught
from under20k.engine.base import NUMERICS
from under20k.recipe.named import MINIMAL, REGULARIZED
from under20k.runs.bench.bench import Bench
from under20k.runs.records.rules import TRACKS, broken
from under20k.runs.records.timing import Timing

REFERENCE = "minimal, torch engine, fp32"
TIMING = Timing(REFERENCE, (2.0, 2.1, 2.2), (90.0, 95.0, 99.0), 2, "A processor")
BUILT = {"engine": "native", "instruction_set": "avx2", "native_build": "aaaa"}


def judged(track: str, bench: Bench, readings: int = 1, timing: Timing | None = TIMING) -> list[str]:
    return broken(track, bench, {seed.seed: readings for seed in bench.seeds}, timing)


def mixed(**environment: object) -> Bench:
    """Return 20 seeds, the last one trained differently."""
    bench = bench_of(around(0.995), **(BUILT if "native_build" in environment else {}))
    last = bench.seeds[-1]
    changed = replace(last, environment={**last.environment, **environment})
    return replace(bench, seeds=(*bench.seeds[:-1], changed))


def mixed_code(code: str) -> Bench:
    """Return seeds older than numerics, the last one of other code."""
    before = [{"numerics": None, "code": "0123456789abcdef"}] * 19 + [{"numerics": None, "code": code}]
    seeds = [
        replace(seed, environment={**seed.environment, **own})
        for seed, own in zip(mixed().seeds, before, strict=True)
    ]
    return replace(mixed(), seeds=tuple(seeds))


def test_seeds_older_than_numerics_of_equal_code_break_no_rule():
    assert judged("accurate", mixed_code("0123456789abcdef")) == []


@pytest.mark.parametrize("track", TRACKS)
def test_good_benches_break_no_rule(track):
    recipe = REGULARIZED if track == "reference" else SMALL
    assert judged(track, bench_of(around(0.995), recipe)) == []
    assert judged(track, bench_of(around(0.995, 30), recipe)) == []


def test_groups_strides_and_sums_break_no_rule():
    recipe = SMALL.with_changes(architecture="16k5/2,16g,16k1r2,20/2,20r|7v")
    assert judged("small", bench_of(around(0.995), recipe)) == []


def test_teachers_keep_the_rules_too():
    assert judged("small", taught(bench_of(around(0.995), TAUGHT))) == []
    for teacher, words in (
        (MINIMAL.with_changes(architecture="20,24p,28,28p,32v|3v"), "28,954 parameters; fewer than 20,000"),
        (MINIMAL.with_changes(epochs=20), "20 epochs; fewer than 20"),
        (MINIMAL.with_changes(architecture="8,12np,14|l"), "no BatchNorm in block 2;"),
    ):
        bench = bench_of(around(0.995), replace(SMALL.with_changes(teacher=teacher), name="taught"))
        (named,) = judged("small", taught(bench, teacher.name))
        assert named.startswith(f"its teachers: {words}")


@pytest.mark.parametrize("noted", [{}, {"recipe": "other"}, {"first": 10**9 + 1}, {"first": 0}])
def test_each_seed_has_teachers_of_its_own(noted):
    bench = bench_of(around(0.995), TAUGHT)
    named = judged("small", taught(bench, **noted) if noted else bench)
    assert len(named) == 20
    for seed, text in enumerate(named):
        assert text.startswith(f"seed {seed}: ")
        assert "teachers" in text
    assert len(judged("small", taught(bench_of(around(0.995))))) == 20  # a recipe without teachers


def test_the_time_of_teachers_counts():
    bench = bench_of(around(0.995), TAUGHT)
    more = taught(bench).statistics.time_s.mean - bench.statistics.time_s.mean
    assert more == pytest.approx(60)


@pytest.mark.parametrize("track", TRACKS)
@pytest.mark.parametrize(
    ("bench", "words"),
    [
        (
            bench_of(around(0.995), MINIMAL.with_changes(architecture="20,24p,28,28p,32v|3v")),
            "28,954 parameters; fewer than 20,000 are allowed",
        ),
        (bench_of(around(0.995), MINIMAL.with_changes(epochs=20)), "20 epochs; fewer than 20 are allowed"),
        (
            bench_of(around(0.995), MINIMAL.with_changes(architecture="8,12np,14n|l")),
            "no BatchNorm in block 2, 3; every convolution but the last needs it",
        ),
        (bench_of(around(0.995, 19)), "19 seeds; at least 20 are needed"),
        (replace(b := bench_of(around(0.995, 21)), seeds=(*b.seeds[:3], *b.seeds[4:])), "not consecutive"),
        (replace(b, seeds=(*b.seeds[1:], b.seeds[0])), "not consecutive"),
        (replace(b, seeds=(*b.seeds, b.seeds[-1])), "not consecutive"),
        (bench_of(around(0.995), first=1), "not consecutive from 0"),
        (replace(b, failures=("small-21: no memory",)), "a seed failed: small-21: no memory"),
        (
            replace(b, seeds=(*b.seeds[:-1], replace(b.seeds[-1], epochs=b.seeds[-1].epochs[1:]))),
            "did not stop at the same step",
        ),
        (mixed(engine="native"), "seeds of different engine (torch, native)"),
        (mixed(precision="bf16"), "seeds of different precision (fp32, bf16)"),
        (mixed(device="cuda"), "seeds of different device (cpu, cuda)"),
        (mixed(numerics=NUMERICS + 1), f"seeds of different numerics ({NUMERICS}, {NUMERICS + 1})"),
        (mixed(numerics=None), f"seeds of different numerics ({NUMERICS}, unknown)"),
        (
            mixed_code("fedcba9876543210"),
            "different numerics (unknown (code 0123456789abcdef), unknown (code fedcba9876543210))",
        ),
        (
            mixed(native_build="bbbb", git="0" * 40),
            f"native engines built from different sources ({'0' * 40}, 0123456789abcdef",
        ),
        (bench_of(around(0.995), git=f"{'0' * 40}-dirty"), "uncommitted sources"),
        (bench_of(around(0.995), git=None), "uncommitted sources"),
    ],
)
def test_each_rule_of_all_tracks(track, bench, words):
    named = judged(track, bench)
    assert any(words in text for text in named), named
    # The recipe is not the assignment's; apart from that, exactly one rule is reported.
    others = [text for text in named if "is not one of the assignment's recipes" not in text]
    assert len(others) == 1
    assert (len(named) == 2) == (track == "reference")


def test_two_builds_of_the_same_sources_break_no_rule():
    assert judged("accurate", mixed(native_build="bbbb")) == []


@pytest.mark.parametrize("track", TRACKS)
@pytest.mark.parametrize("count", [0, 2])
def test_the_test_set_is_read_once(track, count):
    recipe = MINIMAL if track == "reference" else SMALL
    named = judged(track, bench_of(around(0.995), recipe), readings=count)
    assert len(named) == 20
    assert named[3] == f"seed 3 read the test set {count} times; it is read once, after the recipe is fixed"


@pytest.mark.parametrize("track", TRACKS)
def test_small_and_fast_require_the_target(track):
    recipe = MINIMAL if track == "reference" else SMALL
    needed = track in ("small", "fast")
    low = judged(track, bench_of(around(0.9935), recipe))
    assert low == (
        [
            "the mean is 99.350%; 99.40% is needed",
            "p-value 1.0 (one-sided t-test, H₀: mean ≤ 99.40%); it must be below 0.01",
        ]
        if needed
        else []
    )
    # t = 1 image / (3.078 / √20): p is 0.08.
    by_chance = judged(track, bench_of(around(0.9941), recipe))
    assert by_chance == (
        ["p-value 0.081 (one-sided t-test, H₀: mean ≤ 99.40%); it must be below 0.01"] if needed else []
    )


def test_a_mean_exactly_at_the_target_only_lacks_significance():
    (only,) = judged("small", bench_of([0.9939, 0.9941] * 10))
    assert "one-sided t-test" in only


def test_reference_takes_the_assignments_recipes_only():
    for recipe in (MINIMAL, REGULARIZED):
        assert judged("reference", bench_of(around(0.99), recipe)) == []
    (only,) = judged("reference", bench_of(around(0.99), MINIMAL.with_changes(weight_decay=2e-4)))
    assert "is not one of the assignment's recipes, regularized and minimal, as they are" in only


@pytest.mark.parametrize(
    ("timing", "words"),
    [
        (None, "training was not timed against the reference"),
        (replace(TIMING, cores=4), "timed on 4 cores; 2 are required"),
        (replace(TIMING, reference="minimal, native engine, fp32"), f"the reference is {REFERENCE}"),
        (replace(TIMING, subject_s=(2.0,), reference_s=(90.0,)), "in 1 turns; at least 3 are needed"),
    ],
)
def test_fast_requires_a_timing_against_the_reference(timing, words):
    (only,) = judged("fast", bench_of(around(0.995)), timing=timing)
    assert words in only
    assert judged("small", bench_of(around(0.995)), timing=timing) == []
