"""Bad input and circumstances: one line that names them, exit code 2, nothing lost."""

import errno
import json
import os
import resource
import shutil
import signal
from pathlib import Path

import pytest
import torch

from tests.support import command
from tests.support.command import ARCHITECTURE, SETTINGS, TRAIN, assert_refused, contents
from under20k.cli.main import main
from under20k.data import load_test
from under20k.errors import UserError
from under20k.recipe.named import MINIMAL
from under20k.runs.run import Run
from under20k.runs.train import train

ONCE = ["train", "minimal", *SETTINGS, "--threads", "1"]


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Runs the command in the test's folder and proves that it is refused with words and changes nothing."""
    monkeypatch.chdir(tmp_path)

    def check(*arguments: str, words: tuple[str, ...] | list[str]) -> None:
        before = contents(tmp_path)
        capsys.readouterr()
        code = main(list(arguments))
        assert_refused(code, *capsys.readouterr(), *words)
        assert contents(tmp_path) == before

    return check


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], ["there is no verb 'trian'; did you mean 'train'?"]),
        (["--nothing"], ["--nothing", "see 'under20k --help'"]),
        (["train"], ["RECIPE", "see 'under20k train --help'"]),
        (["train", "minimal", "--nothing"], ["--nothing", "see 'under20k train --help'"]),
        (["train", "minimal", "--epoch", "3"], ["there is no option --epoch; did you mean --epochs?"]),
        (
            ["train", "minimal", "--resume", "--overwrite"],
            ["--overwrite: not allowed with argument --resume"],
        ),
        (["train", "minimal", "--precision", "fp16"], ["--precision", "fp32", "bf16"]),
        *(
            (
                [*verb, "--engine", "torch", "--precision", "bf16"],
                ["--precision is 'bf16'", "use --precision fp32"],
            )
            for verb in (["train", "minimal"], ["bench", "minimal", "--seeds", "0-1"], ["reproduce"])
        ),
        (["evaluate", "runs/x", "--precision", "fp32"], ["--precision"]),
        (["train", "minimial"], ["there is no recipe 'minimial'; did you mean 'minimal'?"]),
        (["train", "xyzzy"], ["there is no recipe 'xyzzy'; known: regularized, minimal"]),
        (["train", "no.json"], ["no.json cannot be read: No such file or directory"]),
        (["recipes", "regularised"], ["did you mean 'regularized'?"]),
        (["check", "regularised"], ["'regularised'", "neither a recipe nor a run folder"]),
        (["check", "no.json"], ["no.json cannot be read"]),
        (["train", "minimal", "--runs-dir=--"], ["--runs-dir=-- gives no value"]),
        (["records", "verify", "--jobs=--"], ["--jobs=-- gives no value"]),
        (["train", "minimal", "--runs-dir", ""], ["--runs-dir: it is empty; name a file or folder"]),
        (["compare", ""], ["it is empty; name a file or folder"]),
        (["compare"], ["nothing in runs, benches, records yet; start with 'under20k train minimal'"]),
        (["evaluate"], ["name the run to evaluate; train one with 'under20k train'"]),
        (["compare", "a\x1b[31mb"], ["there is no folder a\\x1b[31mb; "]),
        (["report", "a\x1b[31mb"], ["a\\x1b[31mb is not a folder"]),
        (["report"], ["name a run, bench or record, or a folder of several; train one with"]),
        (["train", "minimal", "--name", "../x"], ["--name is '../x'; give a folder's name"]),
        (["train", "minimal", "--name", ".."], ["--name is '..'"]),
        (["train", "minimal", "--name", "."], ["--name is '.'"]),
        (["train", "minimal", "--name", "x/"], ["--name is 'x/'"]),
        (["train", "minimal", "--name", ""], ["--name is ''"]),
        (
            ["train", "minimal", "--seed", "-1"],
            ["--seed is -1; expected a whole number from 0 to 4294967295"],
        ),
        (["train", "minimal", "--seed", "4294967296"], ["--seed is 4294967296; expected"]),
        (["train", "minimal", "--seed", "9" * 5000], ["--seed"]),
        (["train", "minimal", "--seed", "1.5"], ["--seed is '1.5'; expected a whole number from 0"]),
        (["train", "minimal", "--epochs", "0"], ["--epochs is 0; expected a whole number from 1 to 1000"]),
        (["train", "minimal", "--epochs", "x"], ["--epochs is 'x'; expected a whole number"]),
        (
            ["train", "minimal", "--learning-rate", "nan"],
            ["--learning-rate is nan; expected a number from 0"],
        ),
        (
            ["train", "minimal", "--momentum", "1"],
            ["--momentum is 1.0; expected a number from 0 up to, but not"],
        ),
        (
            ["train", "minimal", "--nesterov", "--momentum", "0"],
            ["--nesterov is True; it needs a momentum above 0"],
        ),
        (
            ["train", "minimal", "--schedule", "linear"],
            ["--schedule is 'linear'; expected one of constant, step, one-cycle"],
        ),
        (
            ["train", "minimal", "--architecture", "8,12"],
            ["--architecture: '8,12' has no head; end it with |3v"],
        ),
        (["train", "minimal", "--architecture", "8x|3"], ["block '8x': expected the number of channels"]),
        (
            ["train", "minimal", "--architecture", "8p,8p,8p,8p,8p|3"],
            ["pooling does not fit a feature map of 1×1"],
        ),
        (["train", "minimal", "--threads", "0"], ["--threads is 0; expected a whole number from 1"]),
        (["train", "minimal", "--teacher", "wise"], ["--teacher: there is no recipe 'wise'"]),
        (
            ["train", "minimal", "--resume"],
            ["there is no run in runs/minimal-0 to resume; leave out --resume"],
        ),
        (
            ["train", "minimal", "--seed", "0-3", "--epochs", "2"],
            ["--seed is '0-3', and train takes one seed", "under20k bench minimal --seeds 0-3 --epochs 2"],
        ),
        (["train", "minimal", "--engine", "jax"], ["--engine is 'jax'; expected one of auto, native, torch"]),
        (["train", "minimal", "--device", "cpu:7"], ["--device is 'cpu:7'; expected one of auto, cpu"]),
        (["train", "minimal", "--device", "tpu"], ["--device is 'tpu'; expected one of auto, cpu"]),
        (["evaluate", "runs/none"], ["there is no run folder runs/none; train one with 'under20k train'"]),
        (["reproduce", "--seeds", "10"], ["--seeds is '10', which is one seed; for 10 seeds give 0-9"]),
        (["reproduce", "--seeds", "1"], ["--seeds is '1', which is one seed; for 1 seed give 0"]),
        (["reproduce", "--seeds", "1,4"], ["--seeds is '1,4': they have to be consecutive from 0; give 0-4"]),
        # At once, where a walk over so many seeds takes minutes.
        (
            ["reproduce", "--seeds", "4294967295"],
            ["--seeds is '4294967295'; give consecutive seeds from 0, at most 1,000 of them"],
        ),
        (["reproduce", "--seeds", "4,1000"], ["give consecutive seeds from 0, at most 1,000 of them"]),
        (["reproduce", "--seeds", "-1"], ["--seeds is '-1'; expected seeds from 0"]),
        (["reproduce", "--seeds", "0-1000"], ["--seeds is 1,001 of them; expected 1 to 1,000"]),
        (["bench", "minimal", "--seeds", "0-4,3"], ["--seeds is '0-4,3'; seed 3 is given twice"]),
        (["reproduce", "--jobs", "0"], ["--jobs is 0; give 1 to 1024"]),
        (["reproduce", "--threads", "0"], ["--threads is 0; expected a whole number from 1"]),
        (["reproduce", "extra"], ["there is no recipe 'extra'"]),
        (["reproduce", "minimal", "extra"], ["unrecognized arguments: extra"]),
    ],
)
def test_arguments(refused, arguments, words):
    refused(*arguments, words=words)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu(refused):
    refused(
        "train",
        "minimal",
        "--device",
        "cuda",
        words=["--device is 'cuda'", "sees 0 CUDA devices", "--device cpu"],
    )


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", '"minimal"', "{}", "[" * 100_000),
        json.dumps(MINIMAL.to_dict() | {"epochs": -1}),
        json.dumps(MINIMAL.to_dict() | {"epoch": 1}),
    ],
)
def test_a_file_without_a_recipe_is_refused(refused, tmp_path, text):
    (tmp_path / "own.json").write_text(text)
    for verb in ("train", "recipes", "check"):
        refused(verb, "own.json", words=["own.json is not a recipe: "])


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def other_format(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 7}))


