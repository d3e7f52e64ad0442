"""Recipes: what the named ones say, what is refused, how changes are named."""

import dataclasses
import math
import re

import pytest

from under20k.errors import InvalidValue, UserError
from under20k.recipe.named import MINIMAL, RECIPES, REGULARIZED, REGULARIZED_PLUS, ROBUST, named
from under20k.recipe.recipe import Augmentation, Distillation, Recipe, Schedule, settings

SHARED = {
    "batch_size": 128,
    "learning_rate": 0.1,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 1e-4,
    "decay_all": True,
    "label_smoothing": 0.0,
    "average_decay": 0.0,
    "schedule": "step",
    "step_epochs": 6,
    "step_factor": 0.1,
    "translation_px": 0.0,
    "scale": 0.0,
    "shear": 0.0,
    "interpolation": "nearest",
}


@pytest.mark.parametrize(
    ("recipe", "own"),
    [
        (
            REGULARIZED,
            {"architecture": "8,14pd0.05,16,20pd0.05,24v,28v|3v", "epochs": 12, "rotation_deg": 5.0},
        ),
        (MINIMAL, {"architecture": "8,12p,14,16p,20v,24v|3v", "epochs": 8, "rotation_deg": 0.0}),
    ],
)
def test_recipes_of_the_assignment(recipe, own):
    flat = recipe.flat()
    assert {name: flat[name] for name in SHARED} == SHARED
    assert {name: flat[name] for name in own} == own
    # Bias on every convolution, BatchNorm and ReLU on all but the last, as the parameter counts require.
    assert all(block.bias and block.batch_norm for block in recipe.architecture.blocks)
    assert recipe.architecture.head.bias


@pytest.mark.parametrize("recipe", [REGULARIZED, MINIMAL])
def test_learning_rates_of_the_assignment(recipe):
    rates = [recipe.learning_rate_at(391 * epoch, 391) for epoch in range(recipe.epochs)]
    assert rates[:6] == [0.1] * 6
    assert rates[6:] == pytest.approx([0.01] * (recipe.epochs - 6), rel=1e-15)


