"""What a browser unpacks is what was packed, as exactly as promised."""

import base64
import json
from dataclasses import replace

import numpy as np
import pytest

from tests.support.small_models import ARCHITECTURES, model_of
from under20k.deploy.draw.bundle import models_json, read
from under20k.deploy.draw.encoding import (
    DIGITS,
    decoded_text,
    encoded_film,
    encoded_json,
    encoded_text,
    encoded_weights,
)
from under20k.deploy.draw.models import DEFAULT, Embedded, embedded
from under20k.deploy.film import Film
from under20k.deploy.model import load
from under20k.recipe.weights import initial_weights

AS_TEXT = """
const textOf = (array) => btoa(Array.from(new Uint8Array(array.buffer),
  (byte) => String.fromCharCode(byte)).join(""));
"""


@pytest.fixture(scope="module")
def scripts(browser):
    """An empty page with the scripts that unpack."""
    page = browser.new_page()
    page.goto("about:blank")
    page.add_script_tag(content=read("unpack.js") + read("weights.js") + AS_TEXT)
    yield page
    page.close()


def unpacked(page, embedded):
    """The models as the browser unpacks them, with weights by their names."""
    found = page.evaluate(
        """async (json) => (await unpackedModels(json)).map((model) => ({...model,
          weights: textOf(model.weights),
          film: model.film && {...model.film, weights: model.film.weights.map(textOf)}}))""",
        models_json(embedded),
    )
    for model in found:
        shapes = {name: tuple(shape) for name, shape in model["tensors"]}
        model["weights"] = named(model["weights"], shapes)
        if model["film"]:
            model["film"]["weights"] = [named(text, shapes) for text in model["film"]["weights"]]
    return found


def named(text, shapes):
    values = np.frombuffer(base64.b64decode(text), "<f4")
    weights, start = {}, 0
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        weights[name] = values[start : start + size].reshape(shape)
        start += size
    assert start == len(values)
    return weights


def test_logits_are_the_engines_to_a_ten_thousandth(scripts, mnist):
    images = mnist.validation.images[:200]
    for name, found in zip(DEFAULT, unpacked(scripts, embedded()), strict=True):
        model = load(name)
        assert (found["name"], found["parameters"]) == (name, model.recipe.architecture.parameters)
        assert found["graph"] == model.recipe.architecture.graph.to_list()
        difference = np.abs(replace(model, weights=found["weights"]).logits(images) - model.logits(images))
        assert difference.max() < 5e-5  # and as much is left for the page's own rounding


def test_a_films_epochs_are_those_of_the_training(scripts, mnist):
    images, labels = mnist.validation.images, mnist.validation.labels
    (each,) = embedded(["minimal"])
    (found,) = unpacked(scripts, [each])
    film = found["film"]
    assert film["epochs"] == list(range(9))
    assert film["validation_accuracies"][-1] == 0.9934
    for weights, exact, accuracy in zip(
        film["weights"], each.film.weights, film["validation_accuracies"], strict=True
    ):
        logits = replace(each.model, weights=weights).logits(images)
        difference = logits - replace(each.model, weights=exact).logits(images)
        assert np.sqrt((difference**2).mean()) < 0.1
        # Before the training, logits are so close that rounding decides.
        within = 0.02 if accuracy < 0.5 else 1e-3
        assert (logits.argmax(1) == labels).mean() == pytest.approx(accuracy, abs=within)
    last = film["weights"][-1]
    assert all(np.array_equal(last[name], found["weights"][name]) for name in last)


@pytest.mark.parametrize("text", ARCHITECTURES)
def test_each_row_is_exact_to_a_fraction_of_its_size(scripts, text):
    model = model_of(text)
    (found,) = unpacked(scripts, [Embedded(model)])
    assert found["film"] is None
    for name, expected in model.weights.items():
        rows = expected.reshape(1 if expected.ndim < 2 else len(expected), -1).astype(float)
        close = rows - found["weights"][name].reshape(rows.shape)
        size = np.abs(rows).max(1) * 2.0**-24 if expected.ndim < 2 else np.sqrt((rows**2).mean(1)) * 2.0**-19
        assert (np.abs(close).max(1) <= size).all(), name


