"""The networks in the page: the engine's logits, what is counted, and what explains them."""

import re
from collections import Counter

import numpy as np
import pytest

from tests.support.page_scripts import PAGE, add_model, array_of, text_of
from under20k import load_mnist
from under20k.deploy.model import load

MODELS = ("minimal", "regularized-plus", "shared-weights", "robust")
IMAGES = 200


@pytest.fixture(scope="module")
def images():
    """Validation images, uint8 (200, 28, 28)."""
    return load_mnist().validation.images[:IMAGES]


@pytest.fixture(scope="module")
def models(page):
    """Pretrained models, which are networks of the page, by name."""
    loaded = {name: load(name) for name in MODELS}
    for model in loaded.values():
        add_model(page, model)
    return loaded


LOGITS = """([name, images, quick]) => {
  const network = networks[name], all = bytesOf(images), logits = [];
  for (let i = 0; i < all.length; i += 784) {
    const image = all.subarray(i, i + 784);
    logits.push(...(quick ? network.runQuick(image) : network.run(image).logits));
  }
  return textOf(Float32Array.from(logits));
}"""


@pytest.mark.parametrize("quick", [False, True], ids=["run", "runQuick"])
@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_the_engine(page, models, images, name, quick):
    logits = array_of(page.evaluate(LOGITS, [name, text_of(images, "u1"), quick])).reshape(-1, 10)
    np.testing.assert_allclose(logits, models[name].logits(images), atol=1e-4, rtol=0)


