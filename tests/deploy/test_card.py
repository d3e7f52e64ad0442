"""The pretrained models are what their cards say, and what training gives."""

import dataclasses
import json
import shutil

import pytest

from tools import pretrained
from under20k.deploy import card as cards
from under20k.deploy.calibration import calibration_error, fit_temperature, softmax
from under20k.deploy.model import Model, load
from under20k.errors import UserError
from under20k.recipe.named import RECIPES
from under20k.runs.bench.significance import prediction_interval
from under20k.runs.places import Places
from under20k.runs.provenance import identity
from under20k.runs.records.arithmetic import as_recorded
from under20k.runs.records.kept_model import weights_sha256
from under20k.runs.records.rerun import CONFIDENCE
from under20k.runs.train import train

FEW_KB = 100_000


def test_cards_weights_records_and_benches_agree(capsys):
    assert pretrained.main(["--check"]) == 0, capsys.readouterr().out


def test_every_named_recipe_and_every_best_record_has_a_model():
    known = [name for name in RECIPES if name != "robust" or pretrained.bench_of(RECIPES[name])]
    assert list(cards.cards()) == [*known, "four-epochs", "shared-weights"]
    assert sorted(cards.cards()) == cards.names()


def test_weights_are_small():
    for path in cards.FOLDER.glob("*.safetensors"):
        assert path.stat().st_size < FEW_KB


@pytest.fixture
def changed(tmp_path, monkeypatch):
    """The check of a copy of the folder, in which one entry of a card is another."""
    folder = tmp_path / "pretrained"
    shutil.copytree(cards.FOLDER, folder)
    for module in (cards, pretrained):
        monkeypatch.setattr(module, "FOLDER", folder)
    cards.cards.cache_clear()
    yield folder
    cards.cards.cache_clear()


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("validation_accuracy", 0.9999),
        ("test_accuracy", 0.9999),
        ("weights_sha256", "0" * 64),
        ("record", "records/small/none"),
        ("validation", {"n": 20, "mean": 0.9999, "sd": 0.0001}),
    ],
)
def test_the_check_finds_a_changed_card(changed, capsys, entry, value):
    path = changed / "regularized.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), entry: value}), "utf-8")
    assert pretrained.main(["--check"]) == 1
    assert f"regularized: {entry} is" in capsys.readouterr().out


def test_the_check_finds_a_missing_and_an_unexpected_model(changed, capsys):
    for suffix in (".json", ".safetensors"):
        (changed / f"minimal{suffix}").rename(changed / f"other{suffix}")
    assert pretrained.main(["--check"]) == 1
    out = capsys.readouterr().out
    assert "minimal.json" in out
    assert "other.safetensors" in out


def test_what_cannot_be_calibrated_here_is_kept_for_the_same_weights(changed):
    card = cards.card("minimal")
    before = dataclasses.replace(
        card,
        temperature=0.7,
        threshold=0.6,
        calibration=cards.Calibration(0.05, 0.004),
        refusal=cards.Refusal({"validation": 0.005}, {"letters": 0.2}),
    )
    (changed / "minimal.json").write_text(json.dumps(before.to_dict()), "utf-8")
    assert cards.Card.open(changed / "minimal.json") == before
    plain = dataclasses.replace(card, temperature=1.0, threshold=None, calibration=None, refusal=None)
    assert pretrained.calibrated(plain, card.weights(), {}) == before
    other = dataclasses.replace(plain, weights_sha256="0" * 64)
    assert pretrained.calibrated(other, card.weights(), {}) == other


def test_a_card_takes_what_is_measured(changed):
    card = cards.card("minimal")
    measures = {
        "calibration": lambda model: {"temperature": 0.5, "error_before": 0.1, "error_after": 0.01},
        "refusal": lambda model: {
            "threshold": 0.9,
            "refused": {"validation": 0.1},
            "accepted": {"letters": 0.3},
        },
    }
    found = pretrained.calibrated(card, card.weights(), measures)
    assert (found.temperature, found.threshold) == (0.5, 0.9)
    assert found.calibration == cards.Calibration(0.1, 0.01)
    assert found.refusal == cards.Refusal({"validation": 0.1}, {"letters": 0.3})


@pytest.mark.parametrize("name", cards.names())
def test_the_temperature_is_the_best_for_the_validation_images(mnist, name):
    card = cards.card(name)
    model = Model(name, card.recipe, card.weights())
    logits = model.logits(mnist.validation.images)
    assert card.temperature == pytest.approx(fit_temperature(logits, mnist.validation.labels), rel=0.01)
    assert card.calibration.error_after < 0.005
    assert calibration_error(softmax(logits), mnist.validation.labels) == pytest.approx(
        card.calibration.error_before, abs=1e-4
    )
    assert 0.1 < card.threshold < 1
    assert card.refusal.refused["validation"] < 0.02


def test_a_damaged_card_is_refused(changed):
    (changed / "minimal.json").write_text('{"format": 1}', "utf-8")
    with pytest.raises(UserError, match=r"minimal\.json is damaged: .* is missing"):
        cards.cards()


@pytest.mark.parametrize("name", ["minimal", "shared-weights"])
def test_the_accuracy_is_the_cards(mnist, name):
    model = load(name)
    correct = (model.predict(mnist.validation.images) == mnist.validation.labels).mean()
    assert correct == pytest.approx(
        model.card.validation_accuracy, abs=0.0002
    )  # another instruction set rounds


@pytest.mark.slow
@pytest.mark.parametrize("name", ["minimal", "minimal-augmented"])
def test_training_again_gives_the_weights(tmp_path, name):
    card = cards.card(name)
    with as_recorded(card.training) as arithmetic:
        run = train(card.recipe, card.seed, places=Places(tmp_path))
    here, there = identity(run.session), identity(card.training)
    if arithmetic.exact and here == there:
        assert weights_sha256(run.weights()) == card.weights_sha256
        assert run.metrics()[-1].validation_accuracy == card.validation_accuracy
    else:
        (source,) = (source for source in pretrained.sources() if source.name == name)
        low, high = prediction_interval(source.bench.statistics.summary.last, CONFIDENCE)
        assert low <= run.metrics()[-1].validation_accuracy <= high
