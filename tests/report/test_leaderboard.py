"""The table of ``compare``: every row can be told from every other, and empty columns go first."""

from dataclasses import replace
from pathlib import Path

from tests.support.benches import SMALL, bench_of, on_disk
from under20k.report.leaderboard import leaderboard_table
from under20k.report.words import P_VALUE
from under20k.runs.leaderboard import compare

LONG = "minimal+learning_rate={}+batch_size=5000+weight_decay=0.001"


def names(table) -> list[str]:
    return [row[0] for row in table.rows]


def test_entries_of_one_name_show_their_folders(tmp_path: Path):
    bench = bench_of([0.9941, 0.9943])
    folders = [on_disk(tmp_path / place, bench) for place in ("here", "there")]
    assert sorted(names(leaderboard_table(compare(folders)))) == [
        f"small ({path})" for path in sorted(folders)
    ]
    (alone,) = names(leaderboard_table(compare(folders[:1])))
    assert alone == "small"


def test_changed_recipes_differ_on_a_terminal(tmp_path: Path):
    recipes = [replace(SMALL, name=LONG.format(rate)) for rate in ("0.1", "0.2")]
    folders = [
        on_disk(tmp_path / str(number), bench_of([0.9941, 0.9943], recipe))
        for number, recipe in enumerate(recipes)
    ]
    short = names(leaderboard_table(compare(folders), short=True))
    assert sorted(short) == [f"minimal + 3 settings (learning_rate={rate})" for rate in ("0.1", "0.2")]
    assert sorted(names(leaderboard_table(compare(folders)))) == [recipe.name for recipe in recipes]


def test_empty_columns_are_hidden_first(tmp_path: Path):
    single = leaderboard_table(compare([on_disk(tmp_path, bench_of([0.9941]))]))
    assert set(single.optional[:2]) == {"Test", P_VALUE}  # a bench of one seed, never tested
    assert len(set(single.optional)) == len(single.optional)
