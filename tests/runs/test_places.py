"""The values that say where and on what to train."""

import pickle
import re
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


@pytest.mark.parametrize(
    ("verb", "arguments", "given", "words"),
    [
        ("train", [3], {}, "model: 3; expected a Recipe"),
        ("train", ["minimal"], {"name": 3}, "name: 3"),
        ("train", ["minimal"], {"existing": "overwrite"}, "existing: 'overwrite'; expected one of refuse"),
        ("train", ["minimal"], {"compute": "native"}, "compute: 'native'; expected a Compute"),
        ("train", ["minimal"], {"places": "runs"}, "places: 'runs'; expected a Places"),
        ("bench", [None, [0]], {}, "model: None; expected a Recipe"),
        ("bench", ["minimal", 3], {}, "seeds: 3; expected a sequence"),
        ("bench", ["minimal", [0]], {"versus": 3}, "versus: 3; expected a Recipe"),
        ("bench", ["minimal", [0]], {"existing": "refuse"}, "existing: 'refuse'; expected one of resume"),
        ("bench", ["minimal", [0]], {"compute": {}}, "compute: {}; expected a Compute"),
        ("bench", ["minimal", [0]], {"places": {}}, "places: {}; expected a Places"),
        ("reproduce", ["2"], {}, "seeds: '2'; expected a sequence of seeds"),
        ("reproduce", [0], {}, "seeds: 0; expected a sequence of seeds"),
        ("reproduce", [[0]], {"existing": "refuse"}, "existing: 'refuse'"),
        ("reproduce", [[0]], {"compute": 3}, "compute: 3"),
        ("evaluate", [3], {}, "run: 3; expected a Run"),
        ("evaluate", ["run", "train"], {}, "split: 'train'; expected one of validation, test"),
        ("evaluate", ["run"], {"compute": "torch"}, "compute: 'torch'"),
        ("compare", ["runs"], {}, "paths: 'runs'; expected a list of folders"),
        ("compare", [[3]], {}, "paths: 3; expected a list of folders"),
        ("check", [3], {}, "target: 3; expected a recipe"),
        ("check", ["minimal", None], {}, "profile: None; expected the name of a profile"),
        ("Compute", ["auto", None], {}, "device: None; expected one of auto"),
    ],
)
def test_a_wrong_argument_is_a_user_error(tmp_path, monkeypatch, verb, arguments, given, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(under20k.UserError, match=f"^{re.escape(words)}") as error:
        getattr(under20k, verb)(*arguments, **given)
    assert "\n" not in str(error.value)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("option", "argument"),
    [("engine", "Compute(engine"), ("data_dir", "Places(data"), ("resume", 'existing="resume"')],
)
@pytest.mark.parametrize("function", [under20k.train, under20k.bench])
def test_an_option_of_the_command_line_names_its_argument_in_python(function, option, argument):
    with pytest.raises(under20k.UserError, match=re.escape(argument)):
        function("minimal", **{option: "x"})
