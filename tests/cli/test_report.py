"""``under20k report``: pages and pictures made again from data, and nothing else touched."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.benches import SMALL, around, bench_of, on_disk, recorded
from tests.support.command import assert_refused, contents
from under20k.cli.main import main
from under20k.files import read_json, write_json
from under20k.recipe.named import MINIMAL
from under20k.report.bench import write_bench_report
from under20k.report.run import write_run_report
from under20k.runs.records.record import Record
from under20k.runs.records.seed_entries import Reading
from under20k.runs.run import Run

PNG = b"\x89PNG\r\n\x1a\n"
PICTURE_BYTES = 40_000


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with three runs, their bench and a record; the record alone has a page."""
    monkeypatch.chdir(tmp_path)
    on_disk(tmp_path, bench_of(around(0.9945, 3)))
    bench = bench_of(around(0.9945))
    readings = {seed.seed: (Reading("2026-01-03T00:00:00+00:00", 9_940, 10_000),) for seed in bench.seeds}
    weights = {seed.seed: f"{seed.seed:064x}" for seed in bench.seeds}
    recorded(Record("small", "tiny", "2026-01-04", bench, readings, weights), tmp_path / "records")
    return tmp_path


RUN, BENCH, RECORD = f"runs/{SMALL.name}-1", f"benches/{SMALL.name}", "records/small/2026-01-04-tiny"


@pytest.mark.parametrize(
    ("folder", "page", "picture"),
    [
        (RUN, "report.md", "curves.png"),
        (BENCH, "bench.md", "bench.png"),
        (RECORD, "README.md", "curves.png"),
    ],
)
def test_page_and_picture_of_each_kind(place, capsys, folder, page, picture):
    dark = picture.replace(".png", "-dark.png")
    files = [page, picture, dark, *(["badge.svg"] if folder == BENCH else [])]
    for file in files:
        (place / folder / file).unlink(missing_ok=True)
    before = contents(place)
    assert main(["report", folder]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("".join(f"{folder}/{file}\n" for file in files), "")
    text = (place / folder / page).read_text(encoding="utf-8")
    assert {picture, dark} <= set(re.findall(r'(?:src|srcset)="([^"]+)"', text))
    accuracy = f"{Run.open(place / RUN).metrics()[-1].validation_accuracy:.2%}"
    assert accuracy in text
    for file in (picture, dark):
        drawn = (place / folder / file).read_bytes()
        assert drawn.startswith(PNG)
        assert len(drawn) <= PICTURE_BYTES
    after = contents(place)
    assert after.keys() - before.keys() == {f"{folder}/{file}" for file in files}
    assert {name: after[name] for name in before} == before


def test_the_pages_are_those_of_train_and_bench(place):
    assert main(["report", RUN, BENCH]) == 0
    made = contents(place)
    run = Run.open(place / RUN)
    write_run_report(run)
    bench = Path(BENCH)
    from under20k.runs.bench.bench import Bench

    write_bench_report(Bench.open(bench), bench)
    assert contents(place) == made


def test_a_folder_of_several_stands_for_all_of_them(place, capsys):
    assert main(["report", "runs", "records", ".", "--json"]) == 0
    out, err = capsys.readouterr()
    written = json.loads(out)
    assert err == ""
    names = [f"runs/{SMALL.name}-{seed}" for seed in range(3)]
    assert {entry["folder"]: entry["kind"] for entry in written} == {
        **dict.fromkeys(names, "run"),
        BENCH: "bench",
        RECORD: "record",
    }
    assert all(Path(file).is_file() for entry in written for file in entry["files"])


def test_a_run_without_an_epoch(place, capsys):
    Run.create(place / "runs" / "empty-0", MINIMAL, 0, {})
    assert main(["report", "runs"]) == 0
    out, err = capsys.readouterr()
    assert err == "runs/empty-0 has no finished epoch: skipped\n"
    assert "empty" not in out
    assert_refused(main(["report", "runs/empty-0"]), *capsys.readouterr(), "has no finished epoch to report")


def damaged_run(place: Path) -> None:
    (place / RUN / "metrics.jsonl").write_text("{")


def damaged_bench(place: Path) -> None:
    (place / BENCH / "bench.json").write_text("{")


def damaged_record(place: Path) -> None:
    path = place / RECORD / "record.json"
    values = read_json(path)
    values["statistics"]["mean"] += 0.0001
    write_json(path, values)


@pytest.mark.parametrize(
    ("harm", "folder", "words"),
    [
        (damaged_run, RUN, "metrics.jsonl is damaged"),
        (damaged_bench, BENCH, "bench.json is not JSON"),
        (damaged_record, RECORD, "is not valid: statistics.mean is 0.9946"),
    ],
)
def test_what_is_damaged_gets_no_page(place, capsys, harm: Callable[[Path], None], folder: str, words: str):
    """Nor does anything that is named before it."""
    harm(place)
    before = contents(place)
    assert_refused(main(["report", f"runs/{SMALL.name}-0", folder]), *capsys.readouterr(), words)
    assert contents(place) == before


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere", "nowhere is not a folder"),
        ("empty", "empty contains no run, bench or record"),
        (f"{RECORD}/README.md", "README.md is not a folder"),
    ],
)
def test_a_folder_of_nothing_is_one_line(place, capsys, path, words):
    (place / "empty" / "a" / "b").mkdir(parents=True)
    shutil.copytree(place / RUN, place / "empty" / "a" / "b" / "too-deep-0")
    assert_refused(main(["report", path]), *capsys.readouterr(), words)
