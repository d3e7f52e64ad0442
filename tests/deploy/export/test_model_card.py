"""A model card has the customary sections, and says of a model what is known of it, and no more."""

import re
from dataclasses import replace

import pytest

from tests.support.small_models import ARCHITECTURES, model_of
from under20k.deploy.export.formats import FORMATS
from under20k.deploy.export.model_card import model_card
from under20k.deploy.export.proof import Proof
from under20k.deploy.model import Model, load
from under20k.deploy.origin import Origin
from under20k.recipe.named import RECIPES
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import initial_weights

SECTIONS = [
    "Model details",
    "Intended use",
    "How to use",
    "Training data",
    "Evaluation",
    "Limitations",
    "Citation",
]


def card_of(model: Model, format: str = "torch") -> str:
    proof = Proof(format, model.name, 1, FORMATS[format].tolerance, not_run="--no-proof was given")
    return model_card(model, FORMATS[format], ["model.x"], proof)


@pytest.mark.parametrize("format", FORMATS)
def test_it_has_the_customary_sections(format):
    text = card_of(load("minimal"), format)
    assert re.findall(r"^## (.+)$", text, re.M) == SECTIONS
    assert FORMATS[format].use.split()[0] in text.partition("## How to use\n\n")[2].partition("\n## ")[0]
    assert "Nothing is proved: --no-proof was given." in text
    assert "- `model.x`" in text


def test_a_pretrained_model_s_card_has_its_data():
    model = load("regularized-plus")
    text = card_of(model)
    assert "**Parameters:** 19,204\n" in text
    assert "**Licence:** MIT\n" in text
    assert "`under20k train regularized-plus --seed 0` trains it again." in text
    assert f"| this model | {model.card.validation_accuracy:.2%} |" in text
    assert f"| 20 seeds of the recipe | {model.card.validation} |" in text
    assert f"| this model, first reading | {model.card.test_accuracy:.2%} |" in text
    assert f"Expected calibration error on validation: {model.card.calibration.error_after:.2%}" in text
    assert f"letters {model.card.refusal.accepted['letters']:.0%}" in text
    (recipe,) = re.findall(r"^```json\n(.*?)^```$", text, re.M | re.S)
    assert Recipe.from_json(recipe) == model.recipe


def test_of_an_unknown_model_nothing_is_claimed():
    text = card_of(model_of(ARCHITECTURES[0]))
    assert "**Licence:** not stated" in text
    assert "No accuracy is known." in text
    for words in ("trains it again", "Environment of the training", "calibration error", "MIT"):
        assert words not in text


def test_an_accuracy_of_zero_is_one():
    assert "0.00%" in card_of(
        replace(model_of(ARCHITECTURES[0]), origin=Origin("run", 1, validation_accuracy=0.0))
    )


def test_drawn_digits_and_teachers_are_training_data():
    recipe = RECIPES["robust"]
    model = Model("r", recipe, initial_weights(recipe.architecture, 0))
    assert "15% of each batch are digits that the program draws as strokes" in " ".join(
        card_of(model).split()
    )
    taught = load("shared-weights")
    said = "gave soft targets beside the labels" in " ".join(card_of(taught).split())
    assert said == (taught.recipe.distillation is not None)
