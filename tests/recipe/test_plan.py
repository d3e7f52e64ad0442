"""Order, learning rates and what depends on what, of an epoch's plan."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.strategies import recipes
from under20k.errors import InvalidValue, UserError
from under20k.recipe.named import MINIMAL, REGULARIZED
from under20k.recipe.plan import EpochPlan, epoch_plan

SEEDS = st.integers(0, 2**32 - 1)
WIDE = MINIMAL.with_changes(rotation_deg=20, translation_px=3, scale=0.2, shear=0.3, average_decay=0.9)


def same(first: EpochPlan, second: EpochPlan) -> bool:
    return all(np.array_equal(value, getattr(second, name)) for name, value in vars(first).items())


@settings(deadline=None)
@given(st.data(), recipes(), SEEDS, st.integers(2, 500))
def test_shapes_and_permutation(data, recipe, seed, images):
    epoch = data.draw(st.integers(1, recipe.epochs))
    batch_size = recipe.batch_size % 200 + 1
    recipe = recipe.with_changes(architecture="8|3v", batch_size=batch_size, drawn_share=0.0)
    plan = epoch_plan(recipe, seed, epoch, images)
    assert sorted(plan.order) == list(range(images))
    assert plan.steps == len(range(0, images, recipe.batch_size))
    assert (plan.epoch, plan.batch_size) == (epoch, recipe.batch_size)
    augmentation = recipe.augmentation.in_epoch(epoch, recipe.epochs)
    assert (plan.matrices is None) == (not augmentation.warps)
    assert (plan.filters is None) == (not augmentation.filters)
    assert plan.matrices is None or plan.matrices.shape == (images, 2, 3)
    assert plan.filters is None or plan.filters.shape == (images, 3)
    assert 0 <= plan.dropout_seed < 2**32
    assert same(plan, epoch_plan(recipe, seed, epoch, images))


@given(SEEDS, st.integers(1, 1000))
def test_the_order_is_the_first_stream_of_the_seed_and_epoch(seed, epoch):
    stream = np.random.SeedSequence([seed, epoch], spawn_key=(0,))
    expected = np.random.default_rng(stream).permutation(100)
    assert np.array_equal(epoch_plan(MINIMAL, seed, epoch, 100).order, expected)


@given(SEEDS, st.integers(1, 1000))
def test_order_and_dropout_are_the_same_under_any_augmentation(seed, epoch):
    plain, wide, small = (
        epoch_plan(recipe, seed, epoch, 300) for recipe in (MINIMAL, WIDE, MINIMAL.with_changes(batch_size=7))
    )
    assert np.array_equal(plain.order, wide.order)
    assert np.array_equal(plain.order, small.order)
    assert plain.dropout_seed == wide.dropout_seed == small.dropout_seed


@given(SEEDS, st.integers(1, 999))
def test_epochs_and_seeds_differ(seed, epoch):
    plan = epoch_plan(WIDE, seed, epoch, 300)
    for other in (epoch_plan(WIDE, seed, epoch + 1, 300), epoch_plan(WIDE, (seed + 1) % 2**32, epoch, 300)):
        # Of 300 images about one is at its old place by chance.
        assert (plan.order == other.order).sum() < 15
        assert (plan.matrices == other.matrices).all(axis=(1, 2)).sum() == 0
        assert plan.dropout_seed != other.dropout_seed


def test_every_image_reaches_every_position():
    """Over 2,000 epochs of 10 images each count is 200 ± 13: within six standard deviations."""
    counts = np.zeros((10, 10))
    for epoch in range(1, 2001):
        counts[np.arange(10), epoch_plan(MINIMAL, 0, epoch, 10).order] += 1
    assert np.abs(counts - 200).max() < 6 * np.sqrt(2000 * 0.1 * 0.9)


@given(st.floats(0, 0.99), st.integers(1, 200), st.integers(2, 2000), st.integers(1, 700), SEEDS)
def test_every_batch_has_its_fraction_of_drawn_digits(share, batch_size, images, drawn, seed):
    recipe = MINIMAL.with_changes(drawn_share=share, batch_size=batch_size)
    plan, plain = epoch_plan(recipe, seed, 1, images, drawn), epoch_plan(MINIMAL, seed, 1, images)
    of_bank = plan.order >= images
    assert np.array_equal(plan.order[~of_bank], plain.order[~of_bank])
    assert plan.order.max() < images + drawn
    assert of_bank.sum() == pytest.approx(share * images, abs=1)
    for first in range(0, images, batch_size):
        batch = of_bank[first : first + batch_size]
        assert batch.sum() == pytest.approx(share * len(batch), abs=1 + 1e-9)
        assert (np.diff(batch.astype(int)) >= 0).all()  # at its end
    times = np.bincount(plan.order[of_bank] - images, minlength=drawn)
    assert times.max() - times.min() <= 1


def test_drawn_digits_are_shuffled_and_change_no_other_draw():
    recipe = WIDE.with_changes(drawn_share=0.25, stroke_px=1)
    plans = [epoch_plan(recipe, 3, epoch, 4000, 2000) for epoch in (1, 2)]
    chosen = [plan.order[plan.order >= 4000] - 4000 for plan in plans]
    assert [len(numbers) for numbers in chosen] == [1000, 1000]
    assert (np.sort(chosen[0]) != chosen[0]).mean() > 0.9
    assert len(np.intersect1d(*chosen)) == pytest.approx(500, abs=100)
    without = epoch_plan(recipe.with_changes(drawn_share=0.0), 3, 1, 4000)
    assert all(
        np.array_equal(value, getattr(plans[0], name))
        for name, value in vars(without).items()
        if name != "order"
    )


def test_drawn_digits_are_needed_by_a_recipe_that_trains_on_them():
    with pytest.raises(ValueError, match="trains on drawn digits, but the plan has none"):
        epoch_plan(MINIMAL.with_changes(drawn_share=0.1), 0, 1, 100)


def test_learning_rates_of_the_assignment():
    plans = [epoch_plan(REGULARIZED, 0, epoch, 50_000) for epoch in (1, 6, 7, 12)]
    assert [plan.steps for plan in plans] == [391] * 4
    assert [set(plan.learning_rates) for plan in plans[:2]] == [{0.1}, {0.1}]
    assert [float(plan.learning_rates.max()) for plan in plans[2:]] == pytest.approx([0.01] * 2, rel=1e-15)


def test_one_cycle_spans_all_epochs():
    # 2 epochs of 2 steps, the last batch short; up from 0.1 over one step, down over three.
    recipe = MINIMAL.with_changes(schedule="one-cycle", epochs=2, batch_size=6, learning_rate=0.3)
    rates = [epoch_plan(recipe, 0, epoch, 10).learning_rates for epoch in (1, 2)]
    assert np.concatenate(rates) == pytest.approx([0.03, 0.3, 0.2, 0.1], rel=1e-12)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, True, "0", None])
def test_seeds_refused(seed):
    with pytest.raises(UserError, match=f"seed: {seed!r}; expected a whole number from 0 to 4294967295"):
        epoch_plan(MINIMAL, seed, 1, 10)


@pytest.mark.parametrize(("batch_size", "images"), [(1, 10), (3, 10), (9, 10), (128, 129), (10, 1)])
def test_batches_of_one_image_are_refused_where_batch_norm_needs_more(batch_size, images):
    single = MINIMAL.with_changes(architecture="8p,8p,8p,8v|1", batch_size=batch_size)
    refusal = f"batch_size: {batch_size} leaves a batch of one out of {images} images, and blocks.3"
    with pytest.raises(InvalidValue, match=refusal):
        epoch_plan(single, 0, 1, images)
    for fine in (
        single.with_changes(architecture="8p,8p,8p,8vn|1"),
        MINIMAL.with_changes(batch_size=batch_size),
    ):
        assert epoch_plan(fine, 0, 1, images).steps == -(-images // batch_size)


def test_short_batches_of_two_images_are_enough():
    single = MINIMAL.with_changes(architecture="8p,8p,8p,8v|1", batch_size=3)
    assert [epoch_plan(single, 0, 1, images).steps for images in (2, 3, 5, 6, 11)] == [1, 1, 2, 2, 4]