def test_probabilities_are_calibrated_by_the_temperature(page, models, images):
    run = "([name, image]) => textOf(networks[name].run(bytesOf(image)).probabilities)"
    for name, model in models.items():
        found = array_of(page.evaluate(run, [name, text_of(images[0], "u1")]))
        np.testing.assert_allclose(found, model.probabilities(images[:1])[0], atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_layers_are_counted_as_in_the_recipe(page, models, name):
    layers = {layer["name"]: layer for layer in page.evaluate("(name) => networks[name].layers", name)}
    expected = list(models[name].recipe.architecture.layers())
    assert [key for key in layers if key != "head.flatten"] == [layer.name for layer in expected]
    for layer in expected:
        found = layers[layer.name]
        assert (tuple(found["shape"]), found["parameters"], found["macs"]) == (
            *(layer.shape, layer.parameters, layer.macs),
        )
        assert found["field"] == found["fieldAcross"]
        assert (found["field"]["side"], found["field"]["jump"]) == (layer.receptive_field, layer.jump)
    assert (
        sum(layer["parameters"] for layer in layers.values()) == models[name].recipe.architecture.parameters
    )


FIELD = """([name, node, y, x]) => {
  const network = networks[name];
  const { top, left, bottom, right } = network.fieldOf(node, y, x);
  const inside = (row, column) => row >= top && row < bottom && column >= left && column < right;
  const parts = {
    outside: (row, column) => !inside(row, column),
    top: (row, column) => inside(row, column) && row === top,
    bottom: (row, column) => inside(row, column) && row === bottom - 1,
    left: (row, column) => inside(row, column) && column === left,
    right: (row, column) => inside(row, column) && column === right - 1,
  };
  let state = 11;
  const random = () => ((state = (state * 48271) % 2147483647) / 2147483647) * 256;
  const valuesOf = (image) => {
    const { values } = network.run(image).values[node];
    const { shape } = network.plan.values[node];
    return Array.from({ length: shape[0] }, (_, channel) => values[(channel * shape[1] + y) * shape[2] + x]);
  };
  const changed = {};
  for (let trial = 0; trial < 40; trial++) {
    const image = Uint8Array.from({ length: 784 }, random);
    const before = valuesOf(image).join();
    for (const [part, holds] of Object.entries(parts)) {
      const other = image.map((level, i) => (holds(Math.floor(i / 28), i % 28) ? random() : level));
      changed[part] ||= valuesOf(other).join() !== before;
    }
  }
  return changed;
}"""


@pytest.mark.parametrize(
    ("name", "node", "y", "x"),
    [
        ("minimal", "blocks.0.relu", 0, 27),
        ("minimal", "blocks.1.pool", 5, 2),
        ("minimal", "blocks.3.pool", 6, 0),
        ("minimal", "blocks.4.conv", 2, 4),
        ("shared-weights", "blocks.3.batch_norm", 7, 7),
    ],
)
def test_a_number_depends_on_the_edges_of_its_field_and_on_nothing_beyond(page, models, name, node, y, x):
    changed = page.evaluate(FIELD, [name, node, y, x])
    assert changed == {"outside": False, "top": True, "bottom": True, "left": True, "right": True}


PATCHES = """([name, image, seed]) => {
  const network = networks[name];
  network.run(bytesOf(image));
  const found = [];
  let state = seed;
  const random = (below) => (state = (state * 48271) % 2147483647) % below;
  for (const layer of network.layers) {
    const shape = layer.shape.length === 3 ? layer.shape : [layer.shape[0], 1, 1];
    for (let k = 0; k < 12; k++) {
      const [channel, y, x] = shape.map((side) => random(side));
      const patch = network.patch(layer.name, channel, y, x);
      const sum = patch.terms.reduce(
        (total, { values, weights }) => total + values.reduce((part, v, i) => part + v * weights[i], 0),
        patch.bias);
      const before = patch.scale * patch.sum + patch.shift;
      const value = patch.function === "relu" ? Math.max(0, before) : before;
      const { values, shape: real } = network.plan.values[layer.name];
      const index = real.length === 3 ? (channel * real[1] + y) * real[2] + x : channel;
      const inside = patch.terms.every((term) => {
        const { values: all, shape: [, high, wide] } = network.plan.values[term.input];
        if (wide === undefined) return true;
        return term.values.every((v, i) => {
          const row = term.top + Math.floor(i / term.width), column = term.left + (i % term.width);
          const out = row < 0 || column < 0 || row >= high || column >= wide;
          return v === (out ? 0 : all[(term.channel * high + row) * wide + column]);
        });
      });
      found.push([layer.op, sum, patch.sum, value, patch.value, values[index], inside]);
    }
  }
  return found;
}"""


@pytest.mark.parametrize("name", MODELS)
def test_a_number_is_the_sum_of_its_patch(page, models, images, name):
    found = page.evaluate(PATCHES, [name, text_of(images[3], "u1"), 5])
    for operation, sum_, own, computed, value, shown, inside in found:
        if operation == "log_softmax":
            continue
        assert inside
        assert sum_ == pytest.approx(own, abs=1e-5)
        assert value == shown
        assert computed == pytest.approx(shown, abs=1e-4)


EVIDENCE = """([name, image, klass]) => {
  const network = networks[name], pixels = bytesOf(image);
  return [textOf(evidence(network, pixels, klass)), logOdds(network.runQuick(pixels), klass)];
}"""


@pytest.mark.parametrize("name", MODELS)
def test_evidence_is_what_covered_squares_take_away(page, models, images, name):
    """Of one image, computed a second time with the engine."""
    image, model = images[0], models[name]

    def odds(pictures):
        logits = model.logits(pictures).astype(np.float64)
        return logits[:, 3] - np.log(np.exp(np.delete(logits, 3, 1)).sum(1))

    corners = [(y, x) for y in range(-1, 28, 2) for x in range(-1, 28, 2)]
    places = [np.s_[max(y, 0) : y + 3, max(x, 0) : x + 3] for y, x in corners]
    covered = np.stack([image] * len(places))
    for picture, place in zip(covered, places, strict=True):
        picture[place] = 0
    expected, times = np.zeros((28, 28)), np.zeros((28, 28))
    for place, fall in zip(places, odds(image[None]) - odds(covered), strict=True):
        ink = image[place] / max(1, image[place].sum(dtype=int))
        expected[place] += fall * ink
        times[place] += 1
    found = array_of(page.evaluate(EVIDENCE, [name, text_of(image, "u1"), 3])[0])
    np.testing.assert_allclose(found.reshape(28, 28), expected / times, atol=1e-4)


def without(image, evidence, sign):
    """Return an image without the fifth of its ink that speaks most for a class, or against it."""
    inked = np.flatnonzero(image.ravel() > 0)
    order = inked[np.argsort(-sign * evidence[inked])]
    changed = image.copy().ravel()
    changed[order[: len(inked) // 5]] = 0
    return changed


@pytest.mark.parametrize("name", MODELS)
def test_ink_that_speaks_for_a_class_carries_it(page, models, images, name):
    labels = load_mnist().validation.labels
    falls, rises = [], []
    for image, label in zip(images[:6], labels[:6], strict=True):
        found, odds = page.evaluate(EVIDENCE, [name, text_of(image, "u1"), int(label)])
        for changes, sign in ((falls, 1), (rises, -1)):
            other = text_of(without(image, array_of(found), sign), "u1")
            changes.append(page.evaluate(EVIDENCE, [name, other, int(label)])[1] - odds)
    assert np.mean(np.array(falls) < 0) > 0.9
    assert np.mean(np.array(rises) > np.array(falls)) > 0.9


def test_epochs_of_a_film_have_weights_of_their_own(page, models, images):
    image = text_of(images[0], "u1")
    first, last = models["minimal"], load("minimal-plus")
    names = first.recipe.architecture.tensors()
    assert last.recipe.architecture == first.recipe.architecture
    weights = [np.concatenate([each.weights[name].ravel() for name in names]) for each in (first, last)]
    graph = first.recipe.architecture.graph.to_list()
    tensors = [[name, list(shape)] for name, shape in names.items()]
    make = """([graph, tensors, last, film, image]) => {
      const description = { name: "film", graph, tensors, film: { epochs: [2, 5] } };
      const network = new Network(description, floatsOf(last), film.map(floatsOf));
      const runs = [[2], [5], []].map((epoch) => [
        network.run(bytesOf(image), ...epoch).logits, network.runQuick(bytesOf(image), ...epoch)]);
      return runs.flat().map(textOf);
    }"""
    texts = [text_of(each) for each in weights]
    found = page.evaluate(make, [graph, tensors, texts[1], [texts[0], texts[1]], image])
    expected = [each.logits(images[:1])[0] for each in (first, first, last, last, last, last)]
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(array_of(own), other, atol=1e-4, rtol=0)


def test_no_script_uses_a_name_of_another():
    """All share one scope, in which a second function would silently replace the first."""
    scripts = [(PAGE / name).read_text() for name in (PAGE / "order.txt").read_text().split()]
    declared = r"^(?:async )?(?:function|class|const|let) +(\w+)"
    names = [name for text in scripts for name in re.findall(declared, text, re.MULTILINE)]
    assert len(names) > 200
    assert [name for name, times in Counter(names).items() if times > 1] == []
