"""Which seeds and records are drawn to rerun."""

import subprocess
from argparse import Namespace
from collections import Counter
from dataclasses import replace
from pathlib import Path

from tests.support.benches import around, bench_of
from under20k.cli.records_verify import draw_source, repeat
from under20k.runs.records.draw import draw, draw_records
from under20k.runs.records.record import Record

RECORD = Record("fast", "tiny", "2026-01-04", bench_of(around(0.9945)), {}, {})


def test_equal_texts_draw_equal_seeds_and_other_texts_others():
    assert draw(RECORD, 3, "a") == draw(RECORD, 3, "a")
    assert len({tuple(draw(RECORD, 3, str(text))) for text in range(50)}) > 40
    assert draw(RECORD, 3, "a") != draw(replace(RECORD, name="other"), 3, "a")
    assert draw(RECORD, 100, "a") == list(range(20))
    assert draw(RECORD, 3, "a") == sorted(set(draw(RECORD, 3, "a")))
    assert draw(RECORD, 1, "a")[0] in draw(RECORD, 2, "a")


def test_seeds_and_records_are_drawn_uniformly():
    seeds = Counter(draw(RECORD, 1, str(text))[0] for text in range(4_000))
    assert len(seeds) == 20
    # 200 each on average, ±14: five standard deviations.
    assert all(130 <= count <= 270 for count in seeds.values())
    records = [replace(RECORD, name=name) for name in "abcdef"]
    names = Counter(draw_records(records, 1, str(text))[0].name for text in range(1_200))
    assert len(names) == 6
    assert all(130 <= count <= 270 for count in names.values())
    assert draw_records(records, 6, "a") == records


def options(**values: object) -> Namespace:
    return Namespace(
        **{"rerun": 1, "rerun_records": None, "rerun_from": None, "records_dir": Path(), **values}
    )


def test_the_source_of_a_draw_is_given_or_the_commit_in_ci_or_random(monkeypatch, tmp_path):
    monkeypatch.delenv("CI", raising=False)
    assert draw_source(options(rerun_from="x")) == "x"
    assert draw_source(options()) != draw_source(options())
    git = ["git", "-C", str(tmp_path), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", "A"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    monkeypatch.setenv("CI", "true")
    assert draw_source(options(records_dir=tmp_path)) == commit.strip()
    assert draw_source(options(records_dir=tmp_path, rerun_from="x")) == "x"
    outside = draw_source(options(records_dir=tmp_path / "nowhere"))
    assert outside != draw_source(options(records_dir=tmp_path / "nowhere"))
    monkeypatch.setenv("CI", "false")
    assert draw_source(options(records_dir=tmp_path)) != commit.strip()


def test_the_options_that_repeat_a_draw():
    assert repeat(options(), "ab") == "--rerun 1 --rerun-from ab"
    assert (
        repeat(options(rerun=3, rerun_records=2), "a b") == "--rerun 3 --rerun-records 2 --rerun-from 'a b'"
    )
