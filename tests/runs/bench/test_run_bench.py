"""``under20k bench``: what it says of its seeds, what it trains again and what it does not."""

import json
import signal
import subprocess
import sys
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.support.benches import ENVIRONMENT, SMALL, around, bench_of, on_disk
from tests.support.dask_cluster import PATIENCE_S, wait_for
from tests.support.printed import ENCODING
from under20k.cli.main import main
from under20k.data import Mnist
from under20k.engine.base import NUMERICS, Compute
from under20k.errors import UserError
from under20k.files import read_json, read_text, write_json, write_text
from under20k.recipe.named import MINIMAL
from under20k.report.bench import bench_table, bench_text, versus_table, write_bench_report
from under20k.report.bench_figure import seeds_figure
from under20k.report.figures import LIGHT
from under20k.runs.bench.bench import Bench
from under20k.runs.bench.run_bench import bench, bench_path
from under20k.runs.parallel.reuse import differences, fitting
from under20k.runs.parallel.scheduler import train_all
from under20k.runs.parallel.task import Task
from under20k.runs.places import Places
from under20k.runs.provenance import identity, portable_identity
from under20k.runs.run import Run

TINY = replace(MINIMAL.with_changes(architecture="1p,4pd0.1|l", batch_size=1000, epochs=2), name="tiny")


def rows(table) -> dict[str, list[str]]:
    return {row[0]: list(row[1:]) for row in table.rows}


# What is said of the seeds.

LAST = [0.9941, 0.9938, 0.9945, 0.9940]


def test_the_table_by_hand():
    told = rows(bench_table([bench_of(LAST)]))
    # Mean 99.41; deviations 0, −3, 4, −1 images: sd √(26/3) = 2.94, standard error 1.47, t(0.975, 3) = 3.182.
    assert told["Validation accuracy, last epoch"] == ["99.410%"]
    assert told["Standard deviation, points"] == ["0.029"]
    assert told["Standard error, points"] == ["0.015"]
    assert told["95% interval of the mean"] == ["99.363–99.457%"]
    assert told["Lowest and highest seed"] == ["99.38–99.45%"]
    assert told["Seeds ≥ 99.40% at the last epoch"] == ["3 of 4"]
    assert told["95% interval of that fraction"] == ["30–95%"]  # Wilson's of 3 of 4
    # t = 1 / 1.47 = 0.679 with three degrees of freedom.
    assert told["p-value (H₀: mean ≤ 99.40%)"] == ["0.27"]
    assert told["Seeds"] == ["4 seeds (0–3)"]
    assert told["Parameters"] == [f"{SMALL.architecture.parameters:,}"]


def test_the_best_epoch_stands_beside_and_is_labelled():
    made = bench_of(LAST)
    first = made.seeds[0]
    early = replace(first, epochs=(replace(first.epochs[0], validation_accuracy=0.9999), *first.epochs[1:]))
    told = rows(bench_table([replace(made, seeds=(early, *made.seeds[1:]))]))
    assert told["Validation accuracy, last epoch"] == ["99.410%"]
    assert told["Best epoch (selected, not the result)"][0].startswith("99.555 ±")


def test_failed_seeds_are_named_and_not_counted():
    table = bench_table([replace(bench_of(LAST), failures=("small-4: no memory",))])
    assert table.notes == ("not counted: small-4: no memory",)
    assert rows(table)["Seeds"] == ["4 seeds (0–3)"]


def test_a_comparison_is_paired_by_seed():
    ours, theirs = [0.9945, 0.9941, 0.9950, 0.9947, 0.9940], [0.9941, 0.9940, 0.9944, 0.9945, 0.9941]
    # Seeds 0–4 against seeds 2–6: three in common.
    one, other = bench_of(ours), bench_of(theirs, replace(SMALL, name="other"), first=2)
    difference = one.versus(other)
    assert difference.sample.n == 3
    expected = stats.ttest_rel(ours[2:], theirs[:3])
    assert difference.sample.mean == pytest.approx(np.mean(np.subtract(ours[2:], theirs[:3])))
    assert difference.t_test_p == pytest.approx(expected.pvalue, rel=1e-6)
    told = rows(versus_table(one, other, [0.0005]))
    assert told["Pairs of seeds"] == ["3"]
    # Differences 9, 7 and −4 images: mean 4, and 4 of the 8 ways to set their signs sum to 12 or more.
    assert told["Mean difference, points"] == ["+0.040"]
    assert told["p-value (H₀: no difference), sign-flip test"] == ["0.50"]
    assert {"Seeds to detect 0.05 points", "Seeds to detect 0.04 points"} <= set(told)
    assert one.versus(one).t_test_p == 1.0
    assert "small minus other, paired by seed" in bench_text(one, other)
    with pytest.raises(UserError, match="have no seed in common"):
        one.versus(bench_of(theirs, first=10))


