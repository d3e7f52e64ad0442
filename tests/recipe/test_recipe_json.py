"""Recipes as JSON: the same recipe back, and nothing but InvalidValue for anything else."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import ROOT
from tests.support.strategies import recipes
from under20k.errors import InvalidValue
from under20k.files import read_json
from under20k.recipe.named import MINIMAL, RECIPES, REGULARIZED
from under20k.recipe.recipe import Recipe


@given(recipes())
def test_round_trip(recipe):
    again = Recipe.from_json(recipe.to_json())
    assert again == recipe
    assert again.to_json() == recipe.to_json()


def test_the_text_is_what_a_person_would_write():
    data = json.loads(REGULARIZED.to_json())
    assert data["name"] == "regularized"
    assert data["architecture"] == "8,14pd0.05,16,20pd0.05,24v,28v|3v"
    assert data["schedule"]["step_epochs"] == 6
    assert data["augmentation"]["rotation_deg"] == 5.0
    # It has neither.
    assert set(data) == {*Recipe.__dataclass_fields__} - {"distillation", "drawn_share"}


def test_settings_from_after_the_first_records_are_omitted_at_their_default():
    later = {"stroke_px": 1.5, "low_resolution": 0.3, "bitmap": 0.2, "drawn_share": 0.25}
    assert not any(name in REGULARIZED.to_json() for name in later)
    for name, value in later.items():
        changed = REGULARIZED.with_changes(**{name: value})
        data = changed.to_dict()
        part = data if name == "drawn_share" else data["augmentation"]
        assert part[name] == value
        assert Recipe.from_dict(data) == changed
        del part[name]
        assert Recipe.from_dict({**data, "name": "regularized"}) == REGULARIZED


def test_the_recipes_of_records_keep_their_text():
    paths = list((ROOT / "records").glob("*/*/record.json"))
    assert paths
    for path in paths:
        values = read_json(path)["recipe"]
        assert Recipe.from_dict(values).to_json() == json.dumps(values, indent=2) + "\n"


TAUGHT = MINIMAL.with_changes(teacher=REGULARIZED, teachers=3, temperature=4, teacher_share=0.5)


def test_json_contains_the_whole_teacher():
    data = json.loads(TAUGHT.to_json())
    assert data["distillation"] == {
        "teacher": json.loads(REGULARIZED.to_json()),
        "teachers": 3,
        "temperature": 4.0,
        "teacher_share": 0.5,
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
PLACES = [
    (name,) if not isinstance(value, dict) else (name, key)
    for name, value in MINIMAL.to_dict().items()
    for key in (value if isinstance(value, dict) else [None])
]


@given(st.sampled_from([*PLACES, ("schedule",), ("augmentation",), ("other",)]), JSON)
def test_any_field_value_gives_a_recipe_or_invalid_value(place, value):
    data: dict[str, Any] = json.loads(MINIMAL.to_json())
    owner = data
    for name in place[:-1]:
        owner = owner[name]
    owner[place[-1]] = value
    text = json.dumps(data)
    try:
        recipe = Recipe.from_json(text)
    except InvalidValue:
        return
    assert Recipe.from_json(recipe.to_json()) == recipe


@given(st.integers(0, len(MINIMAL.to_json()) - 3), st.integers(1, 40), st.text(max_size=3))
def test_damaged_text_gives_a_recipe_or_invalid_value(start, length, instead):
    text = MINIMAL.to_json()
    try:
        recipe = Recipe.from_json(text[:start] + instead + text[start + length :])
    except InvalidValue:
        return
    assert isinstance(recipe, Recipe)


@given(st.integers(0, len(MINIMAL.to_json()) - 2))
def test_cut_text_is_invalid(length):
    with pytest.raises(InvalidValue):
        Recipe.from_json(MINIMAL.to_json()[:length])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("1" * 5000, "not JSON"),
        ("\ufeff{}", "'name' is missing"),
        ("null", "recipe: null; expected an object with fields"),
        ("[1]", "recipe: a list; expected an object with fields"),
        ("{}", "'name' is missing"),
        ('{"name": "x", "architecture": "8|3"}', "'schedule' is missing"),
        (MINIMAL.to_json().replace(f'"{MINIMAL.architecture}"', "8"), "architecture: 8; expected a text"),
        (MINIMAL.to_json().replace('"epochs"', '"epoch"'), "unknown field 'epoch'; did you mean 'epochs'?"),
        (MINIMAL.to_json().replace('"name": "minimal",', ""), "the field 'name' is missing"),
        (MINIMAL.to_json().replace('"epochs": 8', '"epochs": 8.5'), "epochs: 8.5"),
        (
            MINIMAL.to_json().replace('"momentum": 0.9', '"momentum": NaN'),
            "it holds NaN, which is not a number in JSON",
        ),
        (MINIMAL.to_json().replace('"momentum": 0.9', f'"momentum": {"9" * 400}'), "momentum: 999"),
        (MINIMAL.to_json().replace('"momentum": 0.9', f'"momentum": {"9" * 5000}'), "not JSON"),
        (
            json.dumps(json.loads(MINIMAL.to_json()) | {"schedule": []}),
            "schedule: a list; exp",
        ),
        (
            MINIMAL.to_json().replace('"schedule": {', '"schedule": {"peak": 1, '),
            "schedule: unknown field 'p",
        ),
        (TAUGHT.to_json().replace('"teachers": 3', '"teachers": 17'), "teachers: 17"),
        (TAUGHT.to_json().replace('"teachers": 3', '"pupils": 3'), "pupils"),
        (TAUGHT.to_json().replace('"temperature": 4.0', '"temperature": 0'), "temperature: 0"),
        (TAUGHT.to_json().replace('"distillation": {', '"distillation": null, "x": {'), "unknown field 'x'"),
        (
            TAUGHT.to_json().replace('"distillation": {', '"distillation": {"distillation": 1, '),
            "distillation",
        ),
        (
            TAUGHT.to_json().replace('"teacher": {', '"teacher": {"distillation": {}, '),
            "teacher: has teachers of its own",
        ),
        (
            json.dumps(json.loads(TAUGHT.to_json()) | {"distillation": {"teachers": 7}}),
            "'teacher' is missing",
        ),
        (TAUGHT.to_json().replace('"teacher": {', '"teachers": 7, "teacher": {'), "'teachers' twice"),
    ],
)
def test_invalid(text, words):
    with pytest.raises(InvalidValue) as refusal:
        Recipe.from_json(text)
    assert words in str(refusal.value)
    assert not PYTHONS_NAMES.search(str(refusal.value))


PYTHONS_NAMES = re.compile(r"__\w+__|\w+Error|NoneType|argument|mapping|utf-8-sig|sys\.|recursion")


@given(recipes())
def test_derived_values_are_accepted(recipe):
    data = json.loads(json.dumps({**recipe.to_dict(), **recipe.derived()}))
    assert Recipe.from_dict(data) == recipe


@pytest.mark.parametrize("name", ["parameters", "macs", "receptive_field", "layers"])
def test_derived_values_that_contradict_the_architecture_are_refused(name):
    data = {**REGULARIZED.to_dict(), name: MINIMAL.derived()[name] if name != "receptive_field" else 3}
    with pytest.raises(InvalidValue, match=rf"^{name}: .* the architecture 8,14pd0"):
        Recipe.from_dict(data)


def test_equal_recipes_give_equal_text():
    changed = MINIMAL.with_changes(learning_rate=1)
    whole = Recipe.from_json(MINIMAL.to_json().replace('"learning_rate": 0.1', '"learning_rate": 1'))
    assert whole.flat() == changed.flat()
    assert len({recipe.to_json() for recipe in RECIPES.values()}) == len(RECIPES)