def test_sizes_from_the_smallest_to_the_largest_survive(scripts):
    """Rows of one tensor, channel by channel, and a vector whose values lie far apart."""
    model = model_of(ARCHITECTURES[0])
    weights = {name: value.copy() for name, value in model.weights.items()}
    kernel = weights["blocks.1.conv.weight"]
    for channel, size in enumerate([0, 1e-30, 1e-6, 1e-3, 1, 1e3, 1e6, 1e30]):
        kernel[channel] *= np.float32(size)
    variance = weights["blocks.1.batch_norm.running_var"]
    variance[:4] = [0, 1e-3, 1e5, 1]
    early = {name: np.float32(0.5) * value for name, value in weights.items()}
    film = Film((1, 2), (0.5, 0.9), (early, weights))
    (found,) = unpacked(scripts, [Embedded(replace(model, weights=weights), film)])
    got = found["weights"]["blocks.1.conv.weight"]
    np.testing.assert_allclose(got, kernel, rtol=0, atol=1e30 * 2.0**-18)
    for channel in range(len(kernel)):
        size = np.sqrt((kernel[channel].astype(float) ** 2).mean())
        assert np.abs(got[channel] - kernel[channel]).max() <= size * 2.0**-19
        epoch = found["film"]["weights"][0]["blocks.1.conv.weight"][channel]
        assert np.abs(epoch - kernel[channel] / 2).max() <= size * 2.0**-5
    np.testing.assert_allclose(
        found["weights"]["blocks.1.batch_norm.running_var"][:4], variance[:4], atol=1e5 * 2.0**-29
    )


@pytest.mark.parametrize("length", [*range(12), 1000])
def test_a_text_of_any_length_comes_back(scripts, length):
    text = ("naïve </script> 7½ ✓ " * 60)[:length]
    packed = encoded_text(text)
    assert decoded_text(packed) == text
    assert set(packed) <= set(DIGITS)
    script = "async (packed) => new TextDecoder().decode(await inflated(packed))"
    assert scripts.evaluate(script, packed) == text


def test_a_text_can_stand_in_html_json_and_javascript():
    assert len(DIGITS) == len(set(DIGITS)) == 85
    assert not set(DIGITS) & set("\"'`<>&\\$ ")
    for text in (encoded_json({"a": [1]}), encoded_weights(model_of("1p|l").weights)):
        assert json.loads(json.dumps(text)) == text
        assert json.dumps(text) == f'"{text}"'


def test_the_same_weights_give_the_same_text():
    first, second = (encoded_weights(model_of("4p,6p|3v").weights) for _ in range(2))
    assert first == second


def test_a_film_of_equal_epochs_costs_next_to_nothing():
    weights = model_of(ARCHITECTURES[0]).weights
    other = initial_weights(model_of(ARCHITECTURES[0]).recipe.architecture, 9)
    still, moving = encoded_film(weights, [weights] * 3), encoded_film(weights, [other] * 3)
    assert len(still) < 800
    assert len(moving) > 10 * len(still)


@pytest.mark.parametrize("end", [0, 1e-45, 1e-30, 1e-8])
@pytest.mark.parametrize("start", [1e-20, 1, 1e30])
def test_a_film_shows_what_shrinks_to_nothing(scripts, start, end):
    """Rows whose last weights are tiny, beside those of an epoch before."""
    model = model_of(ARCHITECTURES[0])
    weights = {name: value.copy() for name, value in model.weights.items()}
    names = ("blocks.1.conv.weight", "blocks.1.batch_norm.bias")
    early = {name: value.copy() for name, value in weights.items()}
    random = np.random.default_rng(0)
    for name in names:
        row = weights[name].shape[1:]
        early[name][2] = np.float32(start) * random.uniform(-1, 1, row)
        weights[name][2] = np.float32(end) * random.uniform(-1, 1, row)
    between = {name: (value + early[name]) / 2 for name, value in weights.items()}
    film = Film((1, 2, 3), (0.5, 0.7, 0.9), (early, between, weights))
    (found,) = unpacked(scripts, [Embedded(replace(model, weights=weights), film)])
    for got, expected in zip(found["film"]["weights"], (early, between), strict=False):
        for name in names:
            for index, row in enumerate(expected[name].astype(float)):
                largest = max(np.abs(each[name][index]).max() for each in (early, weights))
                whole = np.abs(early[name]).max() if early[name].ndim == 1 else largest
                assert np.abs(got[name][index] - row).max() <= whole * 2.0**-4, (name, index)