def other_network(path: Path) -> None:
    """The tensors of another architecture under the file's own metadata."""
    from safetensors import safe_open
    from safetensors.numpy import save_file

    from under20k.recipe.weights import initial_weights

    with safe_open(path, framework="numpy") as file:
        metadata = {name: value for name, value in file.metadata().items() if name != "sha256"}
    save_file(initial_weights(MINIMAL.architecture, 0), path, metadata)


def other_run(path: Path) -> None:
    """The file as a run of another seed would have it."""
    source = Run.open(path.parent)
    checkpoint = source.checkpoint()
    assert checkpoint is not None
    other = Run.create(path.parent.parent / "other", source.recipe, 1, {})
    other.save_epoch(*checkpoint)
    path.write_bytes((other.path / path.name).read_bytes())


DAMAGE = [
    ("recipe.json", Path.unlink, "recipe.json is missing"),
    ("recipe.json", truncate, "recipe.json is not a recipe"),
    ("environment.json", Path.unlink, "environment.json is missing"),
    ("environment.json", truncate, "environment.json is not JSON"),
    ("environment.json", other_format, "a run folder of format 7; this version of under20k reads 1"),
]


@pytest.mark.parametrize(("name", "damage", "words"), DAMAGE)
def test_a_damaged_run_is_neither_evaluated_nor_checked(refused, small, name, damage, words):
    damage(small / name)
    refused("evaluate", "runs/small", "--threads", "1", words=[words])
    refused("check", "runs/small", words=[words])


