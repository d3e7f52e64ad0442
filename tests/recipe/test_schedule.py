"""Learning rates against torch's schedulers and against values by hand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.strategies import SCHEDULES
from under20k.recipe.named import MINIMAL
from under20k.recipe.recipe import Schedule


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 30), st.integers(1, 5), st.floats(0, 1), st.integers(1, 7))
def test_step_against_torch(epochs, step_epochs, factor, steps):
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimiser, step_epochs, factor)
    schedule = Schedule("step", step_epochs=step_epochs, step_factor=factor)
    for epoch in range(epochs):
        rates = [schedule.factor(epoch * steps + step, steps, epochs) for step in range(steps)]
        assert rates == pytest.approx([optimiser.param_groups[0]["lr"]] * steps, rel=1e-12)
        optimiser.step()
        scheduler.step()


def test_one_cycle_by_hand():
    # 2 epochs of 4 steps: up over 25%, 2 steps, from 0.1; then down over the other 6 towards 0.
    schedule = Schedule("one-cycle", warmup_fraction=0.25, start_fraction=0.1, end_fraction=0.0)
    factors = [schedule.factor(step, 4, 2) for step in range(8)]
    assert factors == pytest.approx([0.1, 0.55, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6], rel=1e-12)


def test_one_cycle_with_a_fractional_peak_and_an_end_above_zero():
    # 10 steps, the peak at step 2.5: up by 0.2 a step from 0.5; then from 1 to 0.25 over 7.5 steps.
    schedule = Schedule("one-cycle", warmup_fraction=0.25, start_fraction=0.5, end_fraction=0.25)
    factors = [schedule.factor(step, 5, 2) for step in range(10)]
    down = [1 - 0.1 * (step - 2.5) for step in range(3, 10)]
    assert factors == pytest.approx([0.5, 0.7, 0.9, *down], rel=1e-12)


def test_one_cycle_without_rise_or_fall():
    falling = Schedule("one-cycle", warmup_fraction=0)
    assert [falling.factor(step, 2, 2) for step in range(4)] == [1, 0.75, 0.5, 0.25]
    rising = Schedule("one-cycle", warmup_fraction=1, start_fraction=0)
    assert [rising.factor(step, 2, 2) for step in range(4)] == [0, 0.25, 0.5, 0.75]


def test_constant():
    assert {Schedule("constant").factor(step, 3, 2) for step in range(6)} == {1.0}


@given(SCHEDULES, st.integers(1, 20), st.integers(1, 20))
def test_never_above_the_peak_or_below_zero(schedule, steps, epochs):
    factors = [schedule.factor(step, steps, epochs) for step in range(steps * epochs)]
    assert all(0 <= factor <= 1 + 1e-12 for factor in factors)


def test_multiplied_by_the_peak():
    recipe = MINIMAL.with_changes(learning_rate=0.4, schedule="one-cycle")
    assert recipe.learning_rate_at(0, 100) == pytest.approx(0.04)
    assert recipe.learning_rate_at(200, 100) == 0.4
