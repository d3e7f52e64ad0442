"""What the page knows of each model."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.support.benches import bench_of, on_disk
from under20k.deploy import card as cards
from under20k.deploy.draw.encoding import decoded_text
from under20k.deploy.draw.models import DEFAULT, description, embedded, page_data
from under20k.deploy.model import load
from under20k.errors import UserError
from under20k.recipe.graph.graph import Graph
from under20k.runs.places import Places
from under20k.runs.train import train


def test_a_pretrained_model_has_the_figures_of_its_card():
    found = {model["name"]: model for model in page_data(embedded())["models"]}
    assert tuple(found) == DEFAULT
    for name, model in found.items():
        card, architecture = cards.card(name), cards.card(name).recipe.architecture
        sample = card.validation
        assert model["accuracy"] == {"mean": sample.mean, "sd": sample.sd, "n": sample.n}
        assert model["validation_accuracy"] == card.validation_accuracy
        assert (model["temperature"], model["threshold"]) == (card.temperature, card.threshold)
        assert (model["parameters"], model["macs"]) == (architecture.parameters, architecture.macs)
        network = json.loads(decoded_text(model["network"]))
        graph = Graph.from_list(network["graph"])
        assert graph == architecture.graph
        assert dict(map(tuple, network["tensors"])) == {
            name: list(shape) for name, shape in graph.tensors().items()
        }
    assert [model["name"] for model in found.values() if model["film"]] == ["minimal"]


def test_a_run_has_its_own_accuracy_and_no_mean(small):
    (found,) = page_data(embedded([small]))["models"]
    run = load(small)
    assert found["name"] == "small"
    assert found["accuracy"] is None
    assert found["validation_accuracy"] == run.origin.validation_accuracy
    assert found["own_weights"] is False
    assert found["film"] is None


def test_a_run_with_snapshots_brings_a_film(tmp_path):
    places = Places(tmp_path)
    run = train("minimal", architecture="2p,3p|l", epochs=2, batch_size=2000, places=places, snapshots=True)
    (found,) = embedded([run.path])
    assert found.film.epochs == (0, 1, 2)
    film = description(found)["film"]
    accuracies = (epoch.validation_accuracy for epoch in run.metrics())
    assert film["validation_accuracies"] == (None, *accuracies)


def test_records_hub_folders_and_paths_are_models(tmp_path):
    record = next(Path("records/small").glob("*shared-weights*"), None)
    if record is None:
        pytest.skip("the records are not here")
    (found,) = embedded([record])
    assert np.array_equal(
        found.model.weights["head.conv.weight"], load(DEFAULT[2]).weights["head.conv.weight"]
    )


def test_models_of_one_name_are_told_apart(small, tmp_path):
    shutil.copytree(small, tmp_path / "other" / "small")
    found = page_data(embedded(["runs/small", "other/small", "minimal"]))["models"]
    assert [model["name"] for model in found] == ["runs/small", "other/small", "minimal"]


def test_a_model_named_twice_is_there_once():
    assert len(embedded(["minimal", "minimal"])) == 1


def test_what_is_no_model_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="there is no model 'minimall'; did you mean 'minimal'"):
        embedded(["minimal", "minimall"])
    bench = on_disk(tmp_path, bench_of([0.99, 0.991]))
    with pytest.raises(UserError, match="is a bench"):
        embedded([bench])
