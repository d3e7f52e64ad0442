"""The values that say where and on what to train."""

import pickle
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

import under20k
from under20k.engine.base import Compute
from under20k.runs.places import Places


def test_places_are_paths_whatever_they_are_given_as(tmp_path):
    assert (Places().runs, Places().benches, Places().data) == (Path("runs"), Path("benches"), None)
    places = Places(str(tmp_path), benches="b", data="d")
    assert (places.runs, places.benches, places.data) == (tmp_path, Path("b"), Path("d"))
    assert replace(places, data=None) == Places(tmp_path, "b")
    assert hash(places) == hash(Places(tmp_path, Path("b"), Path("d")))
    with pytest.raises(FrozenInstanceError):
        places.runs = Path()  # type: ignore[misc]


@pytest.mark.parametrize("value", [Places("a", "b", "c"), Compute("native", "cpu", "fp32", 2)])
def test_they_travel_to_workers(value):
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301


@pytest.mark.parametrize(
    "given",
    [{"engine": "Native"}, {"device": "gpu"}, {"precision": "fp16"}, {"threads": 0}, {"threads": 1.5}],
)
def test_impossible_values_are_refused_on_construction(given):
    (name,) = given
    with pytest.raises(under20k.UserError, match=name):
        under20k.Compute(**given)


def test_they_are_part_of_the_public_face():
    assert under20k.Compute is Compute
    assert under20k.Places is Places
