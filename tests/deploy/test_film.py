"""Films: of runs with snapshots, and of the package."""

import json
import shutil

import numpy as np
import pytest

from tests.support.own_graphs import GRAPHS, own_model
from tests.support.run_folders import metrics
from under20k.deploy import card as cards
from under20k.deploy import film as films
from under20k.deploy.film import film_bytes, film_of_run, film_path, pretrained_film
from under20k.deploy.model import Model
from under20k.errors import UserError
from under20k.recipe.weights import initial_weights
from under20k.runs.own_start import OwnStart
from under20k.runs.run import Run


@pytest.fixture
def filmed(tmp_path):
    """A finished run of three epochs with snapshots, the weights of each drawn from another seed."""
    from tests.support.run_folders import SMALL

    run = Run.create(tmp_path / "run", SMALL, 0, {})
    for epoch in (1, 2, 3):
        run.save_snapshot(epoch, initial_weights(SMALL.architecture, epoch))
        run.save_epoch(initial_weights(SMALL.architecture, epoch), metrics(epoch))
    run.save_model(initial_weights(SMALL.architecture, 3), metrics(3))
    return run


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_the_film_of_a_run(filmed):
    film = film_of_run(filmed)
    assert film.epochs == (0, 1, 2, 3)
    assert film.validation_accuracies == (None, 0.98, 0.98, 0.98)
    for epoch, weights in zip(film.epochs, film.weights, strict=True):
        assert same(weights, initial_weights(filmed.recipe.architecture, epoch))


def test_the_film_ends_with_the_model_where_snapshots_lack(filmed):
    for epoch in (1, 3):
        (filmed.path / "snapshots" / f"epoch-0{epoch}.safetensors").unlink()
    film = film_of_run(filmed)
    assert film.epochs == (0, 2, 3)
    assert same(film.weights[-1], filmed.weights())
    shutil.rmtree(filmed.path / "snapshots")
    assert film_of_run(filmed) is None


def test_the_package_has_one_of_minimal(mnist):
    card = cards.card("minimal")
    film = pretrained_film(card)
    assert film.epochs == tuple(range(9))
    assert same(film.weights[-1], card.weights())
    assert same(film.weights[0], initial_weights(card.recipe.architecture, card.seed))
    for accuracy, weights in zip(film.validation_accuracies, film.weights, strict=True):
        digits = Model("film", card.recipe, weights).predict(mnist.validation.images)
        assert (digits == mnist.validation.labels).mean() == pytest.approx(accuracy, abs=5e-4)
    assert pretrained_film(cards.card("regularized")) is None
    assert film_path("minimal").stat().st_size < 210_000


def test_a_film_comes_back_from_its_file(filmed, tmp_path, monkeypatch):
    film = film_of_run(filmed)
    card = cards.card("minimal")
    other = films.Card(**{**card.__dict__, "name": "own", "recipe": filmed.recipe, "seed": 0})
    monkeypatch.setattr(films, "FOLDER", tmp_path)
    monkeypatch.setattr(films.Card, "weights", lambda _: film.weights[-1])
    film_path("own").parent.mkdir()
    film_path("own").write_bytes(film_bytes(film, filmed.recipe, 0))
    found = pretrained_film(other)
    assert (found.epochs, found.validation_accuracies) == (film.epochs, film.validation_accuracies)
    assert same(found.weights[-1], film.weights[-1])
    for ours, theirs in zip(found.weights[:-1], film.weights[:-1], strict=True):
        for name in theirs:
            assert ours[name].dtype == np.float32
            np.testing.assert_allclose(ours[name], theirs[name], rtol=2**-11, atol=2**-25)
    film_path("minimal").write_bytes(film_bytes(film, filmed.recipe, 0))
    with pytest.raises(UserError, match="is not the film of the pretrained minimal"):
        pretrained_film(card)


def test_a_film_of_other_epochs_than_its_weights_is_damaged(filmed, tmp_path, monkeypatch):
    film = film_of_run(filmed)
    card = cards.card("minimal")
    other = films.Card(**{**card.__dict__, "name": "own", "recipe": filmed.recipe, "seed": 0})
    monkeypatch.setattr(films, "FOLDER", tmp_path)
    film_path("own").parent.mkdir()
    longer = films.Film((*film.epochs, 4), film.validation_accuracies, film.weights)
    film_path("own").write_bytes(film_bytes(longer, filmed.recipe, 0))
    assert len(json.loads(json.dumps(longer.epochs))) == 5
    with pytest.raises(UserError, match=r"own\.safetensors is damaged"):
        pretrained_film(other)


@pytest.mark.parametrize("kept", [True, False])
def test_a_model_of_the_users_begins_with_its_own_weights(tmp_path, kept):
    """Where its run keeps them."""
    model = own_model(GRAPHS["chain"])
    run = Run.create(tmp_path / "run", model.recipe.with_changes(epochs=2), 0, {})
    initial = {name: value / 2 for name, value in model.weights.items()}
    if kept:
        OwnStart(initial).write(run.path)
    run.save_snapshot(1, model.weights)
    run.save_epoch(model.weights, metrics(2))
    run.save_model(model.weights, metrics(2))
    film = film_of_run(run)
    assert film.epochs == ((0, 1, 2) if kept else (1, 2))
    assert same(film.weights[0], initial if kept else model.weights)
