"""``under20k compare``: rows that say what their folders hold, in every order and form, and the picture."""

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.image import imread

from tests.support.benches import SMALL, around, bench_of, on_disk, recorded
from under20k.cli.compare import FORMATS, SORTS
from under20k.cli.main import main
from under20k.errors import UserError
from under20k.files import read_json, write_json, write_text
from under20k.recipe.named import MINIMAL
from under20k.report.anchors import ANCHORS
from under20k.report.leaderboard_figure import leaderboard_figure
from under20k.runs.bench.bench import Bench
from under20k.runs.leaderboard import KEYS, compare, pareto
from under20k.runs.records.record import Record
from under20k.runs.records.seed_entries import Reading
from under20k.runs.run import Run

TINY = replace(SMALL.with_changes(architecture="1p,2p|l"), name="tiny")


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A bench of two seeds of one recipe, one of its runs, and a record of 20 seeds of another."""
    monkeypatch.chdir(tmp_path)
    bench = on_disk(Path(), bench_of([0.9941, 0.9943], SMALL))
    run = Path("runs/small-1")
    seeds = bench_of(around(0.9930), TINY)
    readings = {seed.seed: (Reading("2026-01-03T00:00:00+00:00", 9_950, 10_000),) for seed in seeds.seeds}
    weights = {seed: f"{seed:064x}" for seed in range(20)}
    record = recorded(Record("accurate", "tiny", "2026-01-04", seeds, readings, weights), Path("records"))
    return {"bench": bench, "run": run, "record": record}


def test_a_row_matches_its_folder(folders):
    bench, run, record = compare([folders["bench"], folders["run"], folders["record"]], sort="accuracy")[::1]
    # Accuracies 99.43 (one seed), 99.42 (two) and 99.30: the best first.
    bench, run = run, bench
    assert (run.name, run.kind, run.validation.n, run.validation.sd) == ("small, seed 1", "run", 1, None)
    assert run.validation.mean == 0.9943
    assert run.statistics.p_exceeds_target is None
    assert (bench.name, bench.kind, bench.validation.n) == ("small", "bench", 2)
    assert bench.validation.mean == pytest.approx(0.9942)
    assert bench.validation.sd == pytest.approx(0.0002 / 2**0.5)
    assert (bench.parameters, bench.macs) == (SMALL.architecture.parameters, SMALL.architecture.macs)
    # Two epochs of 1.5 + seed / 64 seconds.
    assert bench.statistics.time_s.mean == pytest.approx(3 + 1 / 64)
    assert (record.name, record.kind, record.validation.n) == ("tiny", "record", 20)
    assert record.statistics.summary.share_at_last == 0
    assert record.test is not None
    assert record.test.mean == pytest.approx(0.995)
    assert (bench.test, run.test) == (None, None)


def test_test_accuracy_stands_where_every_seed_was_read(folders):
    for seed, correct in ((0, 9_940), (1, 9_960)):
        (entry,) = compare([folders["bench"]])
        assert entry.test is None
        run = Run.open(Path(f"runs/small-{seed}"))
        for count in (correct, 1_000):  # read again: the first one counts
            run.add_test_reading({"read": "2026-01-02", "correct": count, "images": 10_000})
    (entry,) = compare([folders["bench"]])
    assert entry.test is not None
    assert (entry.test.n, entry.test.mean) == (2, pytest.approx(0.995))
    readings = Path("runs/small-0/test_readings.jsonl")
    readings.write_text(readings.read_text().replace("9940", "99400"))
    with pytest.raises(UserError, match=r"test_readings\.jsonl is damaged: 99400 of 10000 is not a test acc"):
        compare([folders["bench"]])
    shutil.rmtree("runs/small-0")  # a run that is gone has no reading
    assert compare([folders["bench"]])[0].test is None


BEST_FIRST = {
    "accuracy": ["run", "bench", "record"],
    "parameters": ["record", "run", "bench"],
    "macs": ["record", "run", "bench"],
    "sd": ["bench", "record", "run"],  # a single run has none
    "share": ["run", "bench", "record"],
    "p": ["bench", "record", "run"],
    "seconds": ["bench", "run", "record"],
    "test": ["record", "run", "bench"],
}


@pytest.mark.parametrize("key", SORTS)
def test_every_order(folders, key):
    assert [entry.kind for entry in compare(list(folders.values()), sort=key)] == BEST_FIRST[key]
    backwards = list(folders.values())[::-1]
    assert [entry.kind for entry in compare(backwards, sort=key)] == BEST_FIRST[key]


def test_the_commands_orders_are_those_there_are():
    assert tuple(KEYS) == SORTS


def test_every_format_has_the_same_figures(folders, capsys):
    paths = list(map(str, folders.values()))
    shown = {}
    for form in FORMATS:
        assert main(["compare", *paths, "--format", form]) == 0
        shown[form], err = capsys.readouterr()
        assert err == ""
    rows = json.loads(shown["json"])
    assert [row["kind"] for row in rows] == ["run", "bench", "record"]
    read = list(csv.DictReader(io.StringIO(shown["csv"])))
    for row, line in zip(rows, read, strict=True):
        assert {name: "" if value is None else str(value) for name, value in row.items()} == line
    text, markdown = shown["table"].splitlines(), shown["markdown"].splitlines()
    assert [line.split() for line in text[2:5]] == [
        line.replace("|", " ").replace("\\", "").split() for line in markdown[2:5]
    ]
    assert text[-1] == markdown[-1] == "✓ the mean is at or above 99.40%; ✗ it is below"
    assert "small, seed 1" in text[2]
    assert "✓ 99.43%" in text[2]
    assert "2 of 2" in text[3]
    assert "✓ 99.420 ± 0.014 %" in text[3]
    assert "✗ 99.300 ± " in text[4]
    assert "99.500 ± 0.000 %" in text[4]
    assert main(["compare", *paths, "--json"]) == 0
    assert capsys.readouterr().out == shown["json"]


def test_one_recipe_in_two_ways_is_paired_by_seed(folders, tmp_path, capsys):
    # 99.41, 99.43 and 99.40 against 99.43 and 99.41 of the first two: -0.02 and +0.02 points.
    ours = on_disk(tmp_path / "ours", bench_of([0.9941, 0.9943, 0.9940], SMALL))
    theirs = on_disk(tmp_path / "theirs", bench_of([0.9943, 0.9941], SMALL))
    assert main(["compare", str(ours), str(theirs), "--paired", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [row["n"] for row in shown["rows"]] == [2, 3]  # the better mean first
    difference = shown["difference"]
    assert (difference["n"], difference["mean"]) == (2, 0)
    assert difference["sd"] == pytest.approx(0.0002 * 2**0.5)
    assert (difference["t_test_p"], difference["sign_flip_p"]) == (pytest.approx(1), 1)
    # Against the fixture's 99.41 and 99.43: nothing at all for the first two seeds of ours.
    for form in ("table", "markdown"):
        assert main(["compare", str(ours), str(folders["bench"]), "--paired", "--format", form]) == 0
        out = capsys.readouterr().out
        assert f"{ours} minus {folders['bench']}, paired by seed" in out
        assert "+0.000" in out


def test_no_entry_dominates_the_pareto_front():
    def entry(parameters: int, mean: float):
        recipe = replace(TINY, name=f"{parameters}-{mean}")
        bench = bench_of([mean, mean], recipe)
        from under20k.runs.leaderboard import Entry

        return Entry(recipe.name, "bench", "", parameters, 1, 2, bench.statistics, None)

    entries = [
        entry(*each) for each in ((9, 0.994), (5, 0.993), (5, 0.992), (7, 0.993), (12, 0.9935), (3, 0.98))
    ]
    assert [(each.parameters, each.validation.mean) for each in pareto(entries)] == [
        (3, 0.98),
        (5, 0.993),
        (9, 0.994),
    ]


def test_the_picture(folders, capsys):
    paths = list(map(str, folders.values()))
    assert main(["compare", *paths, "--picture", "board.png"]) == 0
    capsys.readouterr()
    assert imread("board.png").ndim == 3
    figure = leaderboard_figure(compare(paths))
    (axes,) = figure.axes
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == [
        "public figure, selected on the test set",
        "public figure, on a validation set",
        "Pareto front of these",
        "one seed",
        "mean over seeds, 95% interval",
    ]
    crosses, pluses = (line for line in axes.lines if line.get_label().startswith("public figure"))
    selected = [anchor for anchor in ANCHORS if anchor.selected and anchor.name != "JoshWarn"]
    assert list(crosses.get_xdata()) == [anchor.parameters for anchor in selected]
    assert list(crosses.get_ydata()) == pytest.approx([100 * anchor.accuracy for anchor in selected])
    assert list(pluses.get_xdata()) == [18_614]
    notes = " ".join(text.get_text() for text in reversed(figure.texts))
    assert "Each public figure is from one run, and cannot be compared with ours" in notes
    assert "Below the axis: JoshWarn (697 parameters, 99.03%)" in notes
    (front,) = (line for line in axes.lines if line.get_label() == "Pareto front of these")
    assert list(front.get_xdata()) == [TINY.architecture.parameters, SMALL.architecture.parameters]
    names = {text.get_text() for text in axes.texts}
    assert {"tiny", "small", "small, seed 1", "adilsammar/woolly-of-cv"} <= names
    # Interval of the bench, from end to end; none of the single run.
    (bench,) = (entry for entry in compare(paths) if entry.kind == "bench")
    ends = [list(line.get_ydata()) for line in axes.lines]
    assert [100 * end for end in bench.statistics.interval] in [pytest.approx(pair) for pair in ends]


def test_many_entries_and_hostile_names_are_drawn(tmp_path):
    for index in range(25):
        recipe = replace(SMALL, name=f"$x^{index}$ " + "long " * index)
        on_disk(tmp_path / str(index), bench_of([0.5 + index / 100, 0.51 + index / 100], recipe))
    paths = [path.parent for path in tmp_path.rglob("bench.json")]
    figure = leaderboard_figure(compare(paths))
    figure.canvas.draw()
    low, high = figure.axes[0].get_ylim()
    assert low < 50
    assert high > 99.6


def test_a_long_name_is_whole_where_stdout_is_no_terminal(tmp_path, capsys):
    name = f"minimal+{'setting=1+' * 15}fade_epochs=2"
    on_disk(tmp_path, bench_of([0.99, 0.99], replace(SMALL, name=name)))
    (path,) = (path.parent for path in tmp_path.rglob("bench.json"))
    assert main(["compare", str(path)]) == 0
    row = capsys.readouterr().out.splitlines()[2]
    assert row.split("  ")[0] == name
    assert main(["compare", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == name


def damaged(folder: Path) -> str:
    write_text(folder / "bench.json", "{")
    return "bench.json is not JSON"


def emptied(folder: Path) -> str:
    values = read_json(folder / "bench.json")
    write_json(folder / "bench.json", values | {"seeds": []})
    return "bench.json: damaged: epochs are missing"


def shortened(folder: Path) -> str:
    values = read_json(folder / "bench.json")
    for columns in (values["epochs"], *(seed["epochs"] for seed in values["seeds"])):
        for column in columns.values():
            column.pop()
    write_json(folder / "bench.json", values)
    return "bench.json: damaged: epochs are missing"


def uneven(folder: Path) -> str:
    values = read_json(folder / "bench.json")
    values["seeds"][0]["epochs"]["train_loss"].pop()
    write_json(folder / "bench.json", values)
    return "bench.json: damaged: "


def not_a_number(folder: Path) -> str:
    values = read_json(folder / "bench.json")
    values["seeds"][0]["epochs"]["train_loss"][0] = "low"
    write_json(folder / "bench.json", values)
    return "bench.json: damaged: train_loss is 'low'"


def no_object(folder: Path) -> str:
    values = read_json(folder / "bench.json")
    write_json(folder / "bench.json", values | {"seeds": [3, "a"]})
    return "bench.json: damaged: "


@pytest.mark.parametrize("harm", [damaged, emptied, shortened, uneven, not_a_number, no_object])
def test_damaged_benches_are_one_line(folders, capsys, harm):
    words = harm(folders["bench"])
    assert main(["compare", str(folders["bench"])]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert words in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "there is no folder nowhere; "),
        (["records"], "records contains no run, bench or record"),
        (["records/accurate/2026-01-04-tiny/README.md"], "there is no folder records"),
        (["runs/small-1", "--picture", "board.svg"], "give a name that ends in .png"),
        (["runs/small-1", "--picture", "runs/small-1/recipe.json/board.png"], "cannot be written"),
        (["runs/unfinished"], "runs/unfinished is not finished"),
        (["runs/small-1", "--paired"], "--paired compares two folders; 1 are given"),
        (["runs/small-0", "runs/small-1", "--paired"], "small and small have no seed in common"),
        (["runs/small-0", "runs/small-1", "--paired", "--format", "csv"], "use --json"),
    ],
)
def test_bad_input_is_one_line(folders, capsys, arguments, words):
    Run.create(Path("runs/unfinished"), MINIMAL, 0, {})
    assert main(["compare", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert words in err


def test_what_the_function_refuses(folders):
    with pytest.raises(UserError, match=r"cannot be sorted by 'size'; .*parameters"):
        compare([folders["run"]], sort="size")
    with pytest.raises(UserError, match="nothing to compare"):
        compare([])


def test_without_folders_it_lists_what_is_there(folders, capsys):
    run = Run.open(Path("runs/small-0"))
    for name in ("model.safetensors", "checkpoint.safetensors"):
        (run.path / name).unlink(missing_ok=True)
    Path("runs/notes").mkdir()
    Path("benches/broken").mkdir()
    Path("benches/broken/bench.json").write_text("{")
    assert main(["compare"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    table, below = out.rstrip().rsplit("\n\n", 1)
    rows = [line.split() for line in table.splitlines() if "small" in line or "tiny" in line]
    assert sorted("record" if "record" in row else "bench" if "bench" in row else "run" for row in rows) == [
        "bench",
        "record",
        "run",
    ]
    broken, unfinished = sorted(below.splitlines())
    assert broken.startswith("benches/broken: damaged, ")
    assert unfinished == f"runs/small-0: unfinished, {len(run.metrics())} of {run.recipe.epochs} epochs"
    assert main(["compare", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 3


def test_a_wrong_run_is_answered_with_the_one_that_may_be_meant(folders, capsys):
    for verb in ("evaluate", "report"):
        assert main([verb, "smal-1"]) == 2
        assert "did you mean runs/small-1?" in capsys.readouterr().err
    assert main(["evaluate", "xyzzy"]) == 2
    assert "there is no run folder xyzzy; for example runs/small-0, runs/small-1" in capsys.readouterr().err


def test_a_damaged_folder_does_not_keep_the_others_from_the_leaderboard(folders, capsys):
    """Here a folder has the name of the file that tells what a run is."""
    Path("runs/odd/environment.json").mkdir(parents=True)
    assert main(["compare"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[-1].startswith("runs/odd: damaged, ")
    assert "tiny" in out
    assert main(["evaluate", "smal-1"]) == 2
    assert "did you mean runs/small-1?" in capsys.readouterr().err


def test_each_folder_is_opened_once(folders, capsys, monkeypatch):
    opened, original = [], Bench.open

    def noted(path: Path) -> Bench:
        opened.append(path)
        return original(path)

    monkeypatch.setattr(Bench, "open", noted)
    assert main(["compare"]) == 0
    assert opened == [folders["bench"]]


def test_a_picture_of_nothing_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Run.create(Path("runs/begun"), MINIMAL, 0, {})
    assert main(["compare", "--picture", "x.png"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("under20k: --picture: there is no finished run to draw; runs/begun: unfinished")
    assert not Path("x.png").exists()


@pytest.mark.parametrize("form", ["json", "csv"])
def test_json_and_csv_name_what_is_left_out_on_stderr(folders, capsys, form):
    Run.create(Path("runs/begun"), MINIMAL, 0, {})
    assert main(["compare", "--format", form]) == 0
    out, err = capsys.readouterr()
    assert err == f"left out: runs/begun: unfinished, 0 of {MINIMAL.epochs} epochs\n"
    assert main(["compare", "--format", form, "--quiet"]) == 0
    assert capsys.readouterr() == (out, "")