@pytest.mark.parametrize(
    ("name", "base", "weight_decay", "augmentation"),
    [
        ("regularized-plus", REGULARIZED, 5e-4, (10.0, 2.0, 0.1, 0.1, "bilinear", 1.0, 2, 0.5)),
        ("minimal-plus", MINIMAL, 1e-3, (0.0, 0.0, 0.0, 0.0, "nearest", 0.0, 0, 0.5)),
        ("minimal-augmented", MINIMAL, 5e-4, (10.0, 2.0, 0.1, 0.1, "bilinear", 1.0, 1, 0.5)),
    ],
)
def test_plus_recipes_keep_architecture_epochs_and_batches(name, base, weight_decay, augmentation):
    recipe = RECIPES[name]
    own = {
        "learning_rate": 0.2,
        "nesterov": True,
        "weight_decay": weight_decay,
        "decay_all": False,
        "label_smoothing": 0.1,
        "schedule": "one-cycle",
        **dict(
            zip(
                (
                    *("rotation_deg", "translation_px", "scale", "shear"),
                    *("interpolation", "elastic_px", "fade_epochs", "fade_strength"),
                ),
                augmentation,
                strict=True,
            )
        ),
    }
    assert recipe.flat() == base.flat() | own
    assert recipe.architecture == base.architecture
    total = 391 * recipe.epochs
    assert recipe.learning_rate_at(0, 391) == pytest.approx(0.02)
    assert recipe.learning_rate_at(total // 4, 391) == pytest.approx(0.2, rel=1e-2)
    assert 0 < recipe.learning_rate_at(total - 1, 391) < 1e-3


def test_robust_is_regularized_plus_with_more_to_learn_from():
    own = ROBUST.differences(REGULARIZED_PLUS)
    assert set(own) <= {
        *("epochs", "drawn_share", "stroke_px", "low_resolution", "bitmap", "fade_epochs", "fade_strength")
    }
    assert own["drawn_share"] > 0
    assert ROBUST.architecture.parameters < 20_000
    assert ROBUST.epochs < 20


def test_named():
    assert named("minimal") is MINIMAL
    assert {"minimal", "regularized"} <= set(RECIPES)
    with pytest.raises(UserError, match="no recipe 'minimall'; did you mean 'minimal'"):
        named("minimall")


def with_setting(name: str, value: object) -> object:
    owner = settings()[name].owner
    if owner is Distillation:
        return Distillation(MINIMAL, **{name: value})
    return dataclasses.replace(MINIMAL, **{name: value}) if owner is Recipe else owner(**{name: value})


REFUSED = [
    ("epochs", 0, "a whole number from 1 to 1000"),
    ("epochs", 1001, "a whole number from 1 to 1000"),
    ("epochs", 8.0, "a whole number from 1 to 1000"),
    ("epochs", True, "a whole number from 1 to 1000"),
    ("epochs", "8", "a whole number from 1 to 1000"),
    ("epochs", None, "a whole number from 1 to 1000"),
    ("batch_size", 0, "a whole number from 1 to 50000"),
    ("batch_size", 50_001, "a whole number from 1 to 50000"),
    ("learning_rate", -0.1, "a number from 0 to 100"),
    ("learning_rate", math.nan, "a number from 0 to 100"),
    ("learning_rate", math.inf, "a number from 0 to 100"),
    ("learning_rate", True, "a number from 0 to 100"),
    ("learning_rate", "0.1", "a number from 0 to 100"),
    ("learning_rate", [0.1], "a number from 0 to 100"),
    ("learning_rate", 10**30, "a number from 0 to 100"),
    ("momentum", 1, "a number from 0 up to, but not including, 1"),
    ("momentum", 1.0, "a number from 0 up to, but not including, 1"),
    ("nesterov", 1, "true or false"),
    ("nesterov", "true", "true or false"),
    ("weight_decay", 1.1, "a number from 0 to 1"),
    ("decay_all", 0, "true or false"),
    ("label_smoothing", 1.0, "a number from 0 up to, but not including, 1"),
    ("average_decay", -1e-9, "a number from 0 up to, but not including, 1"),
    ("drawn_share", 1.0, "a number from 0 up to, but not including, 1"),
    ("schedule", "cosine", "one of constant, step, one-cycle"),
    ("schedule", 1, "one of constant, step, one-cycle"),
    ("schedule", ["step"], "one of constant, step, one-cycle"),
    ("step_epochs", 0, "a whole number from 1 to 1000"),
    ("step_factor", 1.5, "a number from 0 to 1"),
    ("warmup_fraction", -0.1, "a number from 0 to 1"),
    ("start_fraction", 2, "a number from 0 to 1"),
    ("end_fraction", -math.inf, "a number from 0 to 1"),
    ("rotation_deg", 181, "a number from 0 to 180"),
    ("translation_px", 29, "a number from 0 to 28"),
    ("scale", 1, "a number from 0 to 0.9"),
    ("shear", 2.5, "a number from 0 to 2"),
    ("elastic_px", 29, "a number from 0 to 28"),
    ("stroke_px", 4.5, "a number from 0 to 4"),
    ("low_resolution", 1.5, "a number from 0 to 1"),
    ("bitmap", -0.1, "a number from 0 to 1"),
    ("fade_epochs", -1, "a whole number from 0 to 1000"),
    ("fade_strength", 1.5, "a number from 0 to 1"),
    ("interpolation", "bicubic", "one of nearest, bilinear"),
    ("teachers", 0, "a whole number from 1 to 16"),
    ("teachers", 17, "a whole number from 1 to 16"),
    ("temperature", 0, "a number from 0.1 to 100"),
    ("teacher_share", 1.1, "a number from 0 to 1"),
]


@pytest.mark.parametrize(("name", "value", "expected"), REFUSED)
def test_refusals_name_field_value_and_what_was_expected(name, value, expected):
    with pytest.raises(InvalidValue) as refusal:
        with_setting(name, value)
    assert str(refusal.value) == f"{name}: {value!r}; expected {expected}"


def test_every_setting_is_refused_somewhere_and_described():
    assert {name for name, _, _ in REFUSED} == set(settings())
    assert all(item.help for item in settings().values())


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 1), ("batch_size", 50_000), ("learning_rate", 100), ("momentum", 0), ("shear", 2)],
)
def test_the_ends_of_a_range_are_allowed_and_whole_numbers_become_floats(name, value):
    kept = getattr(with_setting(name, value), name)
    assert kept == value
    assert type(kept) is settings()[name].kind


def test_other_refusals():
    with pytest.raises(InvalidValue, match="name: ''"):
        dataclasses.replace(MINIMAL, name="")
    with pytest.raises(InvalidValue, match="name: 3"):
        dataclasses.replace(MINIMAL, name=3)
    with pytest.raises(InvalidValue, match=r"architecture: '8\|3' is not of type Architecture"):
        dataclasses.replace(MINIMAL, architecture="8|3")
    words = r"nesterov: True; it needs a momentum above 0, not 0\.0"
    with pytest.raises(InvalidValue, match=words):
        dataclasses.replace(MINIMAL, nesterov=True, momentum=0)


