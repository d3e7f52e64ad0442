"""``under20k reproduce`` on small networks under the specification's names, its workers real command."""

import dataclasses
import json
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import under20k.runs.bench.reproduce
from tests.support import ROOT, command
from tests.support.command import assert_refused, contents, same_weights
from under20k.cli.main import main
from under20k.data import Mnist
from under20k.engine.base import NUMERICS
from under20k.engine.select import choose
from under20k.recipe.architecture import Architecture
from under20k.recipe.named import MINIMAL, REGULARIZED
from under20k.runs.bench.bench import Bench
from under20k.runs.bench.reproduce import REPRODUCED
from under20k.runs.run import Run

SMALL = tuple(
    dataclasses.replace(
        recipe, architecture=Architecture.parse(text), epochs=epochs, batch_size=1000, augmentation=no_change
    )
    for recipe, text, epochs, no_change in (
        (REGULARIZED, "1p,4pd0.1|l", 2, MINIMAL.augmentation),
        (MINIMAL, "1p,4p|l", 1, MINIMAL.augmentation),
    )
)
NAMES = ["minimal-0", "minimal-1", "regularized-0", "regularized-1"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, where the small networks pass for the specification's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(under20k.runs.bench.reproduce, "REPRODUCED", SMALL)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, mnist: Mnist) -> Path:
    """A folder in which two seeds were reproduced, not to be changed; what was printed lies beside."""
    folder = tmp_path_factory.mktemp("reproduced")
    process = command.start(folder, "--seeds", "0-1", command=script(SMALL))
    out, err = process.communicate(timeout=2 * command.TIMEOUT_S)
    assert process.returncode == 0, err
    (folder / "stdout").write_text(out)
    (folder / "stderr").write_text(err)
    return folder


@pytest.fixture
def copied(trained: Path, here: Path) -> Path:
    """A copy of its runs in the current folder."""
    return Path(shutil.copytree(trained / "runs", here / "runs"))


@pytest.fixture
def reproduced(pytestconfig: pytest.Config, tmp_path: Path) -> Path:
    """A folder with copies of the runs of `make reproduce`, which takes minutes."""
    runs = pytestconfig.getoption("--reproduced")
    if runs is None:
        pytest.skip("tests the runs of `make reproduce`; run it, then pytest --reproduced=runs")
    shutil.copytree(ROOT / runs, tmp_path / "runs")
    return tmp_path


SCRIPT = """
import sys
import under20k.runs.bench.reproduce
from under20k.cli.main import main
from under20k.recipe.recipe import Recipe
under20k.runs.bench.reproduce.REPRODUCED = tuple(map(Recipe.from_json, sys.argv[1:3]))
sys.exit(main(["reproduce", *sys.argv[3:]]))
"""


def script(recipes) -> list[str]:
    return [sys.executable, "-c", SCRIPT, *(recipe.to_json() for recipe in recipes)]


def test_the_plus_recipes_are_the_same_networks_in_as_many_epochs():
    assert [recipe.name for recipe in REPRODUCED] == [
        "regularized",
        "minimal",
        "regularized-plus",
        "minimal-plus",
    ]
    for specified, plus in zip(REPRODUCED[:2], REPRODUCED[2:], strict=True):
        assert plus.architecture.parameters == specified.architecture.parameters
        assert [layer.shape for layer in plus.architecture.layers()] == [
            layer.shape for layer in specified.architecture.layers()
        ]
        assert plus.epochs <= specified.epochs


ENDLESS = (dataclasses.replace(SMALL[0], epochs=1000), SMALL[1])


@pytest.mark.slow
def test_everything_is_trained_and_reported(trained):
    assert sorted(path.name for path in (trained / "runs").iterdir()) == NAMES
    runs = {name: Run.open(trained / "runs" / name) for name in NAMES}
    assert all({file.name for file in run.path.iterdir()} == command.TRAINED for run in runs.values())
    files = {path.name for path in (trained / "report").iterdir()}
    kinds, themes = ("curves", "confusion", "misclassified"), ("", "-dark")
    names = ("regularized", "minimal")
    pictures = {f"{kind}-{name}{dark}.png" for kind in kinds for name in names for dark in themes}
    assert files == {"report.html", "report.md"} | pictures

    results = ["regularized", "minimal"]
    folders = {path.name for path in (trained / "benches").iterdir()}
    assert folders == {f"{name}-seeds-0-1" for name in results}
    for name, recipe in zip(results, SMALL, strict=True):
        bench = Bench.open(trained / "benches" / f"{name}-seeds-0-1")
        assert bench.recipe == recipe
        assert bench.to_dict()["parameters"] == recipe.architecture.parameters
        assert [seed.seed for seed in bench.seeds] == [0, 1]
        for seed in bench.seeds:
            assert list(seed.epochs) == runs[f"{name}-{seed.seed}"].metrics()
            assert len(seed.epochs) == recipe.epochs

    out, err = (trained / "stdout").read_text(), (trained / "stderr").read_text()
    *comparison, first, second, last = out.splitlines()
    header = next(line for line in comparison if line.startswith("Measure "))
    assert re.search("regularized .*minimal", header)
    accuracies = [runs[f"minimal-{seed}"].metrics()[-1].validation_accuracy for seed in (0, 1)]
    assert f"{50 * sum(accuracies):.3f}" in out  # their mean, in percent
    target = next(line for line in comparison if "99.40% at the last epoch, by the mean over 2 seeds" in line)
    reached = {
        name: np.mean([runs[f"{name}-{seed}"].metrics()[-1].validation_accuracy for seed in (0, 1)])
        for name in results
    }
    assert all(reached[name] < 0.99 for name in results)  # as networks of a channel or two have it
    assert target.startswith(
        "At or above 99.40% at the last epoch, by the mean over 2 seeds: none. Below it: "
    )
    advice = "advised and not met: receptive_field"  # of such small networks
    assert first == f"regularized: ✓ 9 of 10 requirements met; {advice}"
    assert second == f"minimal: ✗ 8 of 10 requirements met; missed: dropout; {advice}"
    assert last == f"report: {trained / 'report' / 'report.html'}"
    assert re.search(r"^4 trainings, \d+ at a time\b", err, re.M)
    for name in NAMES:
        shown = re.findall(rf"^{name} +(.*)$", err, re.M)
        assert f"{choose().engine} engine, fp32" in shown[0]
        assert [line[:9] for line in shown[1:]] == [
            f"epoch {epoch + 1}/{len(runs[name].metrics())}" for epoch in range(len(runs[name].metrics()))
        ]
    for kind in ("html", "md"):
        text = (trained / "report" / f"report.{kind}").read_text()
        assert "This is not the recipe regularized" in text
        assert f"{50 * sum(accuracies):.3f}" in text
        # The models of seed 0, evaluated again.
        for name in results:
            right = round(10_000 * runs[f"{name}-0"].metrics()[-1].validation_accuracy)
            assert f"{right:,} of 10,000 images correct ({right / 10_000:.2%}). Most often confused: " in text


@pytest.mark.slow
def test_a_second_call_reuses_finished_runs(copied, here, capsys):
    before = contents(copied)
    assert main(["reproduce", "--seeds", "0-1", "--json"]) == 0
    out, err = capsys.readouterr()
    assert sorted(err.splitlines()) == [f"runs/{name} is finished: reused" for name in NAMES]
    assert contents(copied) == before
    told = json.loads(out)
    assert list(told["recipes"]) == ["regularized", "minimal"]
    minimal = told["recipes"]["minimal"]
    assert minimal["seeds"][1]["seed"] == 1
    last = Run.open(copied / "minimal-1").metrics()[-1]
    assert minimal["seeds"][1]["epochs"][-1] == dataclasses.asdict(last)
    assert Bench.open(here / "benches" / "minimal-seeds-0-1").to_dict() == minimal


@pytest.mark.slow
def test_runs_of_other_numerics_are_named(copied, capsys):
    path = copied / "minimal-1" / "environment.json"
    sessions = path.read_text()
    own = f'"numerics": {NUMERICS}'
    assert own in sessions
    path.write_text(sessions.replace(own, '"code": "0123456789abcdef"'))  # as before there were numerics
    assert main(["reproduce", "--seeds", "0-1"]) == 0
    lines = sorted(capsys.readouterr().err.splitlines())
    assert lines[0] == "runs/minimal-0 is finished: reused"
    assert lines[1] == (
        "runs/minimal-1 is finished: reused, but trained differently "
        f"(numerics unknown (code 0123456789abcdef), now {NUMERICS}); move it away to retrain it"
    )


@pytest.mark.slow
def test_missing_runs_are_trained(copied, trained, capsys):
    (copied / "regularized-1" / "model.safetensors").unlink()  # killed before its end
    shutil.rmtree(copied / "minimal-0")
    assert main(["reproduce", "--seeds", "0-1", "--jobs", "1"]) == 0
    err = capsys.readouterr().err
    assert re.findall(r"^runs/(.*) is finished: reused$", err, re.M) == ["regularized-0", "minimal-1"]
    assert f"reused\n{choose().engine} engine: " in err
    assert "\n2 trainings, 1 at a time\n" in err
    assert re.search(r"^regularized-1 .*; resuming after epoch 2$", err, re.M)
    assert [line.split()[0] for line in err.splitlines() if "validation" in line] == ["minimal-0"]
    for name in NAMES:
        assert same_weights(copied / name, trained / "runs" / name)


@pytest.mark.slow
def test_a_training_that_fails_is_one_line_and_the_others_are_kept(copied, here, capsys):
    (copied / "regularized-1" / "model.safetensors").unlink()
    checkpoint = copied / "regularized-1" / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-10])
    before = contents(here)
    code = main(["reproduce", "--seeds", "0-1"])
    out, err = capsys.readouterr()
    line = err.splitlines(keepends=True)[-1]
    assert_refused(code, out, line, "runs/regularized-1/checkpoint.safetensors is damaged")
    assert "Traceback" not in err
    after = contents(here)
    del before["runs/regularized-1/environment.json"], after["runs/regularized-1/environment.json"]
    assert after == before