def test_bench_json_reads_back(tmp_path):
    made = replace(bench_of(LAST), failures=("small-4: no memory",))
    path = on_disk(tmp_path, made)
    read = Bench.open(path)
    assert read.recipe == made.recipe
    assert read.last == LAST
    assert read.failures == made.failures
    assert read == replace(made, seeds=read.seeds)
    assert [(seed.seed, seed.epochs, seed.environment) for seed in read.seeds] == [
        (seed.seed, seed.epochs, {"format": 1, "seed": seed.seed, **seed.environment}) for seed in made.seeds
    ]
    assert Bench.from_dict(read.to_dict()) == read  # as earlier versions wrote the file
    assert len(read_text(path / "bench.json").splitlines()) < 20 + len(LAST)
    statistics = read.to_dict()["statistics"]
    assert statistics["share_interval_95"] == [
        pytest.approx(0.3006, abs=1e-4),
        pytest.approx(0.9544, abs=1e-4),
    ]
    assert statistics["sd"] == pytest.approx(np.std(LAST, ddof=1))


def test_the_picture_has_every_seed_the_mean_and_the_target():
    figure = seeds_figure(bench_of(LAST), "small")
    left, right = figure.axes
    curves = [list(line.get_ydata()) for line in left.lines if line.get_color() == LIGHT.blue]
    assert [curve[-1] for curve in curves[:4]] == pytest.approx([100 * value for value in LAST])
    assert curves[4][-1] == pytest.approx(99.41)
    dots = sorted(line.get_ydata()[0] for line in right.lines if line.get_marker() == "o")
    assert dots == pytest.approx(sorted(100 * value for value in LAST))
    filled = [
        line for line in right.lines if line.get_marker() == "o" and line.get_markerfacecolor() == LIGHT.blue
    ]
    assert len(filled) == 3
    assert any("3 of 4 at or above the target" in text.get_text() for text in figure.texts)


# Which seeds.


@pytest.mark.parametrize(
    ("seeds", "name"),
    [
        (range(10), "minimal-seeds-0-9"),
        ((100, 101), "minimal-seeds-100-101"),
        ((5,), "minimal-seeds-5-5"),
        ((1, 4, 7), "minimal-seeds-1,4,7"),
        ((0, 1, 2, 7), "minimal-seeds-0-2,7"),
    ],
)
def test_a_bench_folder_is_named_after_its_seeds(seeds, name):
    assert bench_path(Path("benches"), "minimal", seeds) == Path("benches", name)


def test_other_seeds_than_those_from_0_on_are_said_to_be_no_claim(tmp_path):
    said = "Not a claim: the seeds are not consecutive from 0, so they may have been hand-picked."
    picked = bench_of(around(0.995, 3), first=1)
    write_bench_report(picked, tmp_path)
    assert said in bench_text(picked, None)
    assert said in read_text(tmp_path / "bench.md")
    assert picked.to_dict()["not_a_claim"] in said
    picked.write(tmp_path)
    assert Bench.open(tmp_path) == picked
    whole = bench_of(around(0.995, 3))
    write_bench_report(whole, tmp_path)
    assert "claim" not in bench_text(whole, None) + read_text(tmp_path / "bench.md")
    assert "not_a_claim" not in whole.to_dict()