def test_changes_are_named_in_the_order_of_the_settings():
    changed = MINIMAL.with_changes(rotation_deg=5, learning_rate=0.2, schedule="one-cycle")
    assert changed.name == "minimal+learning_rate=0.2+schedule=one-cycle+rotation_deg=5.0"
    assert changed.learning_rate == 0.2
    assert changed.schedule == Schedule("one-cycle", step_epochs=6, step_factor=0.1)
    assert changed.augmentation == Augmentation(rotation_deg=5.0)
    assert changed.architecture == MINIMAL.architecture
    assert MINIMAL.learning_rate == 0.1


def test_changes_of_architecture_are_named():
    assert MINIMAL.with_changes(architecture="8|3v").name == "minimal+architecture=8|3v"


def test_changes_that_change_nothing_leave_the_recipe():
    assert MINIMAL.with_changes(epochs=8, momentum=0.9, rotation_deg=0) is MINIMAL
    assert MINIMAL.with_changes() is MINIMAL


def test_unknown_settings_get_a_suggestion():
    with pytest.raises(InvalidValue, match="no setting 'learning_rat'; did you mean 'learning_rate'"):
        MINIMAL.with_changes(learning_rat=0.2)
    with pytest.raises(InvalidValue, match="no setting 'name'"):
        MINIMAL.with_changes(name="other")
    with pytest.raises(InvalidValue, match="momentum: 1"):
        MINIMAL.with_changes(momentum=1)


def test_differences():
    differences = REGULARIZED.differences(MINIMAL)
    assert differences == {
        "architecture": "8,14pd0.05,16,20pd0.05,24v,28v|3v",
        "epochs": 12,
        "rotation_deg": 5.0,
    }


def test_changes_add_and_remove_teachers():
    taught = MINIMAL.with_changes(teacher=REGULARIZED, temperature=4)
    assert taught.distillation == Distillation(REGULARIZED, 2, 4.0, 0.9)
    assert taught.name == "minimal+teacher=regularized+teachers=2+temperature=4.0+teacher_share=0.9"
    assert taught.with_changes(teachers=3).distillation == Distillation(REGULARIZED, 3, 4.0, 0.9)
    assert taught.with_changes(teacher=MINIMAL).distillation == Distillation(MINIMAL, 2, 4.0, 0.9)
    untaught = taught.with_changes(teacher=None)
    assert untaught.name == f"{taught.name}+teacher=None"
    assert dataclasses.replace(untaught, name="minimal") == MINIMAL
    assert MINIMAL.with_changes(teacher=None) is MINIMAL


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"temperature": 4}, "temperature: 4; this needs a teacher: name a recipe with --teacher"),
        ({"teacher": "minimal"}, "teacher: 'minimal' is not a Recipe"),
        (
            {"teacher": MINIMAL.with_changes(teacher=MINIMAL)},
            "has teachers of its own",
        ),
    ],
)
def test_invalid_distillation_is_refused(changes, words):
    with pytest.raises(InvalidValue, match=re.escape(words)):
        MINIMAL.with_changes(**changes)
    with pytest.raises(InvalidValue, match="distillation: 2 is not a Distillation"):
        dataclasses.replace(MINIMAL, distillation=2)


def test_no_two_trainings_have_a_teacher_in_common():
    teaching = Distillation(REGULARIZED, 3)
    seeds = [number for seed in range(50) for number in teaching.seeds(seed)]
    assert seeds == [*range(10**9, 10**9 + 150)]
    last = teaching.seeds(333_333_332)
    assert last[-1] < 2**32
    with pytest.raises(InvalidValue, match=r"seed: 333333333; with 3 teachers, expected .* 333333332"):
        teaching.seeds(333_333_333)


def test_teachers_of_the_same_name_may_differ():
    other = dataclasses.replace(REGULARIZED, label_smoothing=0.1)
    taught = MINIMAL.with_changes(teacher=REGULARIZED)
    changed = taught.with_changes(teacher=other)
    assert changed.distillation == Distillation(other)
    assert changed.name == f"{taught.name}+teacher=regularized"
    assert changed.differences(taught) == {"teacher": "regularized"}
    assert taught.with_changes(teacher=REGULARIZED) is taught