def test_a_run_of_another_recipe_in_the_way(finished, here, capsys):
    shutil.copytree(finished.path, here / "runs" / "minimal-0")
    before = contents(here)
    words = ["runs/minimal-0 holds a run of another recipe or seed"]
    code = main(["reproduce"])
    assert_refused(code, *capsys.readouterr(), *words)
    assert contents(here) == before


def test_options_that_every_training_would_refuse(here, capsys):
    code = main(["reproduce", "--device", "cpu:7"])
    out, err = capsys.readouterr()
    assert_refused(code, out, err.splitlines(keepends=True)[-1], "--device is 'cpu:7'")
    assert "Traceback" not in err
    assert contents(here) == {}


@pytest.mark.slow
def test_a_killed_worker_is_tried_once_more_and_takes_no_other_with_it(trained, tmp_path):
    process = command.start(tmp_path, command=script(SMALL))
    command.read_until(process, "epoch 1/2")
    (worker,) = {int(pid) for pid in holders(tmp_path / "runs" / "regularized-0" / ".lock")}
    os.kill(worker, signal.SIGKILL)
    _, err = process.communicate(timeout=command.TIMEOUT_S)
    assert process.returncode == 0, err
    assert "regularized-0  worker process died; retrying\n" in err
    assert re.search(r"^regularized-0 .*; resuming after epoch 1$", err, re.M)
    assert not re.search(r"^minimal-0 .*retrying", err, re.M)
    for name in ("regularized-0", "minimal-0"):
        assert same_weights(tmp_path / "runs" / name, trained / "runs" / name)


