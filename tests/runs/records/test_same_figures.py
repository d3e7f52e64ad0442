"""Which figures of two trainings must be equal to the bit."""

import math
from dataclasses import replace

from tests.support.benches import around, bench_of
from under20k.runs.records.rerun import same_figures


def test_figures_are_the_same_but_for_times_and_the_rounding_of_losses():
    """NumPy rounds a loss differently with AVX-512 than with AVX2; all other figures are exact."""
    epoch = bench_of(around(0.9945)).seeds[0].epochs[0]
    for name in ("train_loss", "validation_loss"):
        value = getattr(epoch, name)
        assert same_figures(epoch, replace(epoch, **{name: math.nextafter(value, 1)}))
        assert not same_figures(epoch, replace(epoch, **{name: value * (1 + 1e-9)}))
    assert same_figures(epoch, replace(epoch, train_time_s=9.0, total_time_s=9.5, images_per_s=1.0))
    for name in ("learning_rate", "train_accuracy", "validation_accuracy"):
        assert not same_figures(epoch, replace(epoch, **{name: math.nextafter(getattr(epoch, name), 1)}))
