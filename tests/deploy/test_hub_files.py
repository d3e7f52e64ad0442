"""Files from the Hub are judged before they are a model: they come from anybody."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.small_models import ARCHITECTURES, model_of
from under20k.deploy.hub_files import HubFiles, is_hub_folder, plain_safetensors, read_hub_files
from under20k.deploy.model import load
from under20k.deploy.origin import Origin
from under20k.errors import UserError

MODEL = model_of(ARCHITECTURES[3])
FILES = HubFiles("mine", MODEL.recipe, MODEL.weights, 0.8, 0.4, Origin("run", 7, 0.99))


@pytest.fixture
def folder(tmp_path) -> Path:
    FILES.write(tmp_path)
    return tmp_path


def test_what_is_written_is_read(folder):
    found = read_hub_files(folder)
    assert replace(found, weights=FILES.weights) == FILES
    assert found.weights.keys() == FILES.weights.keys()
    assert all((found.weights[name] == value).all() for name, value in FILES.weights.items())
    assert load(folder).name == "mine"


def test_another_folder_is_none(tmp_path):
    assert not is_hub_folder(tmp_path)
    with pytest.raises(UserError, match="is not a run folder"):
        load(tmp_path)


def config(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def other_weights(folder: Path) -> None:
    other = model_of(ARCHITECTURES[0])
    (folder / "model.safetensors").write_bytes(plain_safetensors(other.recipe, other.weights))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (config(library_name="transformers"), "config.json is not under20k's; name a folder of"),
        (config(format=2), "config.json is a model's configuration of format 2"),
        (config(temperature=0), "config.json is damaged: temperature is 0; expected a number from 0.001"),
        (config(temperature="1"), "temperature is '1'"),
        (config(threshold=True), "threshold is True"),
        (config(name=5), "name is 5; expected a text"),
        (config(origin={"kind": "run"}), "config.json is damaged"),
        (config(origin={"kind": "run", "seed": 1, "validation_accuracy": 99.4}), "an accuracy is 99.4"),
        (config(origin={"kind": "web", "seed": 1}), "the origin is 'web'"),
        (config(origin=[1]), "config.json is damaged"),
        (lambda folder: (folder / "config.json").write_text("[]"), "config.json is not under20k's"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json is not JSON"),
        (lambda folder: (folder / "recipe.json").unlink(), "recipe.json cannot be read"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors cannot be read"),
        (lambda folder: (folder / "recipe.json").write_text("{}"), "recipe.json is not a recipe"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x"), "model.safetensors is damaged"),
        (other_weights, "model.safetensors: the weights do not fit the architecture"),
    ],
)
def test_damaged_files_are_named(folder, change, words):
    change(folder)
    with pytest.raises(UserError) as error:
        load(folder)
    assert words in str(error.value)