@pytest.mark.slow
def test_a_worker_killed_twice_and_the_call_after(trained, tmp_path):
    process = command.start(tmp_path, command=script((dataclasses.replace(SMALL[0], epochs=60), SMALL[1])))
    for after in ("epoch  1/60", "resuming after"):
        command.read_until(process, after)
        (worker,) = {int(pid) for pid in holders(tmp_path / "runs" / "regularized-0" / ".lock")}
        os.kill(worker, signal.SIGKILL)
    out, err = process.communicate(timeout=command.TIMEOUT_S)
    words = ["regularized-0: worker process died twice", "run the command again to continue"]
    assert_refused(process.returncode, out, err.splitlines(keepends=True)[-1], *words)
    assert "Traceback" not in err
    assert command.wait_for(lambda: not command.group(process))
    assert same_weights(tmp_path / "runs" / "minimal-0", trained / "runs" / "minimal-0")


def holders(lock: Path) -> set[str]:
    """The processes that have a lock file open."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link) == str(lock):
                found.add(link.parts[2])
        except OSError:
            continue  # ended meanwhile
    return found


HINT = "run the command again to continue after the last finished epochs"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "group", "after", "code", "tail"),
    [
        (signal.SIGTERM, False, "regularized-0  ", 143, f"terminated; {HINT}\n"),
        (signal.SIGINT, True, "2 trainings", 130, f"interrupted; {HINT}\n"),  # as a terminal sends it
        (signal.SIGKILL, False, "minimal-0      epoch 1/1", -signal.SIGKILL, ""),  # one worker is idle
    ],
)
def test_no_worker_outlives_the_command(mnist: Mnist, tmp_path, number, group, after, code, tail):
    process = command.start(tmp_path, "--jobs", "2", command=script(ENDLESS))
    try:
        command.read_until(process, after)
        if number == signal.SIGKILL:
            assert command.wait_for((tmp_path / "runs" / "minimal-0" / "model.safetensors").exists)
        if group:
            assert command.wait_for(lambda: len(command.group(process)) > 2)
            command.kill_group(process, number)
        else:
            process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (code, "")
        assert "Traceback" not in err
        assert err.endswith(tail)
        assert command.wait_for(lambda: not command.group(process))
    finally:
        command.kill_group(process)
    # The other one, of one epoch, may be done by then.
    assert not (tmp_path / "runs" / "regularized-0" / "model.safetensors").exists()


@pytest.mark.slow
def test_ctrl_c_is_for_the_command_alone_to_decide(mnist: Mnist, tmp_path):
    process = command.start(tmp_path, "--jobs", "2", command=script(ENDLESS))
    try:
        command.read_until(process, "2 trainings")
        assert command.wait_for(lambda: len(command.group(process)) > 2)
        # While they start, the workers ignore it, as later: one that died would end everything.
        for _ in range(5):
            for pid in command.group(process):
                if pid != process.pid:
                    os.kill(pid, signal.SIGINT)
            time.sleep(0.2)
        command.read_until(process, "minimal-0      epoch 1/1")
        code, _, err = command.end(process, signal.SIGINT)
        assert (code, "Traceback" in err) == (130, False)
    finally:
        command.kill_group(process)


def test_the_four_recipes_in_full(reproduced, monkeypatch, capsys):
    """The main job itself, done by `make reproduce`: what it trained is reused here."""
    tmp_path = reproduced
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce"]) == 0
    out, err = capsys.readouterr()
    names = sorted(f"{recipe.name}-0" for recipe in REPRODUCED)
    assert sorted(err.splitlines()) == [f"runs/{name} is finished: reused" for name in names]
    dropout = "✗ 9 of 10 requirements met; missed: dropout"
    met = {"regularized": "✓ 10 of 10 requirements met", "minimal": dropout}
    met |= {f"{name}-plus": text for name, text in met.items()}
    assert "".join(f"{name}: {text}\n" for name, text in met.items()) in out
    report = (tmp_path / "report" / "report.md").read_text()
    (target,) = re.findall("^At or above .*$", out, re.M)
    reached, below = target.split("Below it")
    for recipe in REPRODUCED:
        epochs, parameters = (12, 19_204) if recipe.name.startswith("regularized") else (8, 14_116)
        run = Run.open(tmp_path / "runs" / f"{recipe.name}-0")
        assert (run.recipe, len(run.metrics())) == (recipe, epochs)
        assert sum(v.size for name, v in run.weights().items() if ".running_" not in name) == parameters
        last = run.metrics()[-1].validation_accuracy
        assert 0.990 <= last <= 0.997
        verdict = "✗ missed" if last < 0.994 else "✓ reached"
        assert re.search(rf"^\| {recipe.name} .* {last:.2%} \| .*{verdict} \|", report, re.M)
        assert f"{round(10_000 * last):,} of 10,000 images correct ({last:.2%})" in report
        (claim,) = re.findall(rf"^- {recipe.name}: .*$", report, re.M)
        assert f"{last:.2%}" in claim
        assert ("below" in claim) == (last < 0.994)
        assert f"{recipe.name} ({last:.2%})" in (below if last < 0.994 else reached)
    assert "This is not the recipe" not in report
