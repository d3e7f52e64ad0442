"""What ``under20k train`` says and leaves, by the files' own content and a recount in plain PyTorch."""

import contextlib
import json
import os
import pty
import re
import shlex
import subprocess
import termios
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.command import (
    ARCHITECTURE,
    COMMAND,
    FILES,
    SETTINGS,
    TIMEOUT_S,
    TRAIN,
    contents,
    same_weights,
)
from under20k.cli.main import main
from under20k.data import Mnist
from under20k.engine.base import NUMERICS
from under20k.engine.module import build
from under20k.engine.select import choose
from under20k.recipe.named import MINIMAL
from under20k.recipe.recipe import Recipe, settings
from under20k.runs.run import Run, run_path

LIMIT = r"( \(1 of \d+ cores: [^()]+\))?"  # where the process may use fewer cores than there are
ONE_EPOCH = [*SETTINGS, "--epochs", "1", "--threads", "1"]


def lines_of(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def test_the_run_folder(finished):
    assert {path.name for path in finished.path.iterdir()} == FILES
    recipe = Recipe.from_json((finished.path / "recipe.json").read_text())
    changes = {"architecture": ARCHITECTURE, "epochs": 2, "batch_size": 1000, "nesterov": True}
    changes |= {"average_decay": 0.5, "step_epochs": 1}
    assert recipe.differences(MINIMAL) == changes
    assert recipe.name == "minimal" + "".join(
        f"+{name}={changes[name]}" for name in recipe.flat() if name in changes
    )
    environment = json.loads((finished.path / "environment.json").read_text())
    assert (environment["seed"], environment["threads"], environment["engine"]) == (0, 1, choose().engine)
    assert environment["packages"]["torch"] == torch.__version__
    assert environment["command"].startswith("python -m under20k train minimal --architecture '1p,4pd0.1|l'")
    report = (finished.path / "report.md").read_text()
    assert f"{lines_of(finished.path)[-1]['validation_accuracy']:.2%} validation accuracy" in report
    assert "The test set was not read." in report
    assert (finished.path / "curves.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_one_plain_line_an_epoch_off_a_terminal(finished):
    metrics = lines_of(finished.path)
    choice, head, *epochs = finished.done.stderr.splitlines()
    assert choice == f"{choose().engine} engine: {choose().reason}"
    parameters = Run.open(finished.path).recipe.architecture.parameters
    assert re.fullmatch(
        rf"minimal\+.*, seed 0: {parameters} parameters, 2 epochs; {choose().engine} engine, "
        rf"fp32( with \w+)?, \w+, 1 thread{LIMIT} (→|->) runs/small",
        head,
    )
    assert len(epochs) == len(metrics) == 2
    for epoch, (line, row) in enumerate(zip(epochs, metrics, strict=True), 1):
        found = re.fullmatch(
            r"epoch (\d)/2  lr ([\d.]+) *([↓v]?) +train ([\d.]+)%  validation ([\d.]+)%"
            r" +([\d,]+) images/s +([\d.]+) s",
            line,
        )
        assert found is not None, line
        assert int(found[1]) == row["epoch"] == epoch
        assert float(found[2]) == pytest.approx(row["learning_rate"]) == pytest.approx([0.1, 0.01][epoch - 1])
        assert found[3] in (("↓", "v") if epoch == 2 else ("",))
        assert found[4] == f"{100 * row['train_accuracy']:.2f}"
        assert found[5] == f"{100 * row['validation_accuracy']:.2f}"
        assert found[6] == f"{row['images_per_s']:,.0f}"
        assert found[7] == f"{row['total_time_s']:.1f}"


def test_the_last_lines_say_whether_it_made_it(finished):
    last = lines_of(finished.path)[-1]
    *verdicts, run, why, following = finished.done.stdout.splitlines()
    parameters = Run.open(finished.path).recipe.architecture.parameters
    assert [re.sub(" +", " ", line).lstrip("✓✗+x ") for line in verdicts] == [
        f"{last['validation_accuracy']:.2%} validation accuracy, last epoch missed 99.40%",
        f"{parameters} parameters below 20,000",
        "2 epochs below 20",
    ]
    assert [line[0] for line in verdicts] in (["✗", "✓", "✓"], ["x", "+", "+"])
    assert max(map(len, verdicts)) <= 60
    assert re.fullmatch(r"run: runs/small, [\d.]+ s", run)
    assert why == "One seed proves nothing. For the mean over ten, run:"
    words = shlex.split(following)
    assert words[:5] == ["under20k", "bench", "minimal", "--seeds", "0-9"]
    assert sorted(words[5:]) == sorted(SETTINGS)


@pytest.mark.slow
def test_a_larger_network_and_more_epochs_are_said_to_miss(tmp_path, monkeypatch, capsys, mnist: Mnist):
    monkeypatch.chdir(tmp_path)
    settings = ["--architecture", "1p,1p,1p,950|l", "--epochs", "20", "--batch-size", "1000"]
    assert main(["train", "minimal", *settings, "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert "parameters, where the assignment allows fewer than 20,000; and 20 epochs, where" in err
    assert "parameters                       not below 20,000" in out
    assert "epochs                           not below 20\n" in out


def test_the_weights_give_the_reported_accuracy_in_plain_pytorch(finished, mnist: Mnist):
    run = Run.open(finished.path)
    network = build(run.recipe.architecture)
    missing, unexpected = network.load_state_dict(load_file(run.path / "model.safetensors"), strict=False)
    assert unexpected == []
    assert all(name.endswith("num_batches_tracked") for name in missing)
    pixels = torch.tensor(mnist.validation.images, dtype=torch.float64)[:, None]
    with torch.inference_mode():
        scores = network.double()((pixels / 255 - 0.1307) / 0.3081)
    labels = torch.tensor(mnist.validation.labels).long()
    metrics = run.metrics()[-1]
    # Rounding may turn an image whose two best classes tie; ours has none.
    assert int((scores.argmax(1) == labels).sum()) == round(metrics.validation_accuracy * 10_000)
    loss = torch.nn.functional.nll_loss(scores, labels)
    assert metrics.validation_loss == pytest.approx(float(loss), rel=1e-5)
    assert metrics.validation_accuracy > 0.2  # so that there is something to count


def test_resuming_a_finished_run_trains_nothing_and_prints_its_json(small, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("under20k.runs.train.load", lambda *_, **__: pytest.fail("nothing needs MNIST"))
    before = contents(tmp_path)
    assert main([*TRAIN, "--resume", "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == "runs/small already finished, reused\n"
    result = json.loads(out)
    assert result["epochs"] == lines_of(small)
    accuracy = result["epochs"][-1]["validation_accuracy"]
    assert result["target"] == {
        "validation_accuracy": {"value": accuracy, "at_least": 0.994, "met": False},
        "parameters": {
            "value": Run.open(small).recipe.architecture.parameters,
            "fewer_than": 20_000,
            "met": True,
        },
        "epochs": {"value": 2, "fewer_than": 20, "met": True},
    }
    assert result["next"].startswith("under20k bench minimal --seeds 0-9 --architecture")
    assert result["recipe"] == json.loads((small / "recipe.json").read_text())
    assert (result["seed"], result["path"]) == (0, "runs/small")
    assert contents(tmp_path) == before


def test_the_same_command_again_reuses_a_finished_run(small, tmp_path, capsys):
    before = contents(tmp_path)
    assert main(TRAIN) == 0
    out, err = capsys.readouterr()
    assert err == "runs/small already finished, reused\n"
    assert "validation accuracy, last epoch" in out
    assert contents(tmp_path) == before


def test_a_finished_run_of_other_numerics_is_reused_and_named(small, capsys):
    path = small / "environment.json"
    path.write_text(path.read_text().replace(f'"numerics": {NUMERICS}', f'"numerics": {NUMERICS + 1}'))
    assert main([*TRAIN, "-q"]) == 0
    assert capsys.readouterr().err == (
        f"warning: runs/small was trained differently (numerics {NUMERICS + 1}, now {NUMERICS}); "
        "--overwrite retrains it\n"
    )
    assert main(TRAIN) == 0
    assert capsys.readouterr().err == (
        f"runs/small already finished, reused; it was trained differently (numerics {NUMERICS + 1}, now "
        f"{NUMERICS}); --overwrite retrains it\n"
    )


def trained_by(small: Path, **environment: object) -> None:
    """Change what the run's environment says of its training."""
    path = small / "environment.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | environment))


@pytest.mark.parametrize(
    ("environment", "options", "differing"),
    [
        ({"engine": "torch", "threads": 1024}, [], ""),
        ({"engine": "torch", "threads": 1024}, ["--threads", "1"], "threads 1024, now 1"),
        ({"engine": "torch", "threads": 1024}, ["--device", "cuda:97"], "device cpu, now cuda:97"),
        ({"precision": "bf16"}, ["--precision", "fp32"], "precision bf16, now fp32"),
        ({"engine": "native"}, ["--engine", "torch"], "engine native, now torch"),
        ({"engine": "native"}, ["--threads", "1024"], ""),
    ],
)
def test_a_finished_run_is_reused_whatever_is_asked_to_train_it(
    small, capsys, environment, options, differing
):
    trained_by(small, device="cpu", **environment)
    command = [*TRAIN[: TRAIN.index("--threads")], *options]
    before = contents(small)
    assert main(command) == 0
    told = capsys.readouterr().err
    assert told.startswith("runs/small already finished, reused")
    assert told.count("\n") == 1
    assert ("trained differently" in told) == bool(differing)
    assert differing in told
    assert contents(small) == before


@pytest.mark.parametrize("environment", [{"precision": "bf16"}, {"engine": "torch", "threads": 1024}])
def test_a_run_without_an_epoch_keeps_nothing_of_how_it_was_begun(small, capsys, environment):
    for name in FILES - {"recipe.json", "environment.json", ".lock"}:
        (small / name).unlink()
    trained_by(small, **environment)
    assert main([*TRAIN, "--precision", "fp32", "--resume"]) == 0
    choice, head, *epochs = capsys.readouterr().err.splitlines()
    assert choice == f"{choose().engine} engine: {choose().reason}"
    assert f"; {choose().engine} engine, fp32" in head
    assert len(epochs) == 2
    session = Run.open(small).environment
    assert (session["engine"], session["precision"], session["threads"]) == (choose().engine, "fp32", 1)


def test_resuming_a_run_killed_before_its_report_writes_it(small, capsys):
    (small / "report.md").unlink()
    before = contents(small)
    assert main([*TRAIN, "--resume"]) == 0
    assert capsys.readouterr().err == "runs/small already finished, reused\n"
    after = contents(small)
    assert "The test set was not read." in after.pop("report.md").decode()
    assert after == before


def test_a_report_of_the_unfinished_run_is_replaced_when_it_is_finished(unfinished, capsys):
    assert main(["report", "runs/small"]) == 0
    assert "(unfinished)" in (unfinished / "report.md").read_text()
    curves = (unfinished / "curves.png").read_bytes()
    assert main(["train", "runs/small/recipe.json", "--name", "small", "-q"]) == 0
    report = (unfinished / "report.md").read_text()
    assert "(unfinished)" not in report
    assert "at the last of 3 epochs" in report
    assert (unfinished / "curves.png").read_bytes() != curves


def test_resuming_prints_the_last_finished_epoch(unfinished, capsys):
    # A kill between two files leaves the metrics one epoch behind the checkpoint, which decides.
    metrics = unfinished / "metrics.jsonl"
    first, second = metrics.read_text().splitlines(keepends=True)
    metrics.write_text(first)
    assert main(["train", "runs/small/recipe.json", "--name", "small"]) == 0
    differing, head, line = capsys.readouterr().err.splitlines()
    assert re.search(rf", 1 thread{LIMIT} (→|->) runs/small; resuming after epoch 2$", head)
    assert differing.startswith(
        "runs/small: resuming a run that was trained differently (engine not recorded"
    )
    assert line.startswith("epoch 3/3  lr 0.001  ↓")
    assert metrics.read_text().startswith(first + second)
    assert len(lines_of(unfinished)) == 3


def test_overwriting_the_same_seed_gives_the_same_file_and_another_seed_other_weights(
    small, finished, tmp_path, capsys
):
    (small / "own-notes.txt").write_text("mine")
    recipe = tmp_path / "own.json"
    recipe.write_bytes((small / "recipe.json").read_bytes())
    for seed in ("1", "0"):
        command = ["train", "own.json", "--seed", seed, "--name", "small", "--threads", "1", "--overwrite"]
        assert main(command) == 0
        assert capsys.readouterr().err.count("\n") == 4
        assert same_weights(small, finished.path) == (seed == "0")
    assert (small / "model.safetensors").read_bytes() == (finished.path / "model.safetensors").read_bytes()
    assert (small / "own-notes.txt").read_text() == "mine"


def test_a_run_is_named_after_its_recipe_and_seed(tmp_path, monkeypatch, capsys, mnist: Mnist):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "regularized", *ONE_EPOCH, "--rotation-deg", "0", "--seed", "7", "--json"]) == 0
    out, err = capsys.readouterr()
    assert err.count("\n") == 3
    result = json.loads(out)
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("regularized+architecture=1p,4pd0.1_l+epochs=1+batch_size=1000+")
    assert folder.name.endswith("+rotation_deg=0.0-7")
    assert result["path"] == f"runs/{folder.name}"
    assert result["epochs"] == lines_of(folder)
    assert result["recipe"]["augmentation"]["rotation_deg"] == 0


def test_a_run_with_every_setting_changed_has_a_folder_of_its_own(tmp_path):
    changes = {name: False if setting.kind is bool else 0.5 for name, setting in settings().items()}
    changes |= {
        "epochs": 3,
        "batch_size": 7,
        "step_epochs": 2,
        "nesterov": True,
        "fade_epochs": 2,
        "fade_strength": 0.2,
    }
    changes |= {"schedule": "constant", "interpolation": "bilinear", "architecture": "8|3"}
    changes |= {"teacher": MINIMAL, "teachers": 3}
    paths = []
    for momentum in (0.5, 0.6):
        recipe = MINIMAL.with_changes(**changes | {"momentum": momentum})
        assert len(recipe.differences(MINIMAL)) == len(changes)
        paths += [run_path(tmp_path, recipe.name, seed) for seed in (0, 2**32 - 1)]
    for path in paths:
        path.mkdir()
        assert path.name.startswith("minimal+architecture=8_3+epochs=3+batch_size=7+")
    assert len(set(paths)) == 4


def test_a_live_bar_on_a_terminal(tmp_path, mnist: Mnist):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 200))
    process = subprocess.Popen(
        # The whole network: of a small one an epoch is over before the bar moves.
        [*COMMAND, "train", "minimal", "--epochs", "1", "--threads", "1"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError), open(ours, "rb", buffering=0) as terminal:  # EIO: it has ended
        while chunk := terminal.read(1024):
            shown += chunk
    out, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
    assert b"validation accuracy, last epoch  missed 99.40%" in out
    text = shown.decode()
    assert re.search(r"\r +\d+%\|.*?\| [\d.]+k/50\.0k \[.* images/s\]", text)
    # The epoch's line stands by itself, above the bar.
    (line,) = (line for line in re.split(r"[\r\n]+", text) if "epoch 1/1" in line)
    assert re.fullmatch(r"epoch 1/1  lr 0.1 .* s", line)
