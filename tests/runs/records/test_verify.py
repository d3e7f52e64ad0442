"""``under20k records verify`` finds a change anywhere in a record, without any other data."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.support.benches import SMALL, TAUGHT, around, bench_of, recorded, taught
from tools import record_numerics
from under20k.cli.main import main
from under20k.cli.records_verify import findings
from under20k.engine.base import NUMERICS
from under20k.errors import UserError
from under20k.files import read_json, read_text, write_json, write_text
from under20k.report.records import write_record_page
from under20k.runs.bench.bench import Bench
from under20k.runs.records.checksum import with_checksums
from under20k.runs.records.consistency import remarks
from under20k.runs.records.record import Record
from under20k.runs.records.record_files import FILES
from under20k.runs.records.seed_entries import Reading
from under20k.runs.records.timing import Timing
from under20k.runs.records.verify import check

TIMING = Timing("minimal, torch engine, fp32", (2.0, 2.2, 2.1), (90.0, 99.0, 84.0), 2, "A processor")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a record of the track ``fast``, which has every field; tests must not change it."""
    bench = bench_of(around(0.9945), threads=1)
    readings = {
        seed.seed: (Reading("2026-01-03T00:00:00+00:00", 9_940 + seed.seed, 10_000),) for seed in bench.seeds
    }
    weights = {seed.seed: f"{seed.seed:064x}" for seed in bench.seeds}
    record = Record("fast", "tiny", "2026-01-04", bench, readings, weights, TIMING)
    return recorded(record, tmp_path_factory.mktemp("records"))


@pytest.fixture
def record(original: Path, tmp_path: Path) -> Path:
    """Return a copy of the record, free to change."""
    return Path(shutil.copytree(original, tmp_path / "records" / "fast" / original.name))