def test_many_scattered_seeds_make_a_name_of_bounded_length_and_their_own():
    one, other = (bench_path(Path(), "minimal", range(0, end, 2)).name for end in (1000, 1002))
    assert one != other
    assert len(one) < 70


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["minmal"], "there is no recipe 'minmal'; did you mean 'minimal'?"),
        (["minimal", "--vs", "minimal"], "both recipes are called minimal"),
        (["minimal", "--detect", "0.1"], "give --vs too"),
        (["minimal", "--vs", "regularized", "--detect", "0"], "--detect is 0.0"),
        (["minimal", "--jobs", "0"], "--jobs is 0"),
        (["minimal", "--threads", "0"], "--threads is 0"),
        (["minimal", "--seeds", "9-"], "--seeds is '9-'; expected seeds from 0"),
        (["missing.json"], "missing.json cannot be read"),
    ],
)
def test_bad_usage_is_one_line(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert main(["bench", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert words in err
    assert list(tmp_path.iterdir()) == []


# What is trained again.


def test_runs_of_other_numerics_are_not_reused_silently(tmp_path):
    on_disk(tmp_path, bench_of(around(0.994, 1), TINY, numerics=NUMERICS + 1))
    task = Task(TINY, 0, Places(tmp_path / "runs"), Compute("torch"))
    expected = portable_identity(task.compute)
    said = rf"trained differently \(numerics {NUMERICS + 1}, now {NUMERICS}\).*--overwrite"
    with pytest.raises(UserError, match=said):
        fitting(task, expected, "refuse")
    assert fitting(task, expected, "reuse").existing == "resume"
    assert fitting(task, expected, "replace").existing == "replace"
    run = Run.open(task.path)
    same = {**ENVIRONMENT, **expected}
    write_text(task.path / "environment.json", json.dumps({**run.environment, **same}))
    for differing in ("refuse", "replace"):
        assert fitting(task, expected, differing).existing == "resume"
    assert fitting(replace(task, seed=1), expected, "replace").existing == "resume"  # there is none


def test_a_run_that_two_engines_have_trained_is_neithers(tmp_path):
    on_disk(tmp_path, bench_of(around(0.994, 1), TINY))
    task = Task(TINY, 0, Places(tmp_path / "runs"), Compute("torch"))
    same = portable_identity(task.compute)
    first = {**Run.open(task.path).environment, **same}
    write_json(task.path / "environment.json", {**first, "resumed": [{**first, "device": "cuda"}]})
    for device in ("auto", "cuda"):
        with pytest.raises(UserError, match="device cpu, now cuda"):
            fitting(task, portable_identity(Compute("torch", device)), "refuse")
    # Its last epochs alone by torch.
    write_json(task.path / "environment.json", {**first, "engine": "native", "resumed": [first]})
    with pytest.raises(UserError, match="engine native, now torch"):
        fitting(task, same, "refuse")


def test_what_an_older_run_has_not_recorded_is_named_as_such(tmp_path):
    on_disk(tmp_path, bench_of(around(0.994, 1), TINY))
    path = Places(tmp_path / "runs").runs
    run = Run.open(Task(TINY, 0, Places(path), Compute("native")).path)
    native = identity({"engine": "native", "instruction_set": "avx2"})
    old = {"engine": "native", "instruction_set": "avx2", "code": "0123456789abcdef"}
    found = differences(replace(run, environment=old), native | {"numerics": 1, "compiler": "GCC"})
    assert found == "numerics unknown (code 0123456789abcdef), now 1; compiler not recorded, now GCC"


class TrainsNothing:
    """A backend whose runs are there already; for seed 1 there is not enough memory."""

    where, retryable = "here", ()

    def submit(self, task: Task) -> Future:
        future: Future = Future()
        if task.seed == 1:
            future.set_exception(MemoryError("of 3 GB"))
        else:
            future.set_result(None)
        return future

    def events(self) -> list:
        return []

    def collect(self, task: Task, future: Future) -> Run:
        future.result()
        return Run.open(task.path)


def test_whatever_fails_of_a_seed_the_others_are_kept(tmp_path, monkeypatch):
    made = bench_of(around(0.994, 3), TINY)
    on_disk(tmp_path, made)
    places = Places(tmp_path / "runs")
    tasks = [Task(TINY, seed, places, Compute("torch")) for seed in range(3)]
    monkeypatch.setattr(
        "under20k.runs.parallel.scheduler.local_backend", lambda _: nullcontext(TrainsNothing())
    )
    monkeypatch.setattr("under20k.runs.parallel.scheduler.finished", lambda task: None)
    outcome = train_all(tasks)
    assert [run.seed for run in outcome.runs.values()] == [0, 2]
    assert [str(failure) for failure in outcome.failures] == ["tiny-1: MemoryError: of 3 GB"]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "under20k", "bench", "tiny.json", *arguments]


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A bench in a session of its own, which Ctrl-C reaches as it would at a terminal."""
    return subprocess.Popen(
        command(*arguments),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding=ENCODING,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.mark.slow
def test_a_killed_bench_resumes(tmp_path, mnist: Mnist):
    """Killed when the first of three seeds is done; wherever the others are, nothing is lost."""
    write_text(tmp_path / "tiny.json", TINY.to_json())
    killed = started(tmp_path, "--seeds", "0-2", "--jobs", "1")
    assert killed.stderr is not None
    try:
        said = next(line for line in killed.stderr if "1 of 3" in line)
        assert said.startswith("tiny-0  validation ")
    finally:
        killed.kill()
        killed.wait()
    killed.stderr.close()
    wait_for(lambda: not alive(killed.pid))  # its worker notices by itself, and holds its folder until then
    before = contents(tmp_path / "runs" / "tiny-0")
    finished = [path.parent.name for path in tmp_path.glob("runs/*/model.safetensors")]
    assert "tiny-0" in finished

    again = subprocess.run(
        command("--seeds", "0-2", "--jobs", "2", "--json"),
        cwd=tmp_path,
        capture_output=True,
        encoding=ENCODING,
    )
    assert again.returncode == 0, again.stderr
    assert contents(tmp_path / "runs" / "tiny-0") == before
    assert f"{len(finished)} run" in again.stderr
    values = json.loads(again.stdout)
    assert [seed["seed"] for seed in values["seeds"]] == [0, 1, 2]
    folder = tmp_path / values["folder"]
    assert {path.name for path in folder.iterdir()} == {
        "bench.json",
        "bench.md",
        "bench.png",
        "bench-dark.png",
        "badge.svg",
    }
    assert read_json(folder / "bench.json")["statistics"] == values["statistics"]

    whole = bench(TINY, range(3), jobs=1, places=Places(tmp_path / "whole", tmp_path / "benches-whole"))
    for seed in range(3):
        one, other = (Run.open(tmp_path / where / f"tiny-{seed}").weights() for where in ("runs", "whole"))
        assert all((one[name].view(np.uint32) == other[name].view(np.uint32)).all() for name in one)
    assert whole.bench.last == [seed["validation_accuracy"] for seed in values["seeds"]]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_bench_ends_whatever_still_waits_for_its_turn(tmp_path, mnist: Mnist, number, code):
    write_text(tmp_path / "tiny.json", replace(TINY, epochs=1000).to_json())
    process = started(tmp_path, "--seeds", "0-4", "--jobs", "1")
    try:
        wait_for((tmp_path / "runs" / "tiny-0" / "metrics.jsonl").exists)
        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, "Traceback" in said) == (code, False)
    assert "run the command again to continue" in said


def alive(group: int) -> bool:
    """Whether any process of a group runs."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of = status.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue  # ended meanwhile
        if int(of) == group and state != "Z":
            return True
    return False


@pytest.mark.slow
def test_benches_at_once_share_their_seeds(tmp_path, mnist: Mnist):
    write_text(tmp_path / "tiny.json", replace(TINY, epochs=6).to_json())
    both = [started(tmp_path, "--seeds", "0-3", "--jobs", "1", "--output", name) for name in ("a", "b")]
    said = [process.communicate(timeout=PATIENCE_S)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert any("is trained by another process: left for last" in text for text in said)
    seeds = [read_json(next((tmp_path / name).glob("*/bench.json")))["seeds"] for name in ("a", "b")]
    assert seeds[0] == seeds[1]
    assert [seed["seed"] for seed in seeds[0]] == [0, 1, 2, 3]


@pytest.mark.slow
def test_a_seed_that_fails_is_reported_and_the_others_kept(tmp_path, mnist: Mnist, monkeypatch, capsys):
    """A file stands where seed 1's folder would be."""
    monkeypatch.chdir(tmp_path)
    write_text(Path("tiny.json"), TINY.with_changes(epochs=1).to_json())
    name = TINY.with_changes(epochs=1).name
    Path("runs").mkdir()
    (Path("runs") / f"{name}-1").touch()
    assert main(["bench", "tiny.json", "--seeds", "0-2", "--json"]) == 1
    out, err = capsys.readouterr()
    values = json.loads(out)
    assert [seed["seed"] for seed in values["seeds"]] == [0, 2]
    (failure,) = values["failures"]
    assert f"{name}-1 is a file" in failure
    assert "failed: " in err
    assert "Traceback" not in err
