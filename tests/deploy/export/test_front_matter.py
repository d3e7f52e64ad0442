"""The Hugging Face Hub's own reader finds what a card's front matter says."""

from dataclasses import replace

import pytest
import yaml
from huggingface_hub import ModelCard

from tests.support.small_models import ARCHITECTURES, model_of
from under20k.deploy.export.export import export
from under20k.deploy.export.formats import FORMATS
from under20k.deploy.export.front_matter import front_matter
from under20k.deploy.export.proof import Proof
from under20k.deploy.model import Model, load
from under20k.deploy.origin import Origin

NOT_RUN = Proof("torch", "m", 1, FORMATS["torch"].tolerance, not_run="--no-proof was given")


def card_of(model: Model, format: str = "torch", proof: Proof = NOT_RUN) -> ModelCard:
    return ModelCard(front_matter(model, FORMATS[format], proof), ignore_metadata_errors=False)


def test_the_front_matter_of_a_pretrained_model():
    data = card_of(load("regularized-plus")).data
    assert (data.license, data.library_name, data.pipeline_tag) == ("mit", "pytorch", "image-classification")
    assert {"mnist", "safetensors"} <= set(data.tags)
    assert (data.datasets, data.metrics) == (["ylecun/mnist"], ["accuracy"])
    assert data.model_name == "regularized-plus"
    validation, test = data.eval_results
    card = load("regularized-plus").card
    assert (validation.metric_type, validation.metric_value) == ("accuracy", card.validation_accuracy)
    assert "10,000 validation images" in validation.dataset_name
    assert (test.dataset_split, test.metric_value) == ("test", card.test_accuracy)


def test_it_has_the_export_s_own_accuracy_and_no_other_in_int8():
    proof = replace(NOT_RUN, accuracy=0.9876, tolerance=FORMATS["onnx-int8"].tolerance, not_run="")
    (validation,) = card_of(load("minimal"), "onnx-int8", proof).data.eval_results
    assert validation.metric_value == 0.9876
    unknown = card_of(load("minimal"), "onnx-int8", replace(proof, accuracy=None))
    assert not unknown.data.eval_results


@pytest.mark.parametrize("kind", ["run", "record"])
def test_no_licence_is_claimed_for_other_peoples_weights(kind):
    model = replace(model_of(ARCHITECTURES[0]), origin=Origin(kind, 3, validation_accuracy=0.5))
    data = card_of(model).data
    assert data.license is None
    assert [result.metric_value for result in data.eval_results] == [0.5]
    assert "license" not in front_matter(model, FORMATS["torch"], NOT_RUN)


def test_a_model_of_which_nothing_is_known():
    data = card_of(model_of(ARCHITECTURES[0])).data
    assert data.license is None
    assert not data.eval_results


@pytest.mark.parametrize(
    "name", ["yes", "null", "1e5", 'a "quoted": name', "- x", "ü 😀\n\t\x7f\x85\u2028 #", "{a: b}", "é"]
)
def test_any_name_survives_yaml(name):
    unnamed = model_of(ARCHITECTURES[0])
    origin = Origin("run", 0, validation_accuracy=0.75)
    model = replace(unnamed, recipe=replace(unnamed.recipe, name=name), origin=origin)
    text = front_matter(model, FORMATS["torch"], NOT_RUN)
    (values, _) = yaml.safe_load_all(text)
    assert values["model-index"][0]["name"] == name
    assert card_of(model).data.model_name == name


def test_the_hub_reads_the_card_of_an_export(tmp_path):
    folder = export(load("minimal"), "torch", tmp_path / "out", proof=False).folder
    assert ModelCard.load(folder / "README.md").data.license == "mit"
