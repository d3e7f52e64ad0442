"""Damaged run folders give a UserError that names the file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

from tests.support.run_folders import ENVIRONMENT, SMALL, metrics, new_run, state
from under20k.errors import UserError
from under20k.recipe.named import MINIMAL
from under20k.recipe.weights import initial_weights
from under20k.runs.run import Run


def change_json(path: Path, **changes: Any) -> None:
    """Replace fields; those given as None are removed."""
    data = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in data.items() if value is not None}))


def test_a_missing_folder(tmp_path):
    with pytest.raises(UserError, match=r"there is no run folder .*absent.*under20k train"):
        Run.open(tmp_path / "absent")


@pytest.mark.parametrize("name", ["recipe.json", "environment.json"])
def test_a_half_deleted_folder(tmp_path, name):
    run = new_run(tmp_path / "run", 3, finished=True)
    (run.path / name).unlink()
    with pytest.raises(UserError, match=f"damaged one: {name} is missing"):
        Run.open(run.path)


@pytest.mark.parametrize("found", [2, "1", None])
def test_another_versions_format(tmp_path, found):
    run = new_run(tmp_path / "run")
    change_json(run.path / "environment.json", format=found)
    with pytest.raises(UserError) as refusal:
        Run.open(run.path)
    assert str(refusal.value).endswith(f"of format {found!r}; this version of under20k reads 1")


@pytest.mark.parametrize("content", ["", "[]", "null", "{", "9" * 5000])
def test_a_damaged_environment(tmp_path, content):
    run = new_run(tmp_path / "run")
    (run.path / "environment.json").write_text(content)
    with pytest.raises(UserError, match=r"run is a run folder of format None|environment\.json is not JSON"):
        Run.open(run.path)


@pytest.mark.parametrize("seed", [None, -1, "0", 1.5, True])
def test_a_damaged_seed(tmp_path, seed):
    run = new_run(tmp_path / "run")
    change_json(run.path / "environment.json", seed=seed)
    with pytest.raises(UserError, match=r"environment\.json: seed: "):
        Run.open(run.path)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b'{"architecture": "8|3"}'])
def test_a_damaged_recipe(tmp_path, content):
    run = new_run(tmp_path / "run")
    (run.path / "recipe.json").write_bytes(content)
    with pytest.raises(UserError, match=r"recipe\.json (is not a recipe|is not text)"):
        Run.open(run.path)


LINE = json.dumps(vars(metrics(1)[0]))


@pytest.mark.parametrize(
    "content",
    [
        LINE[:40],
        "[1]",
        "3",
        "{}",
        "[" * 100_000,
        "9" * 5000,
        LINE.replace("0.97", '"high"'),
        LINE.replace("0.97", "NaN"),
        LINE.replace("0.97", "true"),
        LINE.replace("0.97", "null"),
        LINE.replace("0.97", "9" * 400),
        LINE.replace("train_loss", "loss"),
        LINE.replace('"epoch": 1', '"epoch": 2'),
        f"{LINE}\n{LINE}",
        f"{LINE}\n\n",
    ],
)
def test_damaged_metrics(tmp_path, content):
    run = new_run(tmp_path / "run", 1)
    (run.path / "metrics.jsonl").write_text(content)
    with pytest.raises(UserError, match=r"metrics\.jsonl is damaged"):
        run.metrics()


def truncate(share: float) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return damage


def other_type(path: Path) -> None:
    save_torch({"head.conv.bias": torch.zeros(10, dtype=torch.bfloat16)}, path)


def no_safetensors(path: Path) -> None:
    path.write_bytes(b"\x80\x04pickle")


@pytest.mark.parametrize(
    "damage", [truncate(0), truncate(0.001), truncate(0.1), truncate(0.999), no_safetensors, other_type]
)
@pytest.mark.parametrize("name", ["model", "checkpoint"])
def test_a_damaged_safetensors_file(tmp_path, damage, name):
    run = new_run(tmp_path / "run", 3, finished=True)
    damage(run.path / f"{name}.safetensors")
    with pytest.raises(UserError, match=f"{name}.safetensors"):
        run.weights() if name == "model" else run.checkpoint()


def test_a_model_of_another_architecture(tmp_path):
    run = new_run(tmp_path / "run", 3, finished=True)
    save_file(initial_weights(MINIMAL.architecture, 0), run.path / "model.safetensors")
    with pytest.raises(UserError, match=r"model\.safetensors: the weights do not fit the architecture 4p,6p"):
        run.weights()


def test_a_model_with_values_that_are_not_finite(tmp_path):
    run = new_run(tmp_path / "run", 3, finished=True)
    weights = run.weights()
    weights["head.conv.bias"][3] = np.nan
    save_file(weights, run.path / "model.safetensors")
    with pytest.raises(UserError, match=r"model\.safetensors: .*contains values that are not finite"):
        run.weights()


def test_a_checkpoint_of_another_recipe_or_seed(tmp_path):
    run = new_run(tmp_path / "run", 2)
    others = [
        Run.create(tmp_path / "recipe", SMALL.with_changes(epochs=4), 0, ENVIRONMENT),
        Run.create(tmp_path / "seed", SMALL, 1, ENVIRONMENT),
    ]
    for other in others:
        other.save_epoch(state(SMALL, other.seed), metrics(2))
        (run.path / "checkpoint.safetensors").write_bytes(
            (other.path / "checkpoint.safetensors").read_bytes()
        )
        with pytest.raises(UserError, match=r"checkpoint\.safetensors belongs to another recipe or seed"):
            run.checkpoint()


def test_a_checkpoint_without_its_metadata(tmp_path):
    run = new_run(tmp_path / "run", 2)
    save_file(state(), run.path / "checkpoint.safetensors")
    with pytest.raises(UserError, match=r"belongs to another recipe or seed"):
        run.checkpoint()