@pytest.mark.parametrize(("name", "damage", "words"), DAMAGE)
def test_a_damaged_run_is_not_resumed(refused, unfinished, tmp_path, name, damage, words):
    recipe = shutil.copy(unfinished / "recipe.json", tmp_path / "own.json")
    damage(unfinished / name)
    refused("train", str(recipe), "--name", "small", "--resume", "--threads", "1", words=[words])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (truncate, "checkpoint.safetensors is damaged"),
        (other_network, "the state does not fit"),
        (other_run, "checkpoint.safetensors belongs to another recipe or seed; train again with --overwrite"),
    ],
)
def test_a_damaged_checkpoint_is_not_gone_on_from(unfinished, tmp_path, capsys, damage, words):
    damage(unfinished / "checkpoint.safetensors")
    before = contents(tmp_path)
    code = main(["train", "runs/small/recipe.json", "--name", "small", "--resume", "--threads", "1"])
    out, err = capsys.readouterr()
    assert_refused(code, out, err.splitlines(keepends=True)[-1], words)
    after = contents(tmp_path)
    # That someone tried to go on is noted; nothing else is touched.
    assert len(json.loads(after.pop("runs/small/environment.json"))["resumed"]) == 1
    del before["runs/small/environment.json"]
    assert after == before


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (truncate, "model.safetensors is damaged"),
        (other_network, f"the weights do not fit the architecture {ARCHITECTURE}"),
        (Path.unlink, "holds no trained model (2 of 2 epochs done); finish it with"),
    ],
)
def test_a_model_that_is_none_is_not_evaluated(refused, small, damage, words):
    damage(small / "model.safetensors")
    refused("evaluate", "runs/small", "--threads", "1", words=[words])
    refused("evaluate", "runs/small", "--test", "--threads", "1", words=[words])


