import pytest

from tests.support.benches import around, bench_of
from under20k.recipe.named import MINIMAL
from under20k.report.short_names import labels, split_name
from under20k.runs.leaderboard import Entry


def entry(name: str, path: str = "benches/x", kind: str = "bench", seeds: int = 10) -> Entry:
    statistics = bench_of(around(0.994, seeds) if seeds > 1 else [0.994], MINIMAL).statistics
    return Entry(name, kind, path, 14_116, 1, 8, statistics, None)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("minimal", ("minimal", [])),
        ("minimal+epochs=2", ("minimal", ["epochs=2"])),
        ("a+b+learning_rate=1e+20+nesterov=True", ("a+b", ["learning_rate=1e+20", "nesterov=True"])),
        ("minimal+architecture=8,12p|3v", ("minimal", ["architecture=8,12p|3v"])),
        ("+epochs=2", ("+epochs=2", [])),
        ("1+1=2", ("1+1=2", [])),
    ],
)
def test_a_name_is_split_from_its_settings(name, parts):
    assert split_name(name) == parts


def test_a_changed_recipes_own_name_splits_back():
    changed = MINIMAL.with_changes(epochs=2, learning_rate=0.25, nesterov=True, architecture="8,12p|3v")
    name, settings = split_name(changed.name)
    assert name == "minimal"
    assert len(settings) == 4
    assert "+".join([name, *settings]) == changed.name


def test_names_that_differ_stay_as_they_are():
    assert labels([entry("minimal"), entry("four-epochs", kind="record")]) == ["minimal", "four-epochs"]


def test_settings_are_counted_and_a_single_one_is_written():
    names = ["minimal", "minimal+epochs=2", "minimal+epochs=2+momentum=0.5"]
    assert labels(list(map(entry, names))) == ["minimal", "minimal + epochs=2", "minimal + 2 settings"]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([entry("a+b=1+c=2"), entry("a+b=1+c=3")], ["a + 2 settings (c=2)", "a + 2 settings (c=3)"]),
        ([entry("a"), entry("a", kind="record")], ["a (bench)", "a (record)"]),
        ([entry("a", "x/bf16/a"), entry("a", "x/fp32/a")], ["a (bf16)", "a (fp32)"]),
        ([entry("a", seeds=10), entry("a", seeds=20)], ["a (10 seeds)", "a (20 seeds)"]),
        (
            [entry("a", "x/q/a"), entry("a", "x/r/a"), entry("a", "x/r/b", seeds=20)],
            ["a (q, 10 seeds)", "a (r, 10 seeds)", "a (r, 20 seeds)"],
        ),
        ([entry("a"), entry("a")], ["a #1", "a #2"]),
        ([entry("a, seed 1", kind="run"), entry("a, seed 2", kind="run")], ["a, seed 1", "a, seed 2"]),
    ],
)
def test_names_that_several_share_say_what_differs(entries, expected):
    assert labels(entries) == expected


def test_long_names_are_short_and_differ():
    names = [f"{'x' * 200}{number}" for number in range(9)] + [f"{'x' * 100}-y-{'x' * 100}"] * 3
    made = labels([entry(name) for name in names])
    assert len(set(made)) == len(names)
    assert max(map(len, made)) <= 50


def test_no_entries_have_no_labels():
    assert labels([]) == []