def numbers(value: Any, where: tuple = ()) -> Iterator[tuple]:
    """Yield the paths to all numbers in plain values."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from numbers(inner, (*where, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from numbers(inner, (*where, index))
    elif type(value) in (int, float):
        yield where


def changed(value: Any, where: tuple, new: Any) -> Any:
    """Return a copy with another value at that path."""
    copy = json.loads(json.dumps(value))
    inner = copy
    for step in where[:-1]:
        inner = inner[step]
    inner[where[-1]] = new(inner[where[-1]]) if callable(new) else new
    return copy


def test_a_record_with_teachers(tmp_path):
    bench = taught(bench_of(around(0.9945), TAUGHT, threads=1))

    def of(bench: Bench) -> Record:
        readings = {seed.seed: (Reading("2026-01-03T00:00:00+00:00", 9_940, 10_000),) for seed in bench.seeds}
        weights = {seed.seed: f"{seed.seed:064x}" for seed in bench.seeds}
        return Record("small", "taught", "2026-01-04", bench, readings, weights)

    path = recorded(of(bench), tmp_path)
    assert check(path) == []
    again = Record.open(path)
    assert again.bench.recipe == TAUGHT
    assert len(again.environments()) == 1
    assert [seed.environment["teachers"] for seed in again.bench.seeds] == [
        seed.environment["teachers"] for seed in bench.seeds
    ]
    assert "| Teachers " in read_text(path / "README.md")

    for name, value, words in (
        ("time_s", -30.0, "a teacher's time_s is -30.0"),
        ("validation_accuracy", 7.5, "a teacher's accuracy 7.5 is not a multiple"),
        ("validation_accuracy", 0.99001, "a teacher's accuracy 0.99001 is not a multiple"),
    ):
        wrong = [
            replace(
                seed,
                environment={
                    **seed.environment,
                    "teachers": [{**teacher, name: value} for teacher in seed.environment["teachers"]],
                },
            )
            for seed in bench.seeds
        ]
        path = recorded(of(replace(bench, seeds=tuple(wrong))), tmp_path / words)
        (found,) = check(path)
        assert f"seed 0: {words}" in found
    damaged = read_json(path / "record.json")
    damaged["seeds"][0]["teachers"] = [{}]
    write_json(path / "record.json", damaged)
    (found,) = check(path)
    assert "seed 0: a teacher is {}" in found


def nudged(number: float) -> float:
    return number + 1 if isinstance(number, int) else number * (1 + 1e-9) + 1e-12


def test_an_unchanged_record_is_valid(record):
    assert findings(record) == []


def test_a_change_of_any_number_in_record_json_is_found(record):
    """Whole numbers change by 1, others by a billionth."""
    values = read_json(record / "record.json")
    paths = list(numbers(values))
    assert len(paths) > 150
    named = {".".join(str(step) for step in keys if isinstance(step, str)) for keys in paths}
    assert {
        "seeds.validation_accuracy",
        "seeds.test_readings.correct",
        "timing.subject_s",
        "timing.ratio",
    } <= named
    assert {"recipe.learning_rate", "environments.cores", "statistics.p_exceeds_target", "test.sd"} <= named
    unseen = []
    for keys in paths:
        write_json(record / "record.json", changed(values, keys, nudged))
        if not check(record):
            unseen.append(keys)
    assert unseen == []
    write_json(record / "record.json", values)
    assert check(record) == []


# These follow from the seeds' numbers, so a new checksum does not hide a change.
DERIVED = ("parameters", "macs", "statistics", "test")


def test_statistics_are_recomputed_even_if_the_checksum_matches(record):
    values = read_json(record / "record.json")
    curves = read_text(record / "curves.jsonl")
    paths = [
        keys
        for keys in numbers(values)
        if keys[0] in DERIVED
        or keys[-1] in ("validation_accuracy", "time_s")
        or (keys[0] == "timing" and keys[1] in ("median_s", "reference_median_s", "ratio"))
    ]
    assert len(paths) > 55
    for keys in paths:
        forged = changed(values, keys, nudged)
        write_json(record / "record.json", with_checksums(forged, curves))
        wrong = check(record)
        assert any("recomputed" in text for text in wrong), keys


def test_a_change_of_any_number_in_the_curves_is_found(record):
    lines = [json.loads(line) for line in read_text(record / "curves.jsonl").splitlines()]
    for keys in numbers(lines):
        if keys[0] in (0, 19):
            text = "".join(json.dumps(line) + "\n" for line in changed(lines, keys, nudged))
            write_text(record / "curves.jsonl", text)
            assert check(record), keys


@pytest.mark.parametrize(
    ("keys", "new"),
    [
        (("name",), "other"),
        (("track",), "small"),
        (("date",), "2026-01-05"),
        (("command",), "under20k bench"),
        (("split",), "50000 train, 10000 validate, sha256 00"),
        (("recipe", "architecture"), "2p,5p|l"),
        (("environments", 0, "engine"), "native"),
        (("environments", 0, "git"), "abc-dirty"),
        (("seeds", 3, "weights_sha256"), "0" * 64),
        (("seeds", 3, "test_readings", 0, "read"), "2026-01-02T00:00:00+00:00"),
        (("seeds", 3, "test_readings"), []),
        (("seeds", 3, "started"), None),
        (("timing", "processor"), "Another"),
        (("timing",), None),
        (("statistics", "note"), "very good"),
        (("statistics",), {}),
        (("sha256",), "0" * 64),
    ],
)
def test_a_change_of_any_text_is_found(record, keys, new):
    values = read_json(record / "record.json")
    write_json(record / "record.json", changed(values | {"extra": 1}, ("extra",), 1))
    assert any("extra" in text for text in check(record))
    if keys == ("statistics", "note"):
        values["statistics"]["note"] = ""
    write_json(record / "record.json", changed(values, keys, new))
    assert check(record)


@pytest.mark.parametrize(
    ("keys", "part"),
    [
        (("command",), "track, name, date, command"),
        (("environments", 0, "system"), "environments"),
        (("seeds", 3, "weights_sha256"), "seeds"),
        (("timing", "processor"), "timing"),
        (("recipe", "name"), "recipe"),
    ],
)
def test_a_checksum_mismatch_names_the_part(record, keys, part):
    values = read_json(record / "record.json")
    new = f"{7:064x}" if keys[-1] == "weights_sha256" else lambda text: f"{text}s"
    write_json(record / "record.json", changed(values, keys, new))
    assert any("sha256" in text and text.endswith(f": {part}") for text in check(record))
    # Older records have no checksums of their parts.
    del values["parts_sha256"]
    whole = with_checksums(values, read_text(record / "curves.jsonl"))
    write_json(record / "record.json", whole)
    assert check(record) == []
    write_json(record / "record.json", changed(whole, keys, new))
    (mismatch,) = [text for text in check(record) if "sha256" in text]
    for candidate in ("a seed's start", "test reading", "weights", "timing", "curves.jsonl"):
        assert candidate in mismatch


def test_a_checksum_mismatch_names_the_curves(record):
    curves = read_text(record / "curves.jsonl")
    write_text(record / "curves.jsonl", curves.replace('"train_loss": 0.1,', '"train_loss": 0.11,', 1))
    (mismatch,) = check(record)
    assert "sha256" in mismatch
    assert mismatch.endswith(": curves.jsonl")


def test_a_seed_left_out_is_found(record):
    """Consistently: record, curves, statistics, checksum and page are of the other seeds."""
    path = record / "record.json"
    whole = Record.open(record)
    more = bench_of(around(0.9945, 21))
    for kept, words in ((more.seeds[:5] + more.seeds[6:], "not consecutive"), (more.seeds[:19], "19 seeds")):
        numbers_of = [seed.seed for seed in kept]
        forged = replace(
            whole,
            bench=replace(more, seeds=kept),
            readings={seed: (Reading("2026-01-03T00:00:00+00:00", 9_950, 10_000),) for seed in numbers_of},
            weights={seed: whole.weights.get(seed, "f" * 64) for seed in numbers_of},
        )
        write_json(path, forged.to_dict())
        write_text(record / "curves.jsonl", forged.curves())
        write_record_page(forged, record)
        (only,) = check(record)
        assert words in only


@pytest.mark.parametrize(
    ("figure", "value", "words"),
    [
        ("validation_accuracy", 0.99455, "0.99455 is not a multiple of 1/10,000"),
        ("validation_accuracy", 1.0001, "1.0001 is not a multiple of 1/10,000"),
        ("train_accuracy", 0.990001, "0.990001 is not a multiple of 1/50,000"),
        ("total_time_s", 0.0, "is more than total_time_s 0.0"),
        ("epoch", 3, "its epochs are not numbered 1, 2, 3"),
    ],
)
def test_figures_that_no_training_gives_are_found(record, figure, value, words):
    """Even if the checksum matches."""
    whole = Record.open(record)
    first = whole.bench.seeds[0]
    forged_seed = replace(first, epochs=(first.epochs[0], replace(first.epochs[1], **{figure: value})))
    forged = replace(
        whole,
        bench=replace(whole.bench, seeds=(forged_seed, *whole.bench.seeds[1:])),
    )
    write_json(record / "record.json", forged.to_dict())
    write_text(record / "curves.jsonl", forged.curves())
    assert any(words in text for text in check(record))


def test_readings_that_no_test_set_gives_are_found(record):
    whole = Record.open(record)
    for correct, images in ((10_001, 10_000), (9_950, 9_999), (-1, 10_000)):
        reading = Reading("2026-01-03T00:00:00+00:00", correct, images)
        forged = replace(whole, readings={**whole.readings, 3: (reading,)})
        write_json(record / "record.json", forged.to_dict())
        assert any("is not a test accuracy" in text for text in check(record))


@pytest.mark.parametrize("file", [*FILES, "curves.png", "curves-dark.png", "README.md"])
def test_a_missing_file_is_found(record, file):
    (record / file).unlink()
    assert findings(record)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("record.json", "", "is not JSON"),
        ("record.json", "[]", "record of format None"),
        ("record.json", '{"format": 2}', "record of format 2"),
        ("record.json", '{"format": 1}', "is damaged: it lacks 'track'"),
        ("record.json", '{"format": 1, "seeds": 3, "environments": 4}', "is damaged"),
        ("curves.jsonl", "", "list different seeds"),
        ("curves.jsonl", "[]\n", "is damaged"),
        ("curves.jsonl", '{"seed": 0, "epochs": [{"epoch": NaN}]}\n', "is damaged"),
        ("curves.jsonl", '{"seed": 0, "epochs": 7}\n', "is damaged"),
        (
            "README.md",
            "# Better than all\n",
            "README.md does not follow from record.json; 'under20k report' writes",
        ),
    ],
)
def test_damaged_files_are_reported_in_a_line(record, file, content, words):
    write_text(record / file, content)
    (only,) = findings(record)
    assert words in only
    assert "\n" not in only


def test_a_record_in_another_folder_is_found(record, tmp_path):
    elsewhere = tmp_path / "records" / "small" / record.name
    elsewhere.parent.mkdir()
    record.rename(elsewhere)
    (only,) = check(elsewhere)
    assert "belongs in fast/2026-01-04-tiny" in only


def test_a_record_without_a_later_setting_is_valid(record, monkeypatch):
    """A record keeps the recipe as written; a setting that it does not name has its default."""
    values = read_json(record / "record.json")
    curves = read_text(record / "curves.jsonl")
    del values["recipe"]["average_decay"]  # as if it had come later
    write_json(record / "record.json", with_checksums(values, curves))
    assert check(record) == []


def test_the_command_prints_findings_and_fails(record, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    verify = ["records", "verify", "--no-models"]
    assert main(verify) == 0
    assert capsys.readouterr().out == "✓ 1 of 1 records valid\nrecords/fast/2026-01-04-tiny: ✓ valid\n"
    values = read_json(record / "record.json")
    values["statistics"]["mean"] += 0.0001
    write_json(record / "record.json", values)
    assert main(verify) == 1
    out = capsys.readouterr().out
    assert "records/fast/2026-01-04-tiny: ✗ invalid\n  statistics.mean is 0.9946" in out
    assert out.startswith("✗ 0 of 1 records valid\n")
    assert main([*verify, "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert (shown["passed"], len(shown["records"][0]["wrong"])) == (False, 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["verify", "nowhere"], "there is no record in nowhere"),
        (["verify", "--records-dir", "nowhere"], "there is no folder nowhere"),
        (["verify", "--rerun", "-1"], "--rerun is -1"),
        (["verify", "--jobs", "0"], "--jobs is 0"),
        (["verify", "--rerun-records", "2"], "--rerun-records chooses what --rerun K"),
        (["verify", "--rerun-from", "x"], "--rerun-from chooses what --rerun K"),
        (["verify", "--reuse-runs", "x"], "--reuse-runs chooses what --rerun K"),
        (["verify", "--rerun", "1", "--reuse-runs", "nowhere"], "--reuse-runs: nowhere is not a folder"),
        (["verify", "--rerun", "1", "--rerun-records", "0"], "--rerun-records is 0"),
        (["verify", "--rerun", "1", "--rerun-from", ""], "--rerun-from is empty"),
        (["--records-dir", "nowhere"], "there is no folder nowhere"),
    ],
)
def test_bad_usage_is_one_line(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert main(["records", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert words in err


def test_tables_and_pages_are_updated(record, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    page = read_text(record / "README.md")
    write_text(tmp_path / "records" / "README.md", "a\n<!-- records -->\nold\n<!-- /records -->\nb\n")
    write_text(record / "README.md", page.replace("Seconds", "Sekunden"))  # as another version words it
    assert main(["records"]) == 0
    out, err = capsys.readouterr()
    assert "fast: least training time" in out
    assert "2026-01-04-tiny" in out
    assert "42.9×" not in out  # the median of 45, 45 and 40 is the ratio, not the medians' own
    assert "45.0×" in out
    assert read_text(record / "README.md") == page
    assert "2026-01-04-tiny" in read_text(tmp_path / "records" / "README.md")
    assert err.count("updated") == 2
    assert main(["records", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["folder"] == "fast/2026-01-04-tiny"


def test_the_page_of_a_damaged_record_stays(record, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    values = read_json(record / "record.json")
    write_json(record / "record.json", changed(values, ("seeds", 0, "threads"), 2))
    before = read_text(record / "README.md")
    main(["records"])
    assert read_text(record / "README.md") == before
    assert check(record)


def test_the_date_is_a_date(record):
    assert date.fromisoformat(Record.open(record).date)
    assert Record.open(record).bench.recipe == SMALL


def without_numerics(record: Path) -> None:
    """Give the record a code instead of numerics."""
    values = read_json(record / "record.json")
    for environment in values["environments"]:
        del environment["numerics"]
        environment["code"] = "0123456789abcdef"
    write_json(record / "record.json", with_checksums(values, read_text(record / "curves.jsonl")))


def test_a_record_without_numerics_is_valid_with_a_remark(record, capsys):
    without_numerics(record)
    assert check(record) == []
    assert main(["records", "verify", "--no-models", str(record)]) == 0
    out = capsys.readouterr().out
    assert f"its numerics are unknown (code 0123456789abcdef), those of this under20k {NUMERICS}:" in out
    assert "need not be bit-exact" in out


def test_numerics_are_added_only_to_a_valid_old_record(record):
    without_numerics(record)
    record_numerics.add(record)
    assert check(record) == []
    assert {own["numerics"] for own in read_json(record / "record.json")["environments"]} == {NUMERICS}
    assert remarks(Record.open(record)) == []
    without_numerics(record)
    before = read_text(record / "record.json").replace('"processor": "A processor"', '"processor": "Another"')
    write_text(record / "record.json", before)
    with pytest.raises(UserError, match="is not valid"):
        record_numerics.add(record)
    assert read_text(record / "record.json") == before