def test_an_existing_run_is_kept(refused, small):
    advice = 'existing="resume" returns it, existing="replace" trains it again'
    with pytest.raises(UserError, match=f"runs/small contains a finished run; {advice}"):
        train("minimal", name="small", existing="refuse")
    for name in ("model.safetensors", "checkpoint.safetensors"):
        (small / name).unlink()
    lost = "runs/small has metrics.jsonl, but no checkpoint to resume from; replace it with --overwrite"
    refused(*TRAIN, words=[lost])
    (small / "recipe.json").unlink()
    refused(*TRAIN, words=["runs/small is not a run folder, or a damaged one: recipe.json is missing"])
    (small / "environment.json").unlink()
    refused(*TRAIN, words=["runs/small contains files that are not a run"])


def test_another_recipe_or_seed_does_not_go_on(refused, small):
    for *other, differing in (
        ("--seed", "1", "(seed 0, now 1)"),
        ("--epochs", "3", "(epochs 2, now 3)"),
        ("--learning-rate", "0.2", "(learning_rate 0.1, now 0.2)"),
    ):
        for how in ([], ["--resume"]):
            words = ["runs/small holds", "not this recipe and seed", differing, "--overwrite"]
            refused(*TRAIN, *other, *how, words=words)


def test_another_precision_does_not_go_on(refused, unfinished, tmp_path):
    shutil.copy(unfinished / "recipe.json", tmp_path / "own.json")
    options = ["--name", "small", "--resume", "--precision", "bf16"]
    refused("train", "own.json", *options, words=["trained in fp32, not bf16", "--overwrite"])


def test_a_finished_run_that_lost_its_metrics(refused, small):
    (small / "metrics.jsonl").unlink()
    refused(*TRAIN, "--resume", words=["metrics.jsonl is damaged", "train again with --overwrite"])


@pytest.mark.parametrize("runs", ["file", "file/below", "/proc/under20k"])
def test_a_place_that_cannot_be_written(refused, tmp_path, runs):
    (tmp_path / "file").write_text("mine")
    refused(*ONCE, "--runs-dir", runs, words=[runs, "cannot be written"])
    refused("reproduce", "--output", "file", words=["file is a file; name a folder for the report"])


def test_a_file_in_place_of_a_run_folder_is_refused(refused, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "small").write_text("mine")
    refused(*TRAIN, words=["runs/small is a file"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission(refused, tmp_path):
    (tmp_path / "runs").mkdir(mode=0o500)
    refused(*TRAIN, words=["runs/small cannot be written: Permission denied"])


def test_two_at_once(under20k, tmp_path):
    first = command.start(tmp_path, *TRAIN, "--epochs", "1000")
    command.read_until(first, "1 thread")
    for how in ([], ["--resume"], ["--overwrite"]):
        second = under20k(*TRAIN, "--epochs", "1000", *how)
        words = ["another process is training in runs/small; wait for it to end"]
        # After the warning that 1,000 epochs are too many.
        assert_refused(second.returncode, second.stdout, second.stderr.splitlines(keepends=True)[-1], *words)
    assert first.poll() is None
    assert command.end(first, signal.SIGTERM)[0] == 143


def limit_files() -> None:
    """Room for what a run begins with, not for a checkpoint: EFBIG, where a full disk gives ENOSPC."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))


def test_a_full_disk(under20k, finished, tmp_path):
    done = under20k(*TRAIN, preexec_fn=limit_files)
    line = done.stderr.splitlines(keepends=True)[-1]
    assert_refused(
        done.returncode, done.stdout, line, "checkpoint.safetensors cannot be written", "too large"
    )
    assert "Traceback" not in done.stderr
    assert sorted(contents(tmp_path)) == ["runs/small/environment.json", "runs/small/recipe.json"]
    done = under20k(*TRAIN, "--resume")
    assert done.returncode == 0, done.stderr
    assert command.same_weights(tmp_path / "runs" / "small", finished.path)


def test_a_disk_that_fills_up_while_evaluating(small, tmp_path, monkeypatch, capsys):
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    load_test()  # while it can still be fetched
    before = contents(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    for options in ([], ["--test"]):
        code = main(["evaluate", "runs/small", "--threads", "1", *options])
        assert_refused(code, *capsys.readouterr(), "cannot be written: No space left on device")
    assert contents(tmp_path) == before
