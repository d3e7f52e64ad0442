import pytest

from under20k.formatting import percent, points
from under20k.runs.bench.statistics import Sample, Summary, first_at_target, reaches_target


def test_sample_by_hand():
    # Deviations −4, 0, 4 thousandths: the variance with n − 1 is (16 + 0 + 16) / 2 = 16 millionths.
    sample = Sample.of([0.990, 0.994, 0.998])
    assert (sample.n, sample.minimum, sample.maximum) == (3, 0.990, 0.998)
    assert sample.mean == pytest.approx(0.994, abs=1e-15)
    assert sample.sd == pytest.approx(0.004, abs=1e-15)
    assert str(sample) == "99.400 ± 0.400 %"
    assert sample.range == "99.00–99.80%"


def test_a_single_value_has_no_spread():
    assert Sample.of([0.9931]).sd is None
    assert str(Sample.of([0.9931])) == "99.31%"


def test_an_empty_sample_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        Sample.of([])


def test_summary_by_hand():
    histories = [[0.90, 0.9940], [0.9950, 0.9930], [0.98, 0.9939], [0.99, 0.9951]]
    summary = Summary.of(histories)
    assert summary.n == 4
    assert (summary.reached_at_last, summary.reached_at_any) == (2, 3)
    assert (summary.share_at_last, summary.share_at_any) == (0.5, 0.75)
    assert summary.last == Sample.of([0.9940, 0.9930, 0.9939, 0.9951])
    assert summary.best == Sample.of([0.9940, 0.9950, 0.9939, 0.9951])
    assert str(summary) == "99.400 ± 0.086 % (n = 4)"
    assert str(Summary.of([[0.9, 0.9941]])) == "99.41%"


def test_the_target_is_met_exactly_at_9940_of_10000():
    assert [reaches_target(correct / 10_000) for correct in (9939, 9940, 9941)] == [False, True, True]


def test_first_epoch_at_target_counts_from_one():
    assert first_at_target([0.99, 0.9941, 0.99, 0.995]) == 2
    assert first_at_target([0.99, 0.9939]) is None


def test_percentages_and_points():
    assert percent(0.994) == "99.40%"
    assert percent(0.9602, 1) == "96.0%"
    assert (points(0.0049), points(-0.0005)) == ("+0.49", "-0.05")
